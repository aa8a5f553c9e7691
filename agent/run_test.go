package agent_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/agent/store"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// unattended starts an agent that asks with its certificate, or else by the login.
func (w *workstation) unattended(t *testing.T, change func(*client.Config)) *agent.Agent {
	t.Helper()
	cfg := agent.Config{Dir: w.dir, Server: w.config(), Anchors: []*x509.Certificate{w.pki.root}, Poll: time.Millisecond, Now: w.clock.now, Unattended: true}
	change(&cfg.Server)
	a, err := agent.New(cfg)
	must(t, err)
	return a
}

// A server that is away for a week costs nothing that is here, and is not asked by everybody at once when it is back.
func TestRunBacksOff(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	r, err := w.unattended(t, asAlice).Run(t.Context(), agent.RunOptions{})
	must(t, err)
	if !r.Enrolled || len(r.Identities) != 1 || !r.Next.After(w.clock.at) {
		t.Fatalf("%+v", r)
	}
	id := r.Identities[0]
	asked := len(w.seen)
	if r, err = w.unattended(t, asAlice).Run(t.Context(), agent.RunOptions{}); err != nil || !r.Early || len(w.seen) != asked {
		t.Errorf("at once again: %+v, %v, asked %d times", r, err, len(w.seen)-asked)
	}
	due, err := id.Due()
	must(t, err)
	w.clock.at = due.Add(time.Hour)
	w.mu.Lock()
	w.away = true
	w.mu.Unlock()
	before := time.Duration(0)
	for i := range 14 {
		r, err := w.unattended(t, asAlice).Run(t.Context(), agent.RunOptions{})
		if err == nil || r.Early || r.Renewed > 0 {
			t.Fatalf("run %d while the server is away: %+v, %v", i, r, err)
		}
		pause := r.Next.Sub(w.clock.at)
		if pause <= 0 || pause > 12*time.Hour || i < 8 && pause < before/2 { // the next is from 1 to 2 times the last: chance decides
			t.Errorf("pause %d is %v after %v", i, pause, before)
		}
		before = pause
		if st, err := w.unattended(t, asAlice).Schedule(); err != nil || st.Failures != i+1 || st.Code == "" || !st.Next.Equal(r.Next) {
			t.Errorf("schedule: %+v, %v", st, err)
		}
		w.clock.at = r.Next
	}
	if before < 6*time.Hour {
		t.Errorf("the last pause is %v", before)
	}
	w.mu.Lock()
	w.away = false
	w.mu.Unlock()
	if r, err = w.unattended(t, asAlice).Run(t.Context(), agent.RunOptions{}); err != nil || r.Renewed != 1 {
		t.Fatalf("back again: %+v, %v", r, err)
	}
	if st, err := w.unattended(t, asAlice).Schedule(); err != nil || st.Failures != 0 || st.Code != "" {
		t.Errorf("schedule: %+v, %v", st, err)
	}
	checkFolder(t, r.Identities[0], 3)
}

// A clock that was set back does not keep the agent asleep for a year.
func TestRunAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	_, err := w.unattended(t, asAlice).Run(t.Context(), agent.RunOptions{})
	must(t, err)
	w.clock.at = start.AddDate(0, 0, -30)
	if r, err := w.unattended(t, asAlice).Run(t.Context(), agent.RunOptions{}); err != nil || r.Early {
		t.Errorf("%+v, %v", r, err)
	}
}

// Nobody is enrolled, and nothing says who should be: that is a failure that a person is told of, and the pause is long.
func TestRunOfNobody(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	r, err := w.unattended(t, byCertificate).Run(t.Context(), agent.RunOptions{})
	if !errors.Is(err, agent.ErrNoIdentity) || len(w.seen) != 0 {
		t.Fatalf("%+v, %v; asked %q", r, err, w.seen)
	}
	// A damaged file of its own stops it, and is not written over.
	path := filepath.Join(w.dir, "runs.json")
	write(t, path, []byte("{"))
	if _, err := w.unattended(t, byCertificate).Run(t.Context(), agent.RunOptions{}); !errors.Is(err, agent.ErrState) || readFile(t, path) != "{" {
		t.Errorf("%v", err)
	}
}

