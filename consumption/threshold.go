package consumption

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"auth-service/store"
)

// announce tells the application, once in a period, that an account has reached a threshold of its limit.
func (w *settlement) announce(ctx context.Context) error {
	for i, u := range w.uses {
		if reached := w.reached(u); len(reached) > 0 && !w.announced(u, w.uses[:i]) {
			if err := w.announceAt(ctx, u, reached); err != nil {
				return err
			}
		}
	}
	return nil
}

// reached returns the thresholds that a counter has reached since some were announced. It may pass several at once, also because the limit fell.
func (w *settlement) reached(u *use) (reached []int) {
	if u.limit == nil {
		return nil
	}
	c := w.counted[u.counter]
	for _, percent := range u.quota.NotifyAt() {
		if int64(percent) > c.Notified && c.Charged.Compare(u.limit.Percent(percent)) >= 0 {
			reached = append(reached, percent)
		}
	}
	return reached
}

// announced reports whether one of the earlier uses is of the same counter.
func (w *settlement) announced(u *use, earlier []*use) bool {
	return slices.ContainsFunc(earlier, func(e *use) bool { return e.limit != nil && e.counter == u.counter })
}

func (w *settlement) announceAt(ctx context.Context, u *use, reached []int) error {
	first, err := w.store.NotifyCounter(ctx, u.counter, int64(reached[len(reached)-1]))
	if err != nil || !first {
		return err
	}
	for _, percent := range reached {
		payload := thresholdPayload(u, w.counted[u.counter], percent)
		event := store.OutboxEvent{ApplicationID: u.counter.ApplicationID, Type: store.WebhookThreshold, Payload: payload}
		if err := w.store.Enqueue(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

// A thresholdReached is the data of the event consumption.threshold.
type thresholdReached struct {
	ApplicationID  string        `json:"applicationId"`
	UserID         *string       `json:"userId"`
	OrganizationID *string       `json:"organizationId"`
	Key            string        `json:"key"`
	Threshold      int           `json:"threshold"`
	Limit          *store.Amount `json:"limit"`
	Total          store.Amount  `json:"total"`
	Period         periodReached `json:"period"`
}

type periodReached struct {
	Start *string `json:"start"`
	End   *string `json:"end"`
}

func thresholdPayload(u *use, c *store.ConsumptionCounter, percent int) string {
	data := thresholdReached{ApplicationID: c.ApplicationID, Key: c.Key, Threshold: percent, Limit: u.limit, Total: c.Charged}
	if c.UserID != "" {
		data.UserID = &c.UserID
	}
	if c.OrganizationID != "" {
		data.OrganizationID = &c.OrganizationID
	}
	if c.Period != "" {
		start, end := store.PeriodAt(c.Period, c.StartsAt)
		data.Period = periodReached{wireTime(start), wireTime(end)}
	}
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // amounts and text always encode
	}
	return string(text)
}

func wireTime(t time.Time) *string {
	text := t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	return &text
}
