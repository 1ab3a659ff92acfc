package consumption

import (
	"context"
	"encoding/json"
	"time"

	"auth-service/store"
)

// announce tells the application, once in a period, that an account has reached a threshold of its limit.
func (w *settlement) announce(ctx context.Context) error {
	done := map[store.CounterID]bool{}
	for _, u := range w.uses {
		if u.limit == nil || done[u.counter] {
			continue
		}
		done[u.counter] = true
		if err := w.announceAt(ctx, u, w.counted[u.counter]); err != nil {
			return err
		}
	}
	return nil
}

// announceAt announces the thresholds that a counter has reached. It may pass several at once, also because the limit fell.
func (w *settlement) announceAt(ctx context.Context, u *use, c *store.ConsumptionCounter) error {
	var reached []int
	for _, percent := range u.quota.NotifyAt() {
		if int64(percent) > c.Notified && c.Charged.Compare(u.limit.Percent(percent)) >= 0 {
			reached = append(reached, percent)
		}
	}
	if len(reached) == 0 {
		return nil
	}
	first, err := w.store.NotifyCounter(ctx, u.counter, int64(reached[len(reached)-1]))
	if err != nil || !first {
		return err
	}
	for _, percent := range reached {
		event := store.OutboxEvent{ApplicationID: u.counter.ApplicationID, Type: store.WebhookThreshold, Payload: thresholdPayload(u, c, percent)}
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
