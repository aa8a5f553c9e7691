package web

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/web/signin"
)

// Part is one of the things that a server needs to do its work.
type Part struct {
	Name  string
	Check func(context.Context) error // nil error: it is well
}

// Asking after health costs its parts something, and anybody may ask.
const (
	healthLasts   = time.Second
	healthTimeout = 3 * time.Second
)

// health remembers the last answer for a moment.
type health struct {
	parts   []Part
	version string
	log     *slog.Logger

	mu   sync.Mutex
	last api.Health
	at   time.Time
}

func newHealth(parts []Part, version string, log *slog.Logger) *health {
	return &health{parts: parts, version: version, log: log}
}

// ask returns how the parts are. Those who ask at the same time share one answer.
func (h *health) ask(ctx context.Context) api.Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.at.IsZero() && time.Since(h.at) < healthLasts {
		return h.last
	}
	// The answer is for others too: it must not depend on this client's patience.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	said := make([]string, len(h.parts))
	var wait sync.WaitGroup
	for i, p := range h.parts {
		wait.Go(func() { said[i] = h.describe(p.Name, p.Check(ctx)) })
	}
	wait.Wait()
	out := api.Health{OK: true, Parts: make(map[string]string, len(h.parts)), Server: h.version}
	for i, p := range h.parts {
		out.Parts[p.Name] = said[i]
		out.OK = out.OK && said[i] == "ok"
	}
	h.last, h.at = out, time.Now()
	return out
}

// describe says what is wrong as far as everybody may know.
func (h *health) describe(part string, err error) string {
	if err == nil {
		return "ok"
	}
	h.log.Warn("not well", "part", part, "error", err)
	if f := fault.Of(err); f != nil && f.Detail != "" {
		return f.Detail
	}
	return "It does not work; the server's log says why."
}

type healthAnswer struct {
	Status int
	Body   api.Health
}

func (s *Server) getHealth(ctx context.Context, _ signin.Caller, _ *struct{}) (*healthAnswer, error) {
	out := &healthAnswer{Status: http.StatusOK, Body: s.health.ask(ctx)}
	if !out.Body.OK {
		out.Status = http.StatusServiceUnavailable
	}
	return out, nil
}
