package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/web/allowance"
	"github.com/sealpost/sealpost/web/signin"
)

// What times of limits may be.
const (
	minLimit = time.Second
	maxLimit = time.Hour
)

// call is one request on its way through the server: what its line in the log and the metrics will say.
type call struct {
	id        uuid.UUID // shown to the client too
	operation string    // "" until it is known
	good      slog.Level
	caller    signin.Caller
	script    bool  // a page of ours asks
	negotiate bool  // Kerberos tickets are taken
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

// Limits bounds what clients may take of one server. What is zero has a default.
type Limits struct {
	Failures signin.Failures `yaml:"failures"` // how often one may fail to show who one is

	// Handshake is how long the TLS handshake of a client may take once it has begun, where certificates are asked for: people touch
	// tokens and type PINs in it. Zero means 1m.
	Handshake time.Duration `yaml:"handshake_timeout"`
	// Header is how long the head of a request may take to arrive; zero means 5s.
	Header time.Duration `yaml:"header_timeout"`
	// Body is how long the body of a request may take to arrive; zero means 10s.
	Body time.Duration `yaml:"body_timeout"`
	// Call is how long the work may take; zero means 30s. What takes longer waits for something that is away. Agents are told.
	Call time.Duration `yaml:"call_timeout"`
	// Idle is how long a connection may wait for its next request; zero means 2m.
	Idle time.Duration `yaml:"idle_timeout"`
	// AtOnce is how many requests a listener works on at the same time; zero means 1024. More are told to come back.
	AtOnce int `yaml:"at_once"`
	// Turns is how many policies and enrolments are worked on at the same time; zero means 8 for each processor. Others wait for
	// theirs, for half of call_timeout at most, and are then told to come back: a company whose computers are all switched on at
	// eight takes no more memory.
	Turns int `yaml:"turns"`
}

func (l Limits) orDefaults() Limits {
	l.Failures = l.Failures.OrDefaults()
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&l.Handshake, time.Minute}, {&l.Header, 5 * time.Second}, {&l.Body, 10 * time.Second}, {&l.Call, 30 * time.Second}, {&l.Idle, 2 * time.Minute}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	if l.AtOnce <= 0 {
		l.AtOnce = 1024
	}
	if l.Turns <= 0 {
		l.Turns = 8 * runtime.GOMAXPROCS(0)
	}
	return l
}

// Validate returns what is wrong with the limits, nil if nothing is.
func (l Limits) Validate() error {
	var out []error
	for name, d := range map[string]time.Duration{"handshake_timeout": l.Handshake, "header_timeout": l.Header, "body_timeout": l.Body, "call_timeout": l.Call, "idle_timeout": l.Idle} {
		if d != 0 && (d < minLimit || d > maxLimit) {
			out = append(out, fmt.Errorf("%s: must lie between %v and %v", name, minLimit, maxLimit))
		}
	}
	for name, n := range map[string]int{"at_once": l.AtOnce, "turns": l.Turns, "failures.at_once": l.Failures.AtOnce} {
		if n < 0 {
			out = append(out, fmt.Errorf("%s: must not be negative", name))
		}
	}
	for name, a := range map[string]allowance.Allowance{"login": l.Failures.Login, "address": l.Failures.Address, "server": l.Failures.Server} {
		if a != (allowance.Allowance{}) && (a.Burst <= 0 || a.Every <= 0) {
			out = append(out, fmt.Errorf("failures.%s: needs both burst, at least 1, and every, longer than 0", name))
		}
	}
	return errors.Join(out...)
}

// turn waits until this request may be worked on, and returns what ends that.
func (s *Server) turn(ctx context.Context) (end func(), err error) {
	patience := time.NewTimer(s.Limits.Call / 2)
	defer patience.Stop()
	select {
	case s.turns <- struct{}{}:
		return func() { <-s.turns }, nil
	case <-patience.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// maxHeader is how many bytes the head of a request may have.
const maxHeader = 32 << 10

// entry is the first to see a request to a listener, and the last to see its answer: it gives it a name, bounds it, and
// leaves a line in the log, of the given level when all went well.
func (s *Server) entry(next http.Handler, good slog.Level) http.Handler {
	deny := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { refuse(w, r, ErrCrossOrigin) })
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(deny)
	next = origin.Handler(next)
	places := make(chan struct{}, s.Limits.AtOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, begun := &call{id: uuid.New(), good: good, script: r.Header.Get("Sec-Fetch-Dest") == "empty", negotiate: s.kerberos != nil}, time.Now()
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), callKey{}, c), s.Limits.Call)
		defer cancel()
		r = r.WithContext(ctx)
		out := &recorder{ResponseWriter: w}
		secure(out.Header(), c)
		out.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat)) // the time of everything else in the answer
		defer func() {
			if found := recover(); found != nil {
				s.recovered(out, r, found)
			}
			s.note(r, c, out, time.Since(begun))
		}()
		if r.ContentLength > api.MaxCaseBody {
			refuseUnread(out, r, ErrBodyTooBig)
			return
		}
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next.ServeHTTP(out, r)
		default:
			refuse(out, r, ErrBusy)
		}
	})
}

// refuseUnread refuses a request whose body is not read: the answer must not wait for it, nor the connection be used after.
func refuseUnread(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Connection", "close")
	refuse(w, r, err)
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
	level := c.good
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
