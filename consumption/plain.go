package consumption

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// readPlain reads a request to record as nearly all are written, and reports whether it was one: names that a use has, each once, text of
// ASCII without escapes, numbers without exponents. With all else, and whatever is wrong, it has nothing to do: that is read by the schema,
// which says what is wrong. What it reads it reads as that does.
func readPlain(in *recordRequest, header http.Header, body []byte) bool {
	in.Key = header.Get("Idempotency-Key")
	p := plain{text: body}
	return len(in.Key) <= maxIdempotencyKey && p.record(&in.Body) && p.next() == 0 && p.at == len(body) && len(in.Resolve(nil)) == 0
}

// A plain goes through JSON text once.
type plain struct {
	text []byte
	at   int
}

func (p *plain) record(in *RecordInput) bool {
	return p.object(func(name []byte) bool {
		if string(name) == "records" {
			return p.list(&in.Records)
		}
		return p.field(&in.UseInput, name)
	})
}

func (p *plain) list(to *[]UseInput) bool {
	if *to != nil || !p.take('[') {
		return false
	}
	list := make([]UseInput, 0, min(maxRecords, bytes.Count(p.text[p.at:], []byte(`"key"`))))
	for len(list) < maxRecords {
		list = append(list, UseInput{})
		in := &list[len(list)-1]
		if !p.object(func(name []byte) bool { return p.field(in, name) }) {
			return false
		}
		if p.take(']') {
			*to = list
			return true
		}
		if !p.take(',') {
			return false
		}
	}
	return false
}

func (p *plain) field(in *UseInput, name []byte) bool {
	switch string(name) {
	case "userId":
		return p.string(&in.UserID)
	case "key":
		return p.string(&in.Key)
	case "amount":
		return p.quantity(&in.Amount.RawMessage)
	case "organizationId":
		return p.string(&in.OrganizationID)
	case "timestamp":
		return p.quoted(&in.Timestamp.RawMessage)
	case "metadata":
		return p.metadata(&in.Metadata.RawMessage)
	case "idempotencyKey":
		return p.string(&in.IdempotencyKey)
	case "enforce":
		return p.bool(&in.Enforce)
	case "applicationId":
		return p.string(&in.ApplicationID)
	}
	return false
}

// next skips blanks and returns the character there; 0 at the end.
func (p *plain) next() byte {
	for ; p.at < len(p.text); p.at++ {
		switch b := p.text[p.at]; b {
		case ' ', '\t', '\r', '\n':
		default:
			return b
		}
	}
	return 0
}

func (p *plain) take(b byte) bool {
	if p.next() != b {
		return false
	}
	p.at++
	return true
}

func (p *plain) object(field func(name []byte) bool) bool {
	if !p.take('{') {
		return false
	}
	for {
		name, ok := p.word()
		if !ok || !p.take(':') || !field(name) {
			return false
		}
		if p.take('}') {
			return true
		}
		if !p.take(',') {
			return false
		}
	}
}

// word reads what is in quotation marks.
func (p *plain) word() ([]byte, bool) {
	if !p.take('"') {
		return nil, false
	}
	for begin := p.at; p.at < len(p.text); p.at++ {
		switch b := p.text[p.at]; {
		case b == '"':
			p.at++
			return p.text[begin : p.at-1], true
		case b == '\\' || b < ' ' || b > '~':
			return nil, false
		}
	}
	return nil, false
}

// string reads text of a length that all of them may have. None is there twice.
func (p *plain) string(to *string) bool {
	const longest = 255
	word, ok := p.word()
	if !ok || len(word) == 0 || len(word) > longest || *to != "" {
		return false
	}
	*to = string(word)
	return true
}

// quoted keeps text with its quotation marks.
func (p *plain) quoted(to *json.RawMessage) bool {
	p.next()
	begin := p.at
	if _, ok := p.word(); !ok || *to != nil {
		return false
	}
	*to = p.text[begin:p.at]
	return true
}

// quantity keeps a number, or text, which may be one.
func (p *plain) quantity(to *json.RawMessage) bool {
	if p.next() == '"' {
		return p.quoted(to)
	}
	begin := p.at
	whole := p.digits()
	ok := whole == 1 || whole > 1 && p.text[begin] != '0'
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		ok = ok && p.digits() > 0
	}
	if !ok || *to != nil {
		return false
	}
	*to = p.text[begin:p.at]
	return true
}

func (p *plain) digits() int {
	begin := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at - begin
}

// metadata keeps an object that is one if it is JSON at all, which is found out later. The schema's way takes no numbers that a float
// cannot be, so that here all that could be such have to be left to it.
func (p *plain) metadata(to *json.RawMessage) bool {
	const surelyFloat = 300 // digits
	if *to != nil || p.next() != '{' {
		return false
	}
	begin, depth, digits := p.at, 0, 0
	for ; p.at < len(p.text); p.at++ {
		switch b := p.text[p.at]; {
		case '0' <= b && b <= '9':
			if digits++; digits > surelyFloat {
				return false
			}
			continue
		case (b == 'e' || b == 'E') && digits > 0:
			return false
		case b == '"':
			if !p.skipText() {
				return false
			}
		case b == '{', b == '[':
			depth++
		case b == '}', b == ']':
			depth--
		}
		digits = 0
		if depth == 0 {
			p.at++
			*to = p.text[begin:p.at]
			return true
		}
	}
	return false
}

// skipText goes to the end of text that may have escapes.
func (p *plain) skipText() bool {
	for p.at++; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '"':
			return true
		case '\\':
			p.at++
		}
	}
	return false
}

func (p *plain) bool(to **bool) bool {
	p.next()
	rest := p.text[p.at:]
	value := bytes.HasPrefix(rest, []byte("true"))
	switch {
	case *to != nil:
		return false
	case value:
		p.at += len("true")
	case bytes.HasPrefix(rest, []byte("false")):
		p.at += len("false")
	default:
		return false
	}
	*to = &value
	return true
}
