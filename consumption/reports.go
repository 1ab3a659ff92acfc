package consumption

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

// maxAggregates is how many keys are answered for at once.
const maxAggregates = 200

func (h *Handler) mountReports(api huma.API) {
	const notFound = http.StatusNotFound
	person := operation("getConsumption", http.MethodGet, "/{userId}/{appId}", "See what a person used of an application", http.StatusOK, notFound)
	person.Description = "For the application itself, the person and administrators. " + reportDescription
	organization := operation("getOrganizationConsumption", http.MethodGet, "/organizations/{organizationId}/{appId}",
		"See what an organization's people used of an application together", http.StatusOK, notFound)
	organization.Description = "For the application itself, the organization's owners and admins, and administrators. " + reportDescription
	huma.Register(api, person, h.personReport)
	huma.Register(api, organization, h.organizationReport)
}

const reportDescription = "Without from, to and a granularity the running totals: since the period of the plan's quota began, or since the last reset; for all time " +
	"where there is no quota. Otherwise the history, which resets do not change; limit, remaining and period say how things stand now all the same. " +
	"Parts of an hour are read from the ledger; for an organization, and where the ledger does not go back so far, from and to are moved to where the history can be cut, and the answer says to when."

// ReportQuery says what to report. Huma sees only exported embedded structs.
type ReportQuery struct {
	Key         string    `query:"key" maxLength:"64" doc:"One key; without it all that were used or that the plan sells as quotas, up to 200."`
	From        time.Time `query:"from" doc:"The earliest moment, itself included."`
	To          time.Time `query:"to" doc:"The moment before which it was used; the end of this hour when it is left out."`
	Granularity string    `query:"granularity" enum:"total,hour,day,month" default:"total" doc:"Steps in UTC: hours over up to 31 days (24 hours by default, and no older than consumption.hourly_retention), days over up to 400 (30), months over up to 10 years (12 months). A total over up to 10 years."`
}

// A Report is what was used, by key.
type Report struct {
	UserID         *string     `json:"userId" nullable:"true" doc:"Null in the report of an organization."`
	ApplicationID  string      `json:"applicationId"`
	OrganizationID *string     `json:"organizationId" nullable:"true" doc:"Null when the report is of all that the person used, for whomever."`
	From           *Moment     `json:"from" nullable:"true" doc:"Null for running totals."`
	To             *Moment     `json:"to" nullable:"true" doc:"Null for running totals."`
	Granularity    string      `json:"granularity" enum:"total,hour,day,month"`
	Aggregates     []Aggregate `json:"aggregates" doc:"By key."`
}

// An Aggregate is what was used of one key.
type Aggregate struct {
	Key         string   `json:"key"`
	Total       Decimal  `json:"total"`
	Count       int64    `json:"count" doc:"In how many records."`
	FirstAt     *Moment  `json:"firstAt" nullable:"true" doc:"When it was used first. Null when it was not."`
	LastAt      *Moment  `json:"lastAt" nullable:"true"`
	Limit       *Decimal `json:"limit" nullable:"true" doc:"Of the plan in force, the organization's before the person's. Null when it has none."`
	Remaining   *Decimal `json:"remaining" nullable:"true" doc:"What is left now to whoever is charged, reservations taken off. Null without a limit."`
	Period      Period   `json:"period" doc:"In which the plan's quota counts now."`
	ResetAt     *Moment  `json:"resetAt" nullable:"true" doc:"When the quota begins anew. Null when it does not."`
	LastResetAt *Moment  `json:"lastResetAt" nullable:"true" doc:"When somebody began the counter anew. Null when nobody did."`
	Reserved    Decimal  `json:"reserved" doc:"Held for running jobs of whoever is charged."`
	Buckets     []Bucket `json:"buckets" doc:"The steps in order, those without use left out. Empty for a total."`
}

// A Bucket is what was used in one step.
type Bucket struct {
	Start Moment  `json:"start"`
	Total Decimal `json:"total"`
	Count int64   `json:"count"`
}

type personReportRequest struct {
	PersonPath
	ReportQuery
	OrganizationID string `query:"organizationId" maxLength:"255" doc:"Only what the person used for this organization. The person may name those of which they are a member."`
}

type reportResponse struct{ Body Report }

