package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/mailtest"
)

// opensCase brings a case to the server.
func (r *running) opensCase(t testing.TB, login string, s *record.SignedCase) {
	t.Helper()
	c := r.as(t, login)
	defer c.Close()
	_, err := c.OpenCase(t.Context(), api.CaseOpening{Case: s.Bytes()})
	must(t, err)
}

// eventsOf counts a case's events by kind.
func (i *installation) eventsOf(t testing.TB, id uuid.UUID) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, line := range i.psql(t, `select kind from audit.event where subject = 'case:`+id.String()+`'`) {
		out[strings.TrimPrefix(line, "archive.case-")]++
	}
	return out
}

// Two servers on one database: officers answer and the recipient collects at both at the same instant, several times. Every
// answer counts once, the case is approved and released once, every collection is in the log, and the keys are all there.
func TestTwoServersOneCase(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	first := i.serve(t)
	second := i.sibling(t).serve(t)
	status, s := first.enrol(t, "alice")
	alice := newRestore(t, i, status, s)
	for range 3 {
		signed := alice.draft(first)
		alice.home = t.TempDir()
		first.opensCase(t, "alice", signed)
		folder := alice.folder(second, signed.ID)
		var answers [][]byte
		for _, login := range officers {
			answers = append(answers, i.officerApproves(t, login, folder, alice.key.Certificate))
		}
		var clients []*client.Client
		for _, r := range []*running{first, second, first, second} {
			clients = append(clients, r.as(t, "alice"))
		}
		at := func(do func(n int, c *client.Client) error) {
			t.Helper()
			var wg sync.WaitGroup
			start := make(chan struct{})
			for n, c := range clients {
				for k := range answers {
					wg.Go(func() {
						<-start
						if err := do((n+k)%len(answers), c); err != nil {
							t.Error(err)
						}
					})
				}
			}
			close(start)
			wg.Wait()
		}
		at(func(n int, c *client.Client) error {
			_, err := c.AnswerCase(t.Context(), signed.ID, answers[n])
			return err
		})
		at(func(_ int, c *client.Client) error {
			_, err := c.CollectCase(t.Context(), signed.ID, 0)
			return err
		})
		if keys := alice.opens(second, signed); len(keys) != 1 {
			t.Errorf("%d keys came back", len(keys))
		}
		closed := make([]error, 2)
		var wg sync.WaitGroup
		for n, c := range clients[:2] {
			wg.Go(func() { _, closed[n] = c.CloseCase(t.Context(), signed.ID) })
		}
		wg.Wait()
		must(t, errors.Join(closed...))
		for _, c := range clients {
			c.Close()
		}
		want := map[string]int{"requested": 1, "answered": 3, "approved": 1, "released": 1, "collected": 12, "closed": 1}
		if got := i.eventsOf(t, signed.ID); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the log says %v, want %v", got, want)
		}
	}
	if n := i.db.Count(t, `select count(*) from archive.case_partials`); n != 0 {
		t.Errorf("%d sealed partials outlive their case", n)
	}
	second.stop(t)
	first.stop(t)
	i.run(t, "audit verify")
}

// The server is killed when a release is committed and nobody was told of it yet. The next one tells everybody, once.
func TestKilledBetweenReleaseAndMail(t *testing.T) {
	t.Parallel()
	i, post := newInstallation(t), mailtest.New(t, mail.StartTLS)
	i.mailsWith(t, post)
	i.foreverTLS(t)
	armed := t.TempDir() + "/kill"
	r := i.serve(t, killVariable+"="+armed)
	status, s := r.enrol(t, "alice")
	alice := newRestore(t, i, status, s)
	signed := alice.draft(r)
	r.opensCase(t, "alice", signed)
	folder := alice.folder(r, signed.ID)
	c := r.as(t, "alice")
	for _, login := range officers[:2] {
		_, err := c.AnswerCase(t.Context(), signed.ID, i.officerApproves(t, login, folder, alice.key.Certificate))
		must(t, err)
	}
	told := func(event string) []string {
		t.Helper()
		return i.psql(t, `select person from notice.mail where about = '`+event+`' and outcome = 'sent'`)
	}
	e2etest.Eventually(t, func() error {
		if len(told("approved")) == 0 {
			return errors.New("alice is not told that she may collect")
		}
		return nil
	})
	post.Stop()
	write(t, armed, "collected 1")
	if _, err := c.CollectCase(t.Context(), signed.ID, 0); !errors.Is(err, fault.Unavailable) {
		t.Errorf("the server was killed, and the client hears %v", err)
	}
	c.Close()
	if code := r.Wait(t); code != -1 {
		t.Fatalf("the server was to be killed, and ended with exit code %d", code)
	}
	if n := len(told("released")); n != 0 {
		t.Fatalf("%d mails went out without a mail server", n)
	}
	r.forgetKilled(t)
	post.Start(t)
	r = i.serve(t)
	e2etest.Eventually(t, func() error {
		if n := len(told("released")); n != 1+len(officers) {
			return fmt.Errorf("%d people are told of the release", n)
		}
		return nil
	})
	subjects := map[string]int{}
	for _, m := range post.Mails(t) {
		subjects[m.To[0]+": "+m.Header("Subject")]++
	}
	if n := subjects["alice@example.test: Your mail keys were given out"]; n != 1 {
		t.Errorf("alice is told %d times: %v", n, subjects)
	}
	if got := i.eventsOf(t, signed.ID); got["released"] != 1 || got["collected"] != 1 {
		t.Errorf("the log says %v", got)
	}
	if keys := alice.opens(r, signed); len(keys) != 1 { // what was released before the kill
		t.Errorf("%d keys came back", len(keys))
	}
	r.stop(t)
}

