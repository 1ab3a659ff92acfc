package consumption

import (
	"encoding/json"
	"fmt"
	"time"

	"auth-service/store"
)

// An answer is how a standing is kept for a repetition of the request.
type answer struct {
	Total          store.Amount  `json:"total"`
	Reserved       store.Amount  `json:"reserved"`
	Start          *time.Time    `json:"start,omitempty"`
	End            *time.Time    `json:"end,omitempty"`
	Limit          *store.Amount `json:"limit,omitempty"`
	Hard           bool          `json:"hard,omitempty"`
	Plan           string        `json:"plan,omitempty"`
	Exceeded       bool          `json:"exceeded,omitempty"`
	ApplicationID  string        `json:"applicationId"`
	UserID         string        `json:"userId,omitempty"`
	OrganizationID string        `json:"organizationId,omitempty"`
	Thresholds     []int         `json:"thresholds,omitempty"`
}

func writeAnswer(s *Standing) string {
	text, err := json.Marshal(answer{
		s.Total, s.Reserved, s.Start, s.End, s.Limit, s.Hard, s.Plan, s.Exceeded,
		s.ChargedTo.ApplicationID, s.ChargedTo.UserID, s.ChargedTo.OrganizationID, s.ThresholdsInPercent,
	})
	if err != nil {
		panic(err) // amounts, times and text always encode
	}
	return string(text)
}

func readAnswer(text string) (*Recorded, error) {
	var a answer
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return nil, fmt.Errorf("read the first answer: %w", err)
	}
	return &Recorded{Standing: Standing{
		Total: a.Total, Reserved: a.Reserved, Start: a.Start, End: a.End, Limit: a.Limit, Hard: a.Hard, Plan: a.Plan, Exceeded: a.Exceeded,
		ChargedTo:           store.Account{ApplicationID: a.ApplicationID, UserID: a.UserID, OrganizationID: a.OrganizationID},
		ThresholdsInPercent: a.Thresholds,
	}}, nil
}