// Two at once: one works, the other says so, and is back soon.
func TestRunTwice(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	first := w.unattended(t, asAlice)
	first.SetAfter(func(step string) error {
		if step != "send" {
			return nil
		}
		r, err := w.unattended(t, asAlice).Run(t.Context(), agent.RunOptions{})
		if !errors.Is(err, agent.ErrBusy) || r == nil || r.Next.Sub(w.clock.at) != time.Minute {
			t.Errorf("the second: %+v, %v", r, err)
		}
		return nil
	})
	if r, err := first.Run(t.Context(), agent.RunOptions{}); err != nil || !r.Enrolled {
		t.Errorf("the first: %+v, %v", r, err)
	}
	if len(w.requests) != 1 {
		t.Errorf("%d requests", len(w.requests))
	}
}

// Stopped after any step, the next run brings it to its end, with one pair.
func TestRunAfterACrash(t *testing.T) {
	t.Parallel()
	for _, step := range agent.Steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w := newWorkstation(t)
			a := w.unattended(t, asAlice)
			crash := errors.New("crash")
			a.SetAfter(func(s string) error {
				if s == step {
					return crash
				}
				return nil
			})
			if _, err := a.Run(t.Context(), agent.RunOptions{}); !errors.Is(err, crash) {
				t.Fatalf("%v", err)
			}
			r, err := w.unattended(t, asAlice).Run(t.Context(), agent.RunOptions{Force: true})
			if err != nil || len(r.Identities) != 1 || len(w.requests) != 1 {
				t.Fatalf("%+v, %v; %d requests", r, err, len(w.requests))
			}
			checkFolder(t, r.Identities[0], 2)
		})
	}
}

// Key stores are filled when there is something new for them, and again after they failed.
func TestRunFills(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	nss := store.NSS{Dir: filepath.Join(t.TempDir(), "profile")}
	write(t, nss.Dir, nil) // a file stands where the database should be
	opt := agent.RunOptions{Force: true, Enrol: agent.EnrolOptions{Stores: agent.Stores{NSS: agent.Databases{nss}}}}
	r, err := w.unattended(t, asAlice).Run(t.Context(), opt)
	if !errors.Is(err, store.ErrStore) || !r.Enrolled || len(r.Filled) != 1 || r.Filled[0].Err == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	must(t, os.Remove(nss.Dir))
	for i, want := range []int{1, 0, 0} { // filled, and then left alone
		if r, err = w.unattended(t, asAlice).Run(t.Context(), opt); err != nil || len(r.Filled) != want {
			t.Errorf("run %d: %+v, %v", i, r, err)
		}
	}
	due, err := r.Identities[0].Due()
	must(t, err)
	w.clock.at = due
	if r, err = w.unattended(t, asAlice).Run(t.Context(), opt); err != nil || r.Renewed != 1 || len(r.Filled) != 1 {
		t.Errorf("after a renewal: %+v, %v", r, err)
	}
}

// unattended starts an agent there for runs that nobody starts.
func (m *machine) unattended() *agent.Agent {
	m.t.Helper()
	a, err := agent.New(agent.Config{Dir: m.dir, Unattended: true, Poll: m.poll, Now: m.Clock.Now, Anchors: []*x509.Certificate{m.PKI.Root},
		Server: client.Config{BaseURL: m.url, Roots: m.tls, Backoff: time.Millisecond, Retries: 1, Login: m.login, Password: slapdtest.Password(m.login)}})
	must(m.t, err)
	return a
}

var runOptions = agent.RunOptions{Force: true, Restore: true, Enrol: agent.EnrolOptions{Enrolment: housetest.Pair, Patience: time.Minute}}

