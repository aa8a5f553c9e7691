package web_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/web"
)

// Who asks when everybody does waits for a turn, and is told to come back if none comes. Nobody waits longer than the policy says.
func TestTurns(t *testing.T) {
	r := setup(t, func(c *web.Config) { c.Limits = web.Limits{Turns: 1, Call: 4 * time.Second} })
	policy := func() reply { return r.ask(t, person("alice"), http.MethodGet, "/policy", nil) }
	var told api.Policy
	must(t, json.Unmarshal(policy().body, &told))
	if told.AnswerWithin != 4 {
		t.Errorf("answers within %d s", told.AnswerWithin)
	}
	end, err := web.TakeTurn(t.Context(), r.Server)
	must(t, err)
	got := policy()
	if got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("no turn came: %d %v", got.status, got.header)
	}
	if got := r.ask(t, person("alice"), http.MethodGet, "/certificates", nil); got.status != 200 {
		t.Errorf("what takes no turn: %d", got.status)
	}
	answers := make(chan int)
	go func() { answers <- policy().status }()
	select {
	case status := <-answers:
		t.Errorf("answered %d without a turn", status)
	case <-time.After(200 * time.Millisecond):
	}
	end()
	if status := <-answers; status != 200 {
		t.Errorf("its turn came: %d", status)
	}
}