// An officer's certificate is revoked while a case is open: their approval counts no more, they cannot give another, and
// two others do.
func TestOfficerRevokedMidCase(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	r := i.serve(t)
	status, s := r.enrol(t, "alice")
	alice := newRestore(t, i, status, s)
	signed, next := alice.draft(r), alice.draft(r)
	r.opensCase(t, "alice", signed)
	heard := strings.Join(record.Fingerprint(alice.key.Certificate).Words()[:5], " ")
	approve := func(login string) e2etest.Command {
		return r.officer(t, login, "approve", signed.ID.String(), "--fingerprint", heard)
	}
	e2etest.Good(t, approve("olivia"))
	c := r.as(t, "alice")
	defer c.Close()
	k, err := c.Case(t.Context(), signed.ID)
	must(t, err)
	roster, err := record.ParseRoster(k.Roster)
	must(t, err)
	issuer, serial, _ := strings.Cut(i.psql(t, `select issuer || '/' || encode(serial, 'hex') from ca.prepared where profile = 'recovery-agent-signing'
		and person = '`+roster.Plan.Agents[0].Person.String()+`'`)[0], "/")
	registrar := r.as(t, "rita")
	defer registrar.Close()
	_, err = registrar.Revoke(t.Context(), issuer, serial, api.RevocationRequest{Reason: "keyCompromise"})
	must(t, err)
	e2etest.Good(t, approve("oscar"))
	if k, err := c.Case(t.Context(), signed.ID); err != nil || k.State != api.CaseRequested || len(k.Answers) != 2 {
		t.Errorf("with an approval of who is revoked: %s, %d answers, %v", k.State, len(k.Answers), err)
	}
	if _, err := c.CollectCase(t.Context(), signed.ID, 0); codeOf(err) != "case-state" || !strings.Contains(err.Error(), "1 more agents must approve") {
		t.Errorf("collecting: %v", err)
	}
	e2etest.Good(t, approve("otto"))
	_, err = c.CollectCase(t.Context(), signed.ID, 0)
	must(t, err)
	alice.home = t.TempDir()
	alice.folder(r, signed.ID)
	if keys := alice.opens(r, signed); len(keys) != 1 {
		t.Errorf("%d keys came back", len(keys))
	}
	r.opensCase(t, "alice", next)
	e2etest.Bad(t, r.officer(t, "olivia", "approve", next.ID.String(), "--fingerprint", heard), "Olivia Officer is revoked")
	r.stop(t)
}

// Officers' clocks need not be the server's. One that is far off is told so, loses nothing, and the same answer counts once
// the clocks agree.
func TestServersClockIsOff(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.foreverTLS(t)
	ahead := func(d time.Duration) string { return fmt.Sprintf("%s=%s", clockVariable, d) }
	r := i.serve(t, ahead(4*time.Minute))
	status, s := r.enrol(t, "alice")
	alice := newRestore(t, i, status, s)
	signed, late := alice.draft(r), alice.draft(r)
	r.opensCase(t, "alice", signed)
	heard := strings.Join(record.Fingerprint(alice.key.Certificate).Words()[:5], " ")
	approve := func(r *running, login string) e2etest.Command {
		return r.officer(t, login, "approve", signed.ID.String(), "--fingerprint", heard, "--roots", i.path("tls.pem"))
	}
	e2etest.Good(t, approve(r, "olivia"))
	r.stop(t)
	r = i.serve(t, ahead(-20*time.Minute))
	e2etest.Bad(t, approve(r, "otto"), "from the future", "clock")
	r.stop(t)
	r = i.serve(t, ahead(20*time.Minute))
	c := r.as(t, "alice")
	if _, err := c.OpenCase(t.Context(), api.CaseOpening{Case: late.Bytes()}); codeOf(err) != "case-refused" || !strings.Contains(err.Error(), "Check the clock") {
		t.Errorf("opened by a clock twenty minutes behind: %v", err)
	}
	c.Close()
	r.stop(t)
	r = i.serve(t)
	if out := e2etest.Good(t, approve(r, "otto")); !strings.Contains(out, "It was sent.") {
		t.Errorf("approve:\n%s", out)
	}
	c = r.as(t, "alice")
	defer c.Close()
	k, err := c.Case(t.Context(), signed.ID)
	var agents []int
	for _, a := range k.Answers {
		agents = append(agents, a.Agent)
	}
	if slices.Sort(agents); err != nil || k.State != api.CaseApproved || !slices.Equal(agents, []int{1, 3}) {
		t.Errorf("%s, answers of %v, %v", k.State, agents, err)
	}
	r.stop(t)
}
