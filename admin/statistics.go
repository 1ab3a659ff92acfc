package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

const (
	// statisticDays is how many days there are unless the request says otherwise, maxStatisticDays how many at most.
	statisticDays    = 30
	maxStatisticDays = 366
	// rankedApplications is how many applications are listed.
	rankedApplications = 50
)

func (h *Handler) mountStatistics(api huma.API) {
	op := operation("getStatistics", http.MethodGet, "/stats", "Sign-ins, active people, tokens and failures per day, and the most used applications", http.StatusOK, http.StatusNotFound)
	op.Tags = []string{"Statistics"}
	huma.Register(api, op, h.statistics)
}

type statisticsRequest struct {
	From          string    `query:"from" format:"date" doc:"The first day, in UTC. Default: so that there are 30 days."`
	To            string    `query:"to" format:"date" doc:"The last day, itself included. Default: today."`
	ApplicationID reference `query:"applicationId" maxLength:"255" doc:"The id, the slug or a client_id of the only application to count."`
}

// days reads the range. A year and its leap day are the most: a request must not make us count for ever.
func (in *statisticsRequest) days(now time.Time) (from, to time.Time, bad faults) {
	bad = faults{}
	to, from = readDay(bad, "query.to", in.To), readDay(bad, "query.from", in.From)
	if in.To == "" {
		to = now.UTC().Truncate(24 * time.Hour)
	}
	if in.From == "" {
		from = to.AddDate(0, 0, 1-statisticDays)
	}
	switch {
	case len(bad) > 0:
	case from.After(to):
		bad.add("query.from", "This must not be later than to.")
	case to.Sub(from) >= maxStatisticDays*24*time.Hour:
		bad.add("query.from", "This is more than 366 days before to: choose a later day.")
	}
	return from, to, bad
}

func readDay(bad faults, field, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		bad.add(field, "This must be a date such as 2026-01-31.")
	}
	return day
}

// Statistics are what happened in some days.
type Statistics struct {
	From         string                 `json:"from" format:"date"`
	To           string                 `json:"to" format:"date"`
	Totals       StatisticTotals        `json:"totals"`
	Days         []StatisticDay         `json:"days" doc:"Every day from the first to the last."`
	Applications []ApplicationStatistic `json:"applications" doc:"Those with the most tokens, 50 at most. Without those that were deleted since, or not used."`
}

// StatisticTotals are how many there are now.
type StatisticTotals struct {
	Users                   int64 `json:"users"`
	UsersIsEstimate         bool  `json:"usersIsEstimate" doc:"True above 10,000, as for the others."`
	Organizations           int64 `json:"organizations"`
	OrganizationsIsEstimate bool  `json:"organizationsIsEstimate"`
	Applications            int64 `json:"applications"`
	ApplicationsIsEstimate  bool  `json:"applicationsIsEstimate"`
}

// A StatisticDay is what happened in a day. People sign in to this server and not to an application.
type StatisticDay struct {
	Day            string `json:"day" format:"date"`
	SignIns        *int64 `json:"signIns" doc:"Null for one application."`
	SignInFailures *int64 `json:"signInFailures" doc:"Wrong passwords, and attempts that came too fast or of somebody disabled. Null for one application."`
	ActiveUsers    *int64 `json:"activeUsers" doc:"People who signed in, came back with a session, or had a token refreshed. Null for one application."`
	Tokens         int64  `json:"tokens" doc:"Successful token requests."`
	TokenFailures  int64  `json:"tokenFailures" doc:"Failed ones; those of clients that did not prove which they are count for no application."`
}

// An ApplicationStatistic is how often an application was used.
type ApplicationStatistic struct {
	ApplicationID  string `json:"applicationId"`
	Name           string `json:"name"`
	Tokens         int64  `json:"tokens"`
	Authorizations int64  `json:"authorizations" doc:"Codes that were issued."`
}

type statisticsResponse struct{ Body Statistics }

func (h *Handler) statistics(ctx context.Context, in *statisticsRequest) (*statisticsResponse, error) {
	from, to, bad := in.days(h.Now())
	if err := bad.err(); err != nil {
		return nil, err
	}
	application, err := h.countedApplication(ctx, in.ApplicationID)
	if err != nil {
		return nil, err
	}
	query := store.StatisticQuery{From: from.Format(time.DateOnly), To: to.Format(time.DateOnly), ApplicationID: application}
	rows, err := h.Store.DailyStatistics(ctx, query)
	if err != nil {
		return nil, err
	}
	ranked, err := h.Store.ApplicationStatistics(ctx, query, rankedApplications)
	if err != nil {
		return nil, err
	}
	sizes, err := h.Store.Sizes(ctx, countedExactly)
	if err != nil {
		return nil, err
	}
	out := Statistics{From: query.From, To: query.To, Totals: showSizes(sizes), Days: showDays(from, to, application == "", rows), Applications: []ApplicationStatistic{}}
	for _, usage := range ranked {
		out.Applications = append(out.Applications, ApplicationStatistic(usage))
	}
	return &statisticsResponse{out}, nil
}

// countedApplication returns the id of the application that is asked for; empty for all.
func (h *Handler) countedApplication(ctx context.Context, ref reference) (string, error) {
	if ref == "" {
		return "", nil
	}
	application, err := h.applicationNamed(ctx, ref)
	if err != nil {
		return "", err
	}
	return application.ID, nil
}

func showSizes(s store.Sizes) StatisticTotals {
	return StatisticTotals{
		s.Users.Rows, s.Users.Estimated, s.Organizations.Rows, s.Organizations.Estimated, s.Applications.Rows, s.Applications.Estimated,
	}
}

// showDays has every day, also those on which nothing happened.
func showDays(from, to time.Time, everything bool, rows []store.DailyStatistic) []StatisticDay {
	values := map[[2]string]int64{}
	for _, row := range rows {
		values[[2]string{row.Day, row.Metric}] = row.Value
	}
	days := []StatisticDay{}
	for at := from; !at.After(to); at = at.AddDate(0, 0, 1) {
		day := at.Format(time.DateOnly)
		value := func(metric string) int64 { return values[[2]string{day, metric}] }
		shown := StatisticDay{Day: day, Tokens: value(store.MetricTokens), TokenFailures: value(store.MetricTokenFailures)}
		if everything {
			signIns, failures, active := value(store.MetricSignIns), value(store.MetricSignInFailures), value(store.MetricActiveUsers)
			shown.SignIns, shown.SignInFailures, shown.ActiveUsers = &signIns, &failures, &active
		}
		days = append(days, shown)
	}
	return days
}
