package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/fleet"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/housetest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/slapdtest"
	"github.com/sealpost/sealpost/web"
)

// company is the real server on a real PostgreSQL and slapd. Its TLS certificate is the authority's own, so that agents
// need the root and nothing else.
type company struct {
	*housetest.House
	t   *testing.T
	url string
}

func startCompany(t *testing.T) *company {
	t.Helper()
	c := &company{House: housetest.New(t), t: t}
	key := pkitest.NewKey(t, ca.P256)
	issued := c.PKI.Issue(t, ca.Request{ID: uuid.New(), Profile: ca.ServerTLS, DNSNames: []string{"localhost"}, PublicKey: pkitest.SPKI(key.Public())})
	certificate := &tls.Certificate{Certificate: [][]byte{issued[0].DER, c.PKI.Issuing.Raw}, PrivateKey: key}
	machines, err := fleet.New(fleet.Config{DB: c.DB, Audit: c.Audit, Now: c.Clock.Now})
	must(t, err)
	server, err := web.New(web.Config{Fleet: machines, Registry: c.Enroll, Authority: c.PKI.Authority, Archive: c.Archive, Recovery: c.Recovery, Directory: c.Directory, Audit: c.Audit,
		Version: "test", Now: c.Clock.Now, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }})
	must(t, err)
	var l web.Listeners
	for _, listener := range []*net.Listener{&l.API, &l.Public, &l.Metrics} {
		*listener, err = net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
	}
	_, port, err := net.SplitHostPort(l.API.Addr().String())
	must(t, err)
	c.url = "https://localhost:" + port
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	return c
}

func (c *company) writeRoot(path string) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.PKI.Root.Raw}), 0o600)
}

// decide has the registrar decide every request that waits for her, which must be something.
func (c *company) decide(ts *testscript.TestScript, do func(ctx context.Context, rita audit.Actor, id uuid.UUID) (*enroll.Request, error)) {
	rita := c.Actor(c.t, "rita")
	waiting, err := c.Enroll.List(c.t.Context(), rita, enroll.Submitted, uuid.Nil, 100)
	ts.Check(err)
	if len(waiting) == 0 {
		ts.Fatalf("nothing waits")
	}
	for _, req := range waiting {
		_, err := do(c.t.Context(), rita, req.ID)
		ts.Check(err)
	}
}

// The scripts are journeys of people through the real program and the real server; openssl looks at what they get.
func TestJourneys(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/journey/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("scripts: %v, %v", scripts, err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			t.Parallel()
			c := startCompany(t)
			testscript.Run(t, testscript.Params{Files: []string{script}, Cmds: c.commands(), Setup: func(e *testscript.Env) error {
				e.Setenv("SERVER", c.url)
				e.Setenv("RECIPIENT", record.Fingerprint(c.Recipient.Certificate).String()[:20])
				e.Setenv("LATER", time.Now().AddDate(0, 1, 0).Format(time.DateOnly))
				return errors.Join(prepare(e), c.writeRoot(filepath.Join(e.WorkDir, "root.pem")))
			}})
			c.Settled(t)
		})
	}
}

func (c *company) commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"endorse": func(ts *testscript.TestScript, _ bool, _ []string) { c.decide(ts, c.Enroll.Endorse) },
		"reject": func(ts *testscript.TestScript, _ bool, args []string) {
			c.decide(ts, func(ctx context.Context, rita audit.Actor, id uuid.UUID) (*enroll.Request, error) {
				return c.Enroll.Reject(ctx, rita, id, args[0])
			})
		},
		// token FILE MAILBOX: the registrar makes a token.
		"token": func(ts *testscript.TestScript, _ bool, args []string) {
			token, err := c.Enroll.MintToken(c.t.Context(), c.Actor(c.t, "rita"), args[1], "", enroll.TokenOrder{Life: time.Hour})
			ts.Check(err)
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(token.Secret+"\n"), 0o600))
		},
		// behalf PERSON OFFICER N: the record has it N times that the officer had a token made to use it for the person, and that it was used.
		"behalf": func(ts *testscript.TestScript, _ bool, args []string) {
			made, spent := c.onBehalf(args[0], args[1])
			if args[2] != strconv.Itoa(made) || made != spent {
				ts.Fatalf("%d tokens made, %d spent, want %s", made, spent, args[2])
			}
		},
		// approve LOGIN…: officers approve every case that waits.
		"approve": func(ts *testscript.TestScript, _ bool, args []string) {
			for _, login := range args {
				ts.Check(c.approve(login))
			}
		},
		// certificates N: so many the server has issued to people.
		"certificates": func(ts *testscript.TestScript, _ bool, args []string) {
			if n := c.issued(); args[0] != strconv.Itoa(n) {
				ts.Fatalf("%d certificates, want %s", n, args[0])
			}
		},
		// caseid: the variable CASE becomes the id in standard output's table of cases.
		"caseid": func(ts *testscript.TestScript, _ bool, _ []string) {
			ts.Setenv("CASE", regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindString(ts.ReadFile("stdout")))
		},
		// keyhash USE: the variable KEY becomes the name of the newest key of that use in standard output's JSON of list.
		"keyhash": func(ts *testscript.TestScript, _ bool, args []string) {
			var certs []api.Certificate
			ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &certs))
			for _, cert := range certs {
				if cert.Use == args[0] {
					ts.Setenv("KEY", cert.SPKISHA256)
					return
				}
			}
		},
		// serial USE: the variable SERIAL becomes that of the newest certificate in standard output's JSON of list.
		"serial": func(ts *testscript.TestScript, _ bool, args []string) {
			var certs []api.Certificate
			ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &certs))
			for _, cert := range certs {
				if cert.Use == args[0] {
					ts.Setenv("SERIAL", cert.Serial)
					return
				}
			}
			ts.Fatalf("no %s certificate", args[0])
		},
	}
}