// A second machine gets the older keys with no question asked of the person but the officers' call. It asks once.
func TestRunRestores(t *testing.T) {
	o := newOffice(t)
	first := o.machine("alice")
	r, err := first.unattended().Run(t.Context(), runOptions)
	if err != nil || !r.Enrolled || len(r.Waiting) > 0 || o.events("archive.case-requested") != 0 {
		t.Fatalf("the first machine, which has all there is: %+v, %v", r, err)
	}
	second := o.machine("alice")
	r, err = second.unattended().Run(t.Context(), runOptions)
	if err != nil || !r.Enrolled || len(r.Waiting) != 1 || r.Next.Sub(o.Clock.Now()) > time.Hour {
		t.Fatalf("the second: %+v, %v", r, err)
	}
	st, err := second.unattended().BegunRestores()
	if err != nil || len(st) != 1 || len(st[0].Words) != 16 {
		t.Fatalf("%+v, %v", st, err)
	}
	o.approve(st[0].Cases[0].ID, "olivia", "otto")
	r, err = second.unattended().Run(t.Context(), runOptions)
	if err != nil || r.Restored != 1 || len(r.Waiting) > 0 {
		t.Fatalf("approved: %+v, %v", r, err)
	}
	checkFolder(t, r.Identities[0], 3)
	third := o.machine("alice")
	_, err = third.unattended().Run(t.Context(), runOptions)
	must(t, err)
	if st, err = third.unattended().BegunRestores(); err != nil || len(st) != 1 {
		t.Fatalf("%+v, %v", st, err)
	}
	o.deny("olivia", st[0].Cases[0].ID, "Nobody answered the telephone.")
	o.deny("otto", st[0].Cases[0].ID, "Nobody answered the telephone.")
	if _, err = third.unattended().Run(t.Context(), runOptions); !errors.Is(err, agent.ErrCaseEnded) {
		t.Errorf("refused: %v", err)
	}
	for range 2 { // and does not ask again by itself
		if r, err = third.unattended().Run(t.Context(), runOptions); err != nil || len(r.Waiting) > 0 {
			t.Errorf("after that: %+v, %v", r, err)
		}
	}
	if n := o.events("archive.case-requested"); n != 2 {
		t.Errorf("%d cases were opened", n)
	}
}

// Certificates that were revoked, or that ended while the machine was off, are no dead end where something else says who asks.
func TestRunWithoutItsCertificate(t *testing.T) {
	o := newOffice(t)
	m := o.machine("alice")
	opt := runOptions
	opt.Restore = false
	r, err := m.unattended().Run(t.Context(), opt)
	must(t, err)
	_, err = o.PKI.Authority.RevokeAll(t.Context(), o.Actor(t, "rita"), ca.Query{Person: &r.Identities[0].Person.ID}, ca.Revocation{Reason: ca.KeyCompromise}, nil)
	must(t, err)
	due, err := r.Identities[0].Due()
	must(t, err)
	o.Clock.Advance(due.Sub(o.Clock.Now()) + time.Hour)
	must(t, o.Enroll.EnsureKeys(t.Context()))
	if _, err = m.agent(false).Renew(t.Context(), agent.RenewOptions{}); err == nil {
		t.Error("a revoked certificate renewed itself")
	}
	if r, err = m.unattended().Run(t.Context(), opt); err != nil || r.Renewed != 1 {
		t.Fatalf("revoked: %+v, %v", r, err)
	}
	leaf, err := r.Identities[0].Signing().Leaf()
	must(t, err)
	o.Clock.Advance(leaf.NotAfter.Sub(o.Clock.Now()) + 24*time.Hour)
	must(t, o.Enroll.EnsureKeys(t.Context()))
	if r, err = m.unattended().Run(t.Context(), opt); err != nil || r.Renewed != 1 {
		t.Fatalf("ended: %+v, %v", r, err)
	}
	checkFolder(t, r.Identities[0], 4)
}

func TestDaemon(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	at := start
	passes := 0
	agent.Daemon(ctx, func() time.Time { return at }, func(context.Context) time.Time {
		if passes++; passes == 4 {
			cancel()
			return at.Add(time.Hour)
		}
		return at.Add(-time.Hour) // is due again
	})
	if passes != 4 {
		t.Errorf("%d passes", passes)
	}
}
