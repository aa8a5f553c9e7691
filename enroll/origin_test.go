package enroll_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
)

// How a request came is kept, for its person and those who look after requests.
func TestOrigins(t *testing.T) {
	h := setup(t)
	alice, bob, rita := h.Actor(t, "alice"), h.Actor(t, "bob"), h.Actor(t, "rita")
	submit := func(agent string) *enroll.Request {
		s, _ := h.Submission(t, alice, housetest.Pair)
		s.Agent = agent
		req, err := h.Enroll.Submit(t.Context(), alice, s)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	plain, long, evil := submit("sealpost-agent/1.0 (linux; laptop-7)"), submit(strings.Repeat("x", 1000)), submit("a\x00b\n<é>")
	ids := []uuid.UUID{plain.ID, long.ID, evil.ID, uuid.New()}
	for _, by := range []audit.Actor{alice, rita} {
		got, err := h.Enroll.Origins(t.Context(), by, alice.Person, ids)
		if err != nil || len(got) != 3 {
			t.Fatalf("%s: %v %v", by.Name, got, err)
		}
		if o := got[plain.ID]; o.Agent != "sealpost-agent/1.0 (linux; laptop-7)" || o.By.Person != alice.Person || o.By.Method != audit.MethodPassword || !o.At.Equal(plain.ReceivedAt.Truncate(1000)) {
			t.Errorf("%+v", o)
		}
		if o := got[long.ID]; len(o.Agent) != 256 {
			t.Errorf("%d bytes", len(o.Agent))
		}
		if o := got[evil.ID]; o.Agent != "a?b?<?>" {
			t.Errorf("%q", o.Agent)
		}
	}
	for what, ask := range map[string]func() (map[uuid.UUID]enroll.Origin, error){
		"somebody else": func() (map[uuid.UUID]enroll.Origin, error) {
			return h.Enroll.Origins(t.Context(), bob, alice.Person, ids)
		},
		"another's ids": func() (map[uuid.UUID]enroll.Origin, error) {
			return h.Enroll.Origins(t.Context(), bob, bob.Person, ids)
		},
		"nothing at all": func() (map[uuid.UUID]enroll.Origin, error) {
			return h.Enroll.Origins(t.Context(), alice, alice.Person, nil)
		},
		"nobody's person": func() (map[uuid.UUID]enroll.Origin, error) { return h.Enroll.Origins(t.Context(), rita, uuid.Nil, ids) },
	} {
		if got, err := ask(); err != nil || len(got) != 0 {
			t.Errorf("%s: %v %v", what, got, err)
		}
	}
}
