package consumption_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/consumption"
	"auth-service/store"
)

// What is kept with a record is written by hand, and read by encoding/json.
func TestKeptAnswers(t *testing.T) {
	some := func() bool { return rand.IntN(2) == 0 }
	for range 2000 {
		s := consumption.Standing{Hard: some(), Exceeded: some(), ChargedTo: store.Account{ApplicationID: "crm"}}
		if some() {
			s.ChargedTo.OrganizationID = "acme"
		} else {
			s.ChargedTo.UserID = "ann"
		}
		s.Total = amount(t, []string{"0", "1", "0.000001", "123456789012.5", "1000000000000"}[rand.IntN(5)])
		if some() {
			s.Reserved = amount(t, "0.5")
		}
		if some() {
			start, end := opening, opening.Add(time.Duration(rand.Int64N(int64(time.Hour))).Truncate(time.Microsecond))
			s.Start, s.End = &start, &end
		}
		if some() {
			limit := amount(t, "10.25")
			s.Limit = &limit
		}
		if some() {
			s.Plan = []string{"free", `a"b<c`, "größer"}[rand.IntN(3)]
		}
		written, marshalled, read, err := consumption.KeptAnswer(&s)
		require.NoError(t, err)
		require.Equal(t, marshalled, written)
		require.Equal(t, s, read)
	}
}