func (h *Handler) personReport(ctx context.Context, in *personReportRequest) (*reportResponse, error) {
	account, err := h.personAccount(ctx, &in.PersonPath, in.OrganizationID)
	if err != nil {
		return nil, err
	}
	return h.report(ctx, account, &in.ReportQuery)
}

type organizationReportRequest struct {
	OrganizationPath
	ReportQuery
}

func (h *Handler) organizationReport(ctx context.Context, in *organizationReportRequest) (*reportResponse, error) {
	account, err := h.organizationAccount(ctx, &in.OrganizationPath)
	if err != nil {
		return nil, err
	}
	return h.report(ctx, account, &in.ReportQuery)
}

func (h *Handler) report(ctx context.Context, account store.Account, in *ReportQuery) (*reportResponse, error) {
	f := faults{}
	if in.Key != "" {
		f.key("query.key", in.Key)
	}
	past := h.span(f, in, account)
	if err := f.err(); err != nil {
		return nil, err
	}
	now, err := h.Service.standings(ctx, account, in.Key)
	if err != nil {
		return nil, err
	}
	if len(now) > maxAggregates {
		f.add("query.key", "There are more than 200 keys here: name one of them.")
		return nil, f.err()
	}
	out := Report{
		UserID: orNull(account.UserID), ApplicationID: account.ApplicationID, OrganizationID: orNull(account.OrganizationID),
		Granularity: in.Granularity, Aggregates: make([]Aggregate, 0, len(now)),
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		out.Aggregates = append(out.Aggregates, showStanding(key, now[key]))
	}
	if past != nil {
		if err := h.history(ctx, account, past, &out); err != nil {
			return nil, err
		}
	}
	return &reportResponse{out}, nil
}

func showStanding(key string, s *keyStanding) Aggregate {
	return Aggregate{
		Key: key, Total: Decimal{s.used.Total}, Count: s.used.Count, FirstAt: nullableMoment(s.used.FirstAt), LastAt: nullableMoment(s.used.LastAt),
		Limit: nullableDecimal(s.Limit), Remaining: nullableDecimal(s.Remaining()), Period: Period{nullableMoment(s.Start), nullableMoment(s.End)},
		ResetAt: nullableMoment(s.End), LastResetAt: nullableMoment(s.resetAt), Reserved: Decimal{s.Reserved}, Buckets: []Bucket{},
	}
}

// history puts what was used in a span in the place of the running totals.
func (h *Handler) history(ctx context.Context, account store.Account, past *span, out *Report) error {
	out.From, out.To = nullableMoment(&past.from), nullableMoment(&past.to)
	at := map[string]int{}
	keys := make([]string, len(out.Aggregates))
	for i := range out.Aggregates {
		a := &out.Aggregates[i]
		keys[i], at[a.Key] = a.Key, i
		a.Total, a.Count, a.FirstAt, a.LastAt = Decimal{}, 0, nil, nil
	}
	if len(keys) == 0 {
		return nil
	}
	parts, err := past.read(ctx, h.Store, account, keys)
	if err != nil {
		return err
	}
	for i := range parts {
		out.Aggregates[at[parts[i].Key]].add(&parts[i], past.step)
	}
	return nil
}

// add counts a part of history, of which there may be several to a step: they come in order.
func (a *Aggregate) add(part *store.ConsumptionSlice, step string) {
	sum := store.Tally{Total: a.Total.Amount, Count: a.Count}
	if a.FirstAt != nil {
		sum.FirstAt, sum.LastAt = &a.FirstAt.Time, &a.LastAt.Time
	}
	sum.Add(part.Tally)
	a.Total, a.Count, a.FirstAt, a.LastAt = Decimal{sum.Total}, sum.Count, nullableMoment(sum.FirstAt), nullableMoment(sum.LastAt)
	if step == "" {
		return
	}
	start := Moment{part.StartsAt}
	if n := len(a.Buckets); n > 0 && a.Buckets[n-1].Start.Equal(start.Time) {
		last := &a.Buckets[n-1]
		last.Total, last.Count = Decimal{last.Total.Add(part.Total)}, last.Count+part.Count
		return
	}
	a.Buckets = append(a.Buckets, Bucket{start, Decimal{part.Total}, part.Count})
}
