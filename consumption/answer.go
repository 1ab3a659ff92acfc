package consumption

import (
	"encoding/json"
	"fmt"
	"time"

	"auth-service/store"
)

// An answer is how a standing is kept with a record for a repetition of the request: short, as there is one with each.
type answer struct {
	Total        store.Amount  `json:"total"`
	Reserved     store.Amount  `json:"reserved,omitzero"`
	Start        *time.Time    `json:"start,omitempty"`
	End          *time.Time    `json:"end,omitempty"`
	Limit        *store.Amount `json:"limit,omitempty"`
	Hard         bool          `json:"hard,omitempty"`
	Plan         string        `json:"plan,omitempty"`
	Exceeded     bool          `json:"exceeded,omitempty"`
	Organization bool          `json:"organization,omitempty"` // is charged, and not the person
}

// writeAnswer writes it as encoding/json would.
func writeAnswer(s *Standing) string {
	to := s.Total.Append(append(make([]byte, 0, 128), `{"total":`...))
	if !s.Reserved.IsZero() {
		to = s.Reserved.Append(append(to, `,"reserved":`...))
	}
	if s.Start != nil {
		to = append(s.Start.AppendFormat(append(to, `,"start":"`...), time.RFC3339Nano), '"')
	}
	if s.End != nil {
		to = append(s.End.AppendFormat(append(to, `,"end":"`...), time.RFC3339Nano), '"')
	}
	if s.Limit != nil {
		to = s.Limit.Append(append(to, `,"limit":`...))
	}
	to = appendIf(s.Hard, to, `,"hard":true`)
	if s.Plan != "" {
		to = appendText(append(to, `,"plan":`...), s.Plan)
	}
	to = appendIf(s.Exceeded, to, `,"exceeded":true`)
	to = appendIf(s.ChargedTo.OrganizationID != "", to, `,"organization":true`)
	return string(append(to, '}'))
}

func appendIf(so bool, to []byte, text string) []byte {
	if so {
		return append(to, text...)
	}
	return to
}

// readAnswer needs to know whose use the answer was about.
func readAnswer(text, applicationID, userID, organizationID string) (Standing, error) {
	var a answer
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return Standing{}, fmt.Errorf("read the first answer: %w", err)
	}
	account := store.Account{ApplicationID: applicationID, UserID: userID}
	if a.Organization {
		account = store.Account{ApplicationID: applicationID, OrganizationID: organizationID}
	}
	return Standing{
		Total: a.Total, Reserved: a.Reserved, Start: a.Start, End: a.End, Limit: a.Limit, Hard: a.Hard, Plan: a.Plan, Exceeded: a.Exceeded, ChargedTo: account,
	}, nil
}

// firstAnswer is what the caller was told when the record was written.
func firstAnswer(record *store.ConsumptionRecord) (*Recorded, error) {
	standing, err := readAnswer(record.Answer, record.ApplicationID, record.UserID, record.OrganizationID)
	if err != nil {
		return nil, err
	}
	return &Recorded{ID: record.ID, Duplicate: true, Key: record.Key, Amount: record.Amount, Standing: standing}, nil
}
