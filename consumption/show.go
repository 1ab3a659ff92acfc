package consumption

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

// A Moment is a time as the API writes it: RFC 3339 in UTC with milliseconds.
type Moment struct{ time.Time }

// MarshalJSON writes all three digits, also when they are zero.
func (m Moment) MarshalJSON() ([]byte, error) { return []byte(`"` + m.text() + `"`), nil }

const milliseconds = "2006-01-02T15:04:05.000Z"

func (m Moment) text() string { return m.UTC().Format(milliseconds) }

// Schema is that of a date-time.
func (Moment) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

func nullableMoment(t *time.Time) *Moment {
	if t == nil || t.IsZero() {
		return nil
	}
	return &Moment{t.UTC()}
}

// A Decimal is an exact amount in an answer: a number with up to six decimals.
type Decimal struct{ store.Amount }

// Schema is that of a number.
func (Decimal) Schema(huma.Registry) *huma.Schema { return &huma.Schema{Type: huma.TypeNumber} }

func nullableDecimal(a *store.Amount) *Decimal {
	if a == nil {
		return nil
	}
	return &Decimal{*a}
}

// A Period is when something counts: from its start up to, and without, its end.
type Period struct {
	Start *Moment `json:"start" nullable:"true" doc:"Null for all time."`
	End   *Moment `json:"end" nullable:"true" doc:"Null for all time."`
}

// Balance is how an account stands with a key.
type Balance struct {
	Total     Decimal  `json:"total" doc:"What counts in the period, of whoever is charged: the organization when the plan is its, else the person."`
	Period    Period   `json:"period"`
	Limit     *Decimal `json:"limit" nullable:"true" doc:"Null when the plan has none."`
	Remaining *Decimal `json:"remaining" nullable:"true" doc:"What is left of the limit, reservations taken off; never below 0. Null without a limit."`
	Exceeded  bool     `json:"exceeded" doc:"The total is above the limit."`
}

func showBalance(s *Standing) Balance {
	return Balance{
		Total: Decimal{s.Total}, Period: Period{nullableMoment(s.Start), nullableMoment(s.End)},
		Limit: nullableDecimal(s.Limit), Remaining: nullableDecimal(s.Remaining()), Exceeded: s.Exceeded,
	}
}

// appendJSON writes what showRecorded shows, as encoding/json would.
func (r *Recorded) appendJSON(to []byte) []byte {
	to = appendText(append(to, `{"id":`...), r.ID)
	to = strconv.AppendBool(append(to, `,"recorded":true,"duplicate":`...), r.Duplicate)
	to = appendText(append(to, `,"key":`...), r.Key)
	to = r.Amount.Append(append(to, `,"amount":`...))
	to = r.Total.Append(append(to, `,"total":`...))
	to = appendMoment(append(to, `,"period":{"start":`...), r.Start)
	to = appendMoment(append(to, `,"end":`...), r.End)
	to = appendDecimal(append(to, `},"limit":`...), r.Limit)
	to = appendDecimal(append(to, `,"remaining":`...), r.Remaining())
	return append(strconv.AppendBool(append(to, `,"exceeded":`...), r.Exceeded), '}')
}

func appendText(to []byte, text string) []byte {
	for _, b := range []byte(text) {
		if b < ' ' || b > '~' || b == '"' || b == '\\' || b == '<' || b == '>' || b == '&' {
			quoted, _ := json.Marshal(text) // text always encodes
			return append(to, quoted...)
		}
	}
	return append(append(append(to, '"'), text...), '"')
}

func appendMoment(to []byte, t *time.Time) []byte {
	if t == nil || t.IsZero() {
		return append(to, "null"...)
	}
	to = t.UTC().AppendFormat(append(to, '"'), time.RFC3339) // three times as fast as another format
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(to[:len(to)-len("Z")], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z', '"')
}

func appendDecimal(to []byte, a *store.Amount) []byte {
	if a == nil {
		return append(to, "null"...)
	}
	return a.Append(to)
}

func orNull[T comparable](value T) *T {
	var none T
	if value == none {
		return nil
	}
	return &value
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
