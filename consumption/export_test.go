package consumption

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// MountRecording mounts POST /api/consumption alone, with another way to record.
func (h *Handler) MountRecording(api huma.API, record func(context.Context, Caller, []Usage) ([]Recorded, error)) {
	h.mountRecords(h.machines(api), record)
}

// ReadPlain reports whether a body is read without its schema.
func ReadPlain(body string) bool { return readPlain(new(recordRequest), http.Header{}, []byte(body)) }

// AnswerOf is the answer to a request.
func AnswerOf(recorded []Recorded, single bool) RecordAnswer { return RecordAnswer{recorded, single} }

// Running reports whether calls share transactions by now.
func (s *Service) Running() bool {
	s.queue.mu.RLock()
	defer s.queue.mu.RUnlock()
	return s.queue.lines != nil
}

// Taken reports whether somebody is recorded, and all that came is in the hands of a worker.
func (s *Service) Taken() bool {
	s.queue.places.mu.Lock()
	recorded := len(s.queue.places.of) > 0
	s.queue.places.mu.Unlock()
	return recorded && s.Waiting() == 0
}

// Waiting is how many uses wait for a transaction.
func (s *Service) Waiting() int64 { return s.queue.waiting.all() }

// WaitingOf is how many of them are an application's.
func (s *Service) WaitingOf(applicationID string) int64 {
	s.queue.waiting.mu.Lock()
	defer s.queue.waiting.mu.Unlock()
	return s.queue.waiting.of[applicationID]
}

// KeptAnswer is how a standing is kept, as it is written and as encoding/json writes it, and what is read of it again.
func KeptAnswer(s *Standing) (written, marshalled string, read Standing, err error) {
	text, err := json.Marshal(answer{s.Total, s.Reserved, s.Start, s.End, s.Limit, s.Hard, s.Plan, s.Exceeded, s.ChargedTo.OrganizationID != ""})
	if err != nil {
		return "", "", Standing{}, err
	}
	written = writeAnswer(s)
	read, err = readAnswer(written, s.ChargedTo.ApplicationID, s.ChargedTo.UserID, s.ChargedTo.OrganizationID)
	return written, string(text), read, err
}