// officers are the officers' numbers in the roster.
var officers = map[string]uint16{"olivia": 1, "oscar": 2, "otto": 3}

// approve has an officer approve what waits.
func (c *company) approve(login string) error {
	ctx, by := c.t.Context(), c.Actor(c.t, login)
	waiting, err := c.Recovery.List(ctx, by, archive.CaseRequested, uuid.Nil, 10)
	if err != nil || len(waiting) == 0 {
		return fmt.Errorf("%d cases wait: %w", len(waiting), err)
	}
	for _, listed := range waiting {
		k, err := c.Recovery.Get(ctx, by, listed.ID)
		if err != nil {
			return err
		}
		raw, err := c.Recovery.Capsules(ctx, by, k.ID, 0, 1000)
		if err != nil {
			return err
		}
		var capsules []*record.Capsule
		for _, b := range raw {
			x, err := record.ParseCapsule(b)
			if err != nil {
				return err
			}
			capsules = append(capsules, x)
		}
		answer, err := c.Roster.Approve(c.t, k.SignedCase, capsules, officers[login], c.Clock.Now()).Encode()
		if err != nil {
			return err
		}
		if _, err := c.Recovery.Answer(ctx, by, k.ID, answer); err != nil {
			return err
		}
	}
	return nil
}

// onBehalf counts the events of tokens that an officer made to use for a person, and of their use.
func (c *company) onBehalf(person, officer string) (made, spent int) {
	whom, by := c.Actor(c.t, person).Person, c.Actor(c.t, officer).Person
	made = int(c.Database.Count(c.t, `select count(*) from audit.event where body::jsonb @> jsonb_build_object('kind', 'enrolment.token', 'person', $1::text)
		and body::jsonb @> jsonb_build_object('data', jsonb_build_object('use', 'behalf')) and body::jsonb @> jsonb_build_object('actor', jsonb_build_object('person', $2::text))`, whom.String(), by.String()))
	spent = int(c.Database.Count(c.t, `select count(*) from audit.event where body::jsonb @> jsonb_build_object('kind', 'enrolment.token-spent', 'person', $1::text)
		and body::jsonb @> jsonb_build_object('data', jsonb_build_object('use', 'behalf', 'made_by', $2::text))`, whom.String(), by.String()))
	return made, spent
}

func (c *company) issued() int {
	return int(c.Database.Count(c.t, `select count(*) from ca.certificate c join ca.prepared p using (issuer, serial) where p.profile like 'smime-%'`))
}

// Whenever the agent is killed, and however often, running it again ends in one pair: no certificate without its key,
// no second pair, no key that is archived twice.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	c := startCompany(t)
	dir := t.TempDir()
	must(t, link(dir))
	must(t, c.writeRoot(filepath.Join(dir, "root.pem")))
	kills := c.kill(dir, "alice", "enroll", "--server", c.url, "--roots", "root.pem", "--login", "alice", "--state", "state", "--encryption-key", "P-256")
	t.Logf("killed %d times", kills)
	if kills == 0 {
		t.Error("it was never killed")
	}
	if n := c.issued(); n != 2 {
		t.Errorf("%d certificates, want 2", n)
	}
	if n := c.Database.Count(t, `select count(*) from archive.record`); n != 1 {
		t.Errorf("%d archived keys, want 1", n)
	}
	c.Settled(t)
}

// A registrar who is killed while she enrols for somebody goes on by the same command: one pair, one token that was used, and none that is
// left for somebody to use.
func TestKilledOnBehalf(t *testing.T) {
	t.Parallel()
	c := startCompany(t)
	dir := t.TempDir()
	must(t, link(dir))
	must(t, c.writeRoot(filepath.Join(dir, "root.pem")))
	kills := c.kill(dir, "rita", "enroll", "--server", c.url, "--roots", "root.pem", "--login", "rita", "--state", "rita", "--on-behalf", "alice@example.test", "--out", "alice", "--encryption-key", "P-256")
	t.Logf("killed %d times", kills)
	if kills == 0 {
		t.Error("it was never killed")
	}
	if n := c.issued(); n != 2 {
		t.Errorf("%d certificates, want 2", n)
	}
	if made, spent := c.onBehalf("alice", "rita"); spent != 1 || made < 1 {
		t.Errorf("%d tokens made, %d spent, want 1", made, spent)
	}
	if open, _, err := c.Enroll.Tokens(t.Context(), c.Actor(t, "rita"), enroll.WhichTokens{}); err != nil || len(open) != 0 {
		t.Errorf("left to be used: %v, %v", open, err)
	}
	c.Settled(t)
}

// kill runs the program as somebody, kills it ever later until it ends by itself, and returns how often it was killed.
func (c *company) kill(dir, login string, args ...string) (kills int) {
	c.t.Helper()
	run := func(kill time.Duration) error {
		cmd := exec.Command(filepath.Join(dir, program), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SEALPOST_PASSWORD="+slapdtest.Password(login))
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		must(c.t, cmd.Start())
		timer := time.AfterFunc(kill, func() { _ = cmd.Process.Signal(syscall.SIGKILL) }) // it may have ended
		defer timer.Stop()
		err := cmd.Wait()
		if err != nil && cmd.ProcessState.Exited() {
			c.t.Fatalf("after up to %v: %v\n%s", kill, err, out.String())
		}
		return err
	}
	for kill := 5 * time.Millisecond; run(kill) != nil; kill += max(5*time.Millisecond, kill/10) {
		kills++
	}
	return kills
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
