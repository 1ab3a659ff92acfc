package main

import (
	"iter"
	"strings"
	"time"

	"auth-service/store"
)

// statisticDays is as long as statistics are kept.
const statisticDays = 400

// statisticTable has a row of each day and metric, of the busy applications and of none.
func (w *world) statisticTable() table {
	whole := []string{store.MetricSignIns, store.MetricSignInFailures, store.MetricActiveUsers, store.MetricTokenFailures}
	each := []string{store.MetricAuthorizations, store.MetricTokens, store.MetricTokenFailures}
	all := nested(statisticDays, func(int) int { return len(whole) + w.busy()*len(each) }, func(i, j int) []any {
		day := w.now.AddDate(0, 0, -i).Format(time.DateOnly)
		value := 1000 + w.pick(kindStatistic, i*maxParts+j, 1000)
		if j < len(whole) {
			return []any{day, "", whole[j], value}
		}
		a, metric := (j-len(whole))/len(each), each[j%len(each)]
		return []any{day, w.application(a), metric, value / (1 + a%10)}
	})
	return table{"daily_statistics", strings.Fields("day application_id metric value"), all}
}

// sumStatistics adds what the server writes beside each row: the sums of the days and of the applications' months.
var sumStatistics = []string{
	"INSERT INTO daily_statistics SELECT day, '*', metric, sum(value) FROM daily_statistics GROUP BY day, metric",
	`INSERT INTO monthly_statistics SELECT substr(day, 1, 7), application_id, metric, sum(value) FROM daily_statistics
		WHERE application_id <> '*' AND metric IN ('` + store.MetricTokens + "', '" + store.MetricAuthorizations + `') GROUP BY 1, 2, 3`,
}

// busy is how many applications are used each day: the most popular ones.
func (w *world) busy() int { return max(w.applications/5, 1) }

// activityTable has the last day of everybody who has a session.
func (w *world) activityTable() table {
	return table{"user_activity", strings.Fields("user_id day"), w.active()}
}

func (w *world) active() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		seen := make([]bool, w.users)
		for i := range w.sessions {
			user := w.signedIn(i)
			if seen[user] {
				continue
			}
			seen[user] = true
			if !yield([]any{w.user(user), w.now.AddDate(0, 0, -w.pick(kindStatistic, i, 30)).Format(time.DateOnly)}) {
				return
			}
		}
	}
}
