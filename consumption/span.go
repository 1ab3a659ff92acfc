package consumption

import (
	"context"
	"fmt"
	"slices"
	"time"

	"auth-service/store"
)

const day = 24 * time.Hour

// A span is a part of history, with how it is put together: of the buckets that are whole in it, and of what the ledger says about
// the rest at its edges.
type span struct {
	from, to time.Time
	step     string
	start    time.Time
	end      time.Time   // of the whole buckets
	edges    []timeRange // in order
}

type timeRange struct{ from, to time.Time }

// granularities are the ways to divide history: the step, how far a request may go, and how many steps it covers by itself.
var granularities = map[string]struct {
	step    string
	longest time.Duration
	within  string
	before  func(now time.Time) time.Time // where a request without from begins
}{
	"total": {"", 3653 * day, "10 years", nil},
	"hour":  {store.BucketHour, 31 * day, "31 days", func(now time.Time) time.Time { return now.Truncate(time.Hour).Add(-23 * time.Hour) }},
	"day":   {store.BucketDay, 400 * day, "400 days", func(now time.Time) time.Time { return now.Truncate(day).Add(-29 * day) }},
	"month": {store.PeriodMonth, 3653 * day, "10 years", func(now time.Time) time.Time {
		start, _ := store.PeriodAt(store.PeriodMonth, now)
		return start.AddDate(0, -11, 0)
	}},
}

// span reads for which time a request wants the history; nil when it wants running totals.
func (h *Handler) span(f faults, in *ReportQuery, account store.Account) *span {
	if in.Granularity == "total" && in.From.IsZero() && in.To.IsZero() {
		return nil
	}
	g, now := granularities[in.Granularity], h.Now().UTC()
	from, to := in.From.UTC().Truncate(time.Microsecond), in.To.UTC().Truncate(time.Microsecond)
	if in.To.IsZero() {
		to = now
	}
	switch {
	case in.From.IsZero() && g.before == nil:
		f.add("query.from", "Say from when to add up: the total to a moment has no beginning by itself.")
	case in.From.IsZero():
		from = g.before(to)
	}
	switch {
	case !from.Before(to):
		f.add("query.to", "This must be later than from.")
	case to.Sub(from) > g.longest:
		f.add("query.from", fmt.Sprintf("This is longer than %s: ask for less at once.", g.within))
	case g.step == store.BucketHour && from.Before(h.hoursSince(now)):
		f.add("query.from", "Hours are kept since "+Moment{h.hoursSince(now)}.text()+": ask for days before that.")
	}
	if in.To.IsZero() {
		to = now.Truncate(time.Hour).Add(time.Hour) // so that what is used right now is in it, whichever clock says so
	}
	return h.cut(from, to, g.step, account.UserID != "", now)
}

// hoursSince is when the oldest hour was that is surely not added up to a day yet: by no replica, whatever its clock says.
func (h *Handler) hoursSince(now time.Time) time.Time {
	return now.Add(-h.HourlyRetention).Truncate(day).Add(day)
}

// cut finds the buckets that are whole in a span and what is left at its edges. What was used in parts of a bucket only the ledger
// knows: one person's, for as long as it is kept. Else the span grows to where the bucket begins and ends.
func (h *Handler) cut(from, to time.Time, step string, personal bool, now time.Time) *span {
	ledgerSince := now.Add(-h.Retention).Add(day)
	width := func(t time.Time) time.Duration {
		if t.Before(h.hoursSince(now)) {
			return day
		}
		return time.Hour
	}
	exact := func(t time.Time) bool { return personal && !t.Before(ledgerSince) }
	s := &span{from: from, to: to, step: step, start: from.Truncate(width(from)), end: to.Truncate(width(to))}
	var edges []timeRange
	if !s.start.Equal(from) && exact(from) {
		s.start = s.start.Add(width(from))
		edges = append(edges, timeRange{from, s.start})
	} else {
		s.from = s.start
	}
	switch {
	case s.end.Equal(to):
	case !to.Before(now): // what is later than now was recorded by a clock that is ahead
		s.end = s.end.Add(width(to))
	case exact(to):
		edges = append(edges, timeRange{s.end, to})
	default:
		s.end = s.end.Add(width(to))
		s.to = s.end
	}
	if s.end.Before(s.start) { // both edges are in one bucket
		edges = []timeRange{{from, to}}
	}
	s.edges = edges
	return s
}

// read returns the parts of a span in the order of their time.
func (s *span) read(ctx context.Context, from *store.Store, account store.Account, keys []string) ([]store.ConsumptionSlice, error) {
	var out []store.ConsumptionSlice
	if s.start.Before(s.end) {
		step := s.step
		if step == store.PeriodMonth {
			step = store.BucketDay // an engine takes longer to find the month of each hour than we do for each day
		}
		whole, err := from.ConsumptionHistory(ctx, account, keys, s.start, s.end, step)
		if err != nil {
			return nil, err
		}
		out = whole
	}
	for _, edge := range s.edges {
		parts, err := from.ConsumptionInLedger(ctx, account, keys, edge.from, edge.to)
		if err != nil {
			return nil, err
		}
		for i := range parts {
			parts[i].StartsAt = edge.from
		}
		out = append(out, parts...)
	}
	for i := range out {
		out[i].StartsAt = stepAround(s.step, out[i].StartsAt)
	}
	slices.SortStableFunc(out, func(a, b store.ConsumptionSlice) int { return a.StartsAt.Compare(b.StartsAt) })
	return out, nil
}

// stepAround is the beginning of the step in which t is. An edge lies in one hour, or in one day where no hours are asked for.
func stepAround(step string, t time.Time) time.Time {
	switch step {
	case store.BucketHour:
		return t.Truncate(time.Hour)
	case store.BucketDay:
		return t.Truncate(day)
	case store.PeriodMonth:
		start, _ := store.PeriodAt(store.PeriodMonth, t)
		return start
	}
	return t
}
