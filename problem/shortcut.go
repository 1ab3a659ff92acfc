package problem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
)

// A Shortcut answers the requests of one operation that are plainly good. Huma looks at each body three times and at everything through
// reflection, which costs more than many an operation itself.
type Shortcut[I any, O Appender] struct {
	// Read fills in from a request, or reports that it will not: what is wrong, or only unusual, is for huma to tell. It must never
	// take what huma refuses, nor take it otherwise.
	Read func(in *I, header http.Header, body []byte) bool
	// Act is the operation's handler, with the body of its answer. What it keeps, or leaves to others, must not refer to the body of the
	// request, whose room is used again once Act has returned.
	Act func(ctx context.Context, in *I) (O, error)
}

// Before puts the shortcut in front of the operation, behind the middlewares of its group.
func (s Shortcut[I, O]) Before(api huma.API, op huma.Operation) huma.Operation {
	if op.BodyReadTimeout < 0 || op.MaxBodyBytes < 0 {
		panic("problem: " + op.OperationID + " has no limits, which a shortcut needs")
	}
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) { s.serve(api, ctx, next) })
	return op
}

func (s Shortcut[I, O]) serve(api huma.API, ctx huma.Context, next func(huma.Context)) {
	op, r := ctx.Operation(), humaecho.Unwrap(ctx).Request()
	if !takesJSON(r.Header) {
		next(ctx)
		return
	}
	buffer := buffers.Get().(*bytes.Buffer)
	defer release(buffer)
	_ = ctx.SetReadDeadline(time.Now().Add(op.BodyReadTimeout))
	n, err := buffer.ReadFrom(io.LimitReader(r.Body, op.MaxBodyBytes))
	in := new(I)
	if err != nil || n == op.MaxBodyBytes || !s.Read(in, r.Header, buffer.Bytes()) {
		next(&readAgain{ctx, &replay{r.Body, bytes.NewReader(buffer.Bytes()), err}})
		return
	}
	out, err := s.Act(ctx.Context(), in)
	if err != nil {
		_ = huma.WriteErr(api, ctx, http.StatusInternalServerError, "unexpected error occurred", err)
		return
	}
	ctx.SetHeader("Content-Type", "application/json")
	ctx.SetStatus(op.DefaultStatus)
	if err := jsonFormat.Marshal(ctx.BodyWriter(), out); err != nil && !errors.Is(ctx.Context().Err(), context.Canceled) {
		panic(fmt.Errorf("write the answer: %w", err))
	}
}

// What nearly all requests say that they bring, and what they want. Huma makes application/json of each.
var (
	plainContentTypes = []string{"application/json", "application/json; charset=utf-8"}
	plainAccepts      = []string{"", "*/*", "application/json", "application/json, text/plain, */*"}
)

func takesJSON(header http.Header) bool {
	return slices.Contains(plainContentTypes, header.Get("Content-Type")) && slices.Contains(plainAccepts, header.Get("Accept"))
}

// readAgain is a request for huma whose body was read already.
type readAgain struct {
	inner
	body *replay
}

func (r *readAgain) Unwrap() huma.Context { return r.inner }

func (r *readAgain) BodyReader() io.Reader { return r.body }

// SetReadDeadline lets nobody have the time for the body twice.
func (r *readAgain) SetReadDeadline(time.Time) error { return nil }

// replay is a body that was read already, with how that ended.
type replay struct {
	io.Closer
	body *bytes.Reader
	err  error
}

func (b *replay) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && b.err != nil {
		err = b.err
	}
	return n, err
}

// buffers are for bodies on their way in and out.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// release gives a buffer back, unless something huge was in it.
func release(buffer *bytes.Buffer) {
	if buffer.Cap() <= 256<<10 {
		buffer.Reset()
		buffers.Put(buffer)
	}
}
