package session_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/web/session"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bench has sessions at a time of its own.
type bench struct {
	*session.Sessions
	database pgtest.Database
	mu       sync.Mutex
	at       time.Time
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *bench) later(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
}

func setup(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	b := &bench{database: pgtest.NewDatabase(t), at: time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)}
	var err error
	b.Sessions, err = session.New(session.Config{DB: pgtest.Open(t, b.database), Now: b.now,
		Policy: session.Policy{Idle: 20 * time.Minute, Longest: 8 * time.Hour, Fresh: 5 * time.Minute}})
	must(t, err)
	return b
}

func person() audit.Actor {
	return audit.Actor{Person: uuid.New(), Name: "Alice Anders", Roles: []audit.Role{audit.Subscriber}, Method: audit.MethodPassword, Strength: audit.StrengthPassword}
}

func (b *bench) begin(t *testing.T, by audit.Actor) (string, session.Session) {
	t.Helper()
	secret, s, err := b.Begin(t.Context(), by, []audit.Role{audit.Auditor}, "Test/1.0")
	must(t, err)
	return secret, s
}

func (b *bench) ended(t *testing.T, what, secret string) {
	t.Helper()
	if _, err := b.Resume(t.Context(), secret); !errors.Is(err, session.ErrEnded) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestSessionGoesOnUntilItsPersonEndsIt(t *testing.T) {
	b := setup(t)
	alice := person()
	secret, begun := b.begin(t, alice)
	for range 3 {
		b.later(19 * time.Minute)
		s, err := b.Resume(t.Context(), secret)
		must(t, err)
		if s.Person != alice.Person || s.Method != audit.MethodPassword || s.Strength != audit.StrengthPassword || s.Agent != "Test/1.0" || s.ID != begun.ID ||
			len(s.Roles) != 1 || s.Roles[0] != audit.Auditor || !s.Began.Equal(begun.Began) || !s.Seen.Equal(b.now()) {
			t.Errorf("%+v", s)
		}
	}
	must(t, b.End(t.Context(), alice, secret))
	b.ended(t, "after its end", secret)
	must(t, b.End(t.Context(), alice, secret))
	for _, kind := range []string{"session.begun", "session.ended"} {
		if n := b.database.Count(t, `select count(*) from audit.event where kind = '`+kind+`'`); n != 1 {
			t.Errorf("%d events %s", n, kind)
		}
	}
}

func TestNobodyGuessesASession(t *testing.T) {
	b := setup(t)
	secret, s := b.begin(t, person())
	for what, guess := range map[string]string{"nothing": "", "its id": s.ID.String(), "another": strings.Repeat("A", len(secret)), "a part": secret[:42], "quotes": "' or true --"} {
		b.ended(t, what, guess)
	}
	if n := b.database.Count(t, `select count(*) from web.session s where s::text like '%`+secret+`%'`); n != 0 {
		t.Error("the database has the secret")
	}
}

func TestSessionEndsByItself(t *testing.T) {
	b := setup(t)
	idle, _ := b.begin(t, person())
	b.later(20 * time.Minute)
	b.ended(t, "idle", idle)
	busy, _ := b.begin(t, person()) // which also takes the idle one away
	if n := b.database.Count(t, `select count(*) from web.session`); n != 1 {
		t.Errorf("%d sessions are kept", n)
	}
	for range 31 {
		b.later(15 * time.Minute)
		_, err := b.Resume(t.Context(), busy)
		must(t, err)
	}
	b.later(15 * time.Minute)
	b.ended(t, "after a day", busy)
}

func TestProofRenewsTheSecret(t *testing.T) {
	b := setup(t)
	alice := person()
	secret, s := b.begin(t, alice)
	if !b.Fresh(s) {
		t.Error("who has just signed in is not fresh")
	}
	b.later(5 * time.Minute)
	if b.Fresh(s) {
		t.Error("fresh for too long")
	}
	if _, _, err := b.Prove(t.Context(), secret, person()); !errors.Is(err, session.ErrEnded) {
		t.Errorf("somebody else's proof: %v", err)
	}
	alice.Method, alice.Strength = audit.MethodCertificate, audit.StrengthCertificate
	renewed, s, err := b.Prove(t.Context(), secret, alice)
	must(t, err)
	b.ended(t, "the old secret", secret)
	again, err := b.Resume(t.Context(), renewed)
	must(t, err)
	if again.ID != s.ID || again.Method != audit.MethodCertificate || again.Strength != audit.StrengthCertificate || !b.Fresh(again) {
		t.Errorf("%+v", again)
	}
}

// Of two proofs at once one renews the secret, and the other finds that it is no more.
func TestTwoProofsAtOnce(t *testing.T) {
	b := setup(t)
	alice := person()
	secret, _ := b.begin(t, alice)
	errs := make([]error, 8)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { _, _, errs[i] = b.Prove(t.Context(), secret, alice) })
	}
	wait.Wait()
	good := 0
	for _, err := range errs {
		if err == nil {
			good++
		} else if !errors.Is(err, session.ErrEnded) {
			t.Error(err)
		}
	}
	if good != 1 {
		t.Errorf("%d proofs renewed the secret", good)
	}
}

func TestEndOthers(t *testing.T) {
	b := setup(t)
	alice, bob := person(), person()
	here, s := b.begin(t, alice)
	there, _ := b.begin(t, alice)
	bobs, _ := b.begin(t, bob)
	if list, err := b.Of(t.Context(), alice.Person); err != nil || len(list) != 2 {
		t.Errorf("%d sessions, %v", len(list), err)
	}
	must(t, b.EndOthers(t.Context(), alice, s.ID))
	b.ended(t, "there", there)
	for _, secret := range []string{here, bobs} {
		_, err := b.Resume(t.Context(), secret)
		must(t, err)
	}
	must(t, b.EndOthers(t.Context(), alice, uuid.Nil))
	b.ended(t, "here", here)
}

func TestPolicyIsChecked(t *testing.T) {
	t.Parallel()
	if err := (session.Policy{}).Validate(); err != nil {
		t.Error(err)
	}
	for want, p := range map[string]session.Policy{
		"idle: is negative":                     {Idle: -1},
		"longest: is negative":                  {Longest: -1},
		"fresh: is negative":                    {Fresh: -1},
		"idle: must not be longer than longest": {Idle: 24 * time.Hour},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What browsers call themselves is shown on pages and kept in the log: it holds no surprises.
func TestAgentIsPlainText(t *testing.T) {
	b := setup(t)
	_, s, err := b.Begin(t.Context(), person(), nil, "Müller\x00\n\u202e"+strings.Repeat("x", 1000))
	must(t, err)
	if len(s.Agent) != 256 || !strings.HasPrefix(s.Agent, "M?ller???x") {
		t.Errorf("%q", s.Agent)
	}
}
