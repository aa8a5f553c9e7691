package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
)

// call is one request on its way through the server: what its line in the log and the metrics will say.
type call struct {
	id        uuid.UUID // shown to the client too
	operation string    // "" until it is known
	caller    Caller
	err       error // why it was refused, with the cause that is not shown
	code      string
}

type callKey struct{}

// callOf returns the request's call. The context carries nothing else.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{} // outside a request: the document is being made
}

// Limits of a request. A registrar's list of 500 requests takes some 20 ms; what takes longer than the timeout waits for
// something that is away.
const (
	callTimeout   = 30 * time.Second
	bodyTimeout   = 10 * time.Second
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10 // bytes
)

// entry is the first to see a request to the API, and the last to see its answer: it gives it a name, bounds it, and
// leaves one line in the log.
func (s *Server) entry(next http.Handler) http.Handler {
	deny := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { refuse(w, r, ErrCrossOrigin) })
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(deny)
	next = origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, begun := &call{id: uuid.New()}, time.Now()
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), callKey{}, c), callTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		out := &recorder{ResponseWriter: w}
		secure(out.Header(), c)
		defer func() {
			if found := recover(); found != nil {
				s.recovered(out, r, found)
			}
			s.note(r, c, out, time.Since(begun))
		}()
		if r.ContentLength > api.MaxBody {
			// The answer must not wait for the body, nor the connection be used after it.
			out.Header().Set("Connection", "close")
			refuse(out, r, ErrBodyTooBig)
			return
		}
		next.ServeHTTP(out, r)
	})
}

// secure sets the headers of every answer. There is no Strict-Transport-Security: it would turn browsers away from the
// revocation lists that the same host serves over plain HTTP.
func secure(h http.Header, c *call) {
	h["Cache-Control"] = noStore
	h["Content-Security-Policy"] = noContent
	h["Referrer-Policy"] = noReferrer
	h["X-Content-Type-Options"] = noSniff
	h["Request-Id"] = []string{c.id.String()}
}

// The values of these headers, made once.
var (
	noStore    = []string{"no-store"}
	noContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
	noSniff    = []string{"nosniff"}
)

// recovered answers for a handler that panicked. When the answer had begun it is cut short, and its reader will notice:
// half a JSON document is none.
func (s *Server) recovered(w *recorder, r *http.Request, found any) {
	err := fmt.Errorf("panic: %v", found)
	if w.status != 0 {
		callOf(r.Context()).err = err
		return
	}
	s.Log.ErrorContext(r.Context(), "handler panicked", "id", callOf(r.Context()).id, "panic", found, "stack", string(debug.Stack()))
	refuse(w, r, err)
}

// note leaves one line in the log, and counts. Neither query strings nor headers nor bodies are in it: they hold
// addresses, passwords, tokens and keys.
func (s *Server) note(r *http.Request, c *call, w *recorder, took time.Duration) {
	s.metrics.observe(c.operation, w.status, took)
	level := slog.LevelInfo
	switch {
	case w.status >= 500 && w.status != http.StatusServiceUnavailable:
		level = slog.LevelError
	case w.status >= 500:
		level = slog.LevelWarn
	}
	if !s.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs, slog.String("id", c.id.String()), slog.String("method", r.Method), slog.String("path", clip(r.URL.Path)),
		slog.Int("status", w.status), slog.Int64("bytes", w.bytes), slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("from", r.RemoteAddr))
	if by := c.caller.Actor; by.Person != uuid.Nil {
		attrs = append(attrs, slog.String("person", by.Person.String()), slog.String("by", string(by.Method)))
	}
	if c.err != nil {
		attrs = append(attrs, slog.String("code", c.code), slog.String("error", c.err.Error()))
	}
	s.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader remembers the first final status.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController, and huma, which set deadlines.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
