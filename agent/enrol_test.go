package agent_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/pkcs12"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// clock is a time that tests set.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// workstation is a server and a folder on the other side of the wire.
type workstation struct {
	*server
	clock *clock
	dir   string

	places []agent.Place
}

func newWorkstation(t *testing.T) *workstation {
	t.Helper()
	c := &clock{start}
	return &workstation{server: newServer(t, c.now), clock: c, dir: filepath.Join(t.TempDir(), "state")}
}

// agent starts an agent in the folder, as a new process would, with credentials set by change.
func (w *workstation) agent(t *testing.T, change func(*client.Config)) *agent.Agent {
	t.Helper()
	cfg := agent.Config{Dir: w.dir, Server: w.config(), Anchors: []*x509.Certificate{w.pki.root}, Poll: time.Millisecond, Now: w.clock.now, Places: w.places}
	change(&cfg.Server)
	a, err := agent.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func asAlice(c *client.Config)     { c.Login, c.Password = login, password }
func byToken(c *client.Config)     { c.Token = "token-1" }
func byCertificate(*client.Config) {}

func (w *workstation) enrol(t *testing.T, opt agent.EnrolOptions) (*agent.Identity, error) {
	t.Helper()
	return w.agent(t, asAlice).Enrol(t.Context(), opt)
}

func TestEnrol(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.states = []api.EnrolmentState{api.StateReceived, api.StateSubmitted, api.StateEndorsed, api.StateIssued}
	id, err := w.enrol(t, agent.EnrolOptions{Patience: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if len(id.Pairs) != 1 || id.Signing() == nil || id.Encryption() == nil || id.Pairs[0].Receipt == nil {
		t.Fatalf("identity = %+v", id)
	}
	due, err := id.Due()
	if want := start.Add(-time.Minute).Add(time.Duration(0.75 * float64(730*24*time.Hour+time.Minute))); err != nil || !due.Equal(want) {
		t.Errorf("due %v, %v; want %v", due, err, want)
	}
	checkFolder(t, id, 2)
	if _, err := os.Stat(filepath.Join(w.dir, id.Person.ID.String(), "pending.json")); !os.IsNotExist(err) {
		t.Errorf("pending.json: %v", err)
	}
	checkModes(t, w.dir)
	if there, err := w.enrol(t, agent.EnrolOptions{}); !errors.Is(err, agent.ErrEnrolled) || !cmp.Equal(there, id) {
		t.Errorf("enrolled again: %+v, %v; want the same and ErrEnrolled", there, err)
	}
	if again, err := w.enrol(t, agent.EnrolOptions{Again: true, Patience: time.Minute}); err != nil || len(again.Pairs) != 2 {
		t.Errorf("another pair: %v", err)
	}
}

// checkFolder opens what was written, and holds that the current keys come first.
func checkFolder(t *testing.T, id *agent.Identity, keys int) []pkcs12.Entry {
	t.Helper()
	password, err := id.GeneratedPassword()
	if err != nil || password == "" {
		t.Fatalf("password: %q, %v", password, err)
	}
	entries, chain := decode(t, filepath.Join(id.Folder, agent.P12File), password)
	if len(entries) != keys || len(chain) != 2 {
		t.Errorf("identity.p12 has %d keys and %d issuers, want %d and 2", len(entries), len(chain), keys)
	}
	for i, held := range []*agent.Held{id.Signing(), id.Encryption()} {
		if held == nil {
			continue
		}
		if !cmp.Equal(entries[i].Certificate.Raw, held.Certificate) {
			t.Errorf("entry %d is %q", i, entries[i].Name)
		}
	}
	for i := range entries {
		single, _ := decode(t, filepath.Join(id.Folder, agent.GPGSMFolder, []string{"01.p12", "02.p12", "03.p12", "04.p12"}[i]), password)
		if len(single) != 1 || !single[0].Certificate.Equal(entries[i].Certificate) {
			t.Errorf("gpgsm file %d has another key", i+1)
		}
	}
	if files, err := filepath.Glob(filepath.Join(id.Folder, agent.GPGSMFolder, "*")); err != nil || len(files) != keys {
		t.Errorf("gpgsm folder: %v, %v", files, err)
	}
	for _, name := range []string{agent.SigningFile, agent.EncryptionFile, agent.ChainFile} {
		want := map[string]int{agent.ChainFile: 2}[name]
		if want == 0 {
			want = 1
		}
		data, err := os.ReadFile(filepath.Join(id.Folder, name))
		if err != nil || strings.Count(string(data), "BEGIN CERTIFICATE") != want {
			t.Errorf("%s: %v\n%s", name, err, data)
		}
	}
	return entries
}

func decode(t *testing.T, path, password string) ([]pkcs12.Entry, []*x509.Certificate) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entries, chain, err := pkcs12.Decode(data, password)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return entries, chain
}

// checkModes holds that nobody else can read what is secret.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		public := strings.HasSuffix(path, ".pem")
		if info.Mode().Perm()&0o077 != 0 && !public {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if strings.HasPrefix(filepath.Base(path), ".") {
			t.Errorf("%s was left behind", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A crash after any step, and then another run, end in one pair, made of the keys of the first run.
func TestCrashBetweenSteps(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	for _, credentials := range []struct {
		name string
		set  func(*client.Config)
	}{{"password", asAlice}, {"token", byToken}} {
		for _, step := range agent.Steps {
			t.Run(credentials.name+" "+step, func(t *testing.T) {
				t.Parallel()
				w := newWorkstation(t)
				first := w.agent(t, credentials.set)
				first.SetAfter(func(s string) error {
					if s == step {
						return crash
					}
					return nil
				})
				if _, err := first.Enrol(t.Context(), agent.EnrolOptions{Patience: time.Minute}); !errors.Is(err, crash) {
					t.Fatalf("first run: %v", err)
				}
				id, err := w.agent(t, credentials.set).Enrol(t.Context(), agent.EnrolOptions{Patience: time.Minute})
				if step == "finish" && credentials.name == "password" { // there was nothing left to do
					if !errors.Is(err, agent.ErrEnrolled) {
						t.Fatalf("second run: %v, want ErrEnrolled", err)
					}
					return
				}
				if step == "finish" { // and the token is spent
					if !errors.Is(err, fault.Denied) {
						t.Fatalf("second run: %v, want Denied", err)
					}
					return
				}
				if err != nil {
					t.Fatalf("second run: %v", err)
				}
				if len(w.requests) != 1 || len(id.Pairs) != 1 {
					t.Errorf("%d requests and %d pairs, want one of each", len(w.requests), len(id.Pairs))
				}
				checkFolder(t, id, 2)
				checkModes(t, w.dir)
			})
		}
	}
}

// The server did the work but its answer was lost, also to the client's own repetition.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.lose = 100
	if _, err := w.agent(t, byToken).Enrol(t.Context(), agent.EnrolOptions{}); !errors.Is(err, client.ErrUnreachable) {
		t.Fatalf("first run: %v, want ErrUnreachable", err)
	}
	w.lose = 0
	id, err := w.agent(t, byToken).Enrol(t.Context(), agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(w.requests) != 1 {
		t.Errorf("the server has %d requests", len(w.requests))
	}
	checkFolder(t, id, 2)
}

// A request that was kept but never sent is sealed again when the server would find it too old: with the same keys.
func TestOldNonceIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	first := w.agent(t, asAlice)
	first.SetAfter(func(string) error { return errors.New("crash") })
	if _, err := first.Enrol(t.Context(), agent.EnrolOptions{}); err == nil {
		t.Fatal("no crash")
	}
	before := readFile(t, filepath.Join(w.dir, w.person.ID.String(), "pending.json"))
	w.clock.at = start.Add(48 * time.Hour)
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(w.requests) != 1 {
		t.Errorf("the server has %d requests", len(w.requests))
	}
	identity := readFile(t, filepath.Join(w.dir, w.person.ID.String(), "identity.json"))
	for _, field := range []string{"signing_key", "encryption_key"} {
		key := before[strings.Index(before, field)+len(field)+4:]
		key = key[:strings.IndexByte(key, '"')]
		if len(key) < 100 || !strings.Contains(identity, key) {
			t.Errorf("the %s is another one now", field)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRegistrarTakesTime(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.states = []api.EnrolmentState{api.StateSubmitted}
	_, err := w.enrol(t, agent.EnrolOptions{Patience: 20 * time.Millisecond})
	if !errors.Is(err, agent.ErrWaiting) || !strings.Contains(fault.Of(err).Detail, "registrar") {
		t.Fatalf("error = %v, want ErrWaiting", err)
	}
	w.clock.at = start.Add(72 * time.Hour)
	for _, req := range w.requests {
		req.states = []api.EnrolmentState{api.StateIssued}
	}
	id, err := w.enrol(t, agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkFolder(t, id, 2)
	if got := w.seen[len(w.seen)-2:]; !slices.Equal(got, []string{"GET enrolments password", "GET policy password"}) {
		t.Errorf("the last questions were %q", got)
	}
}

func TestRequestsThatComeToNothing(t *testing.T) {
	t.Parallel()
	for state, want := range map[api.EnrolmentState]error{api.StateRejected: agent.ErrRejected, api.StateFailed: agent.ErrFailed} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			w := newWorkstation(t)
			w.states = []api.EnrolmentState{api.StateReceived, state}
			_, err := w.enrol(t, agent.EnrolOptions{Patience: time.Minute})
			if !errors.Is(err, want) || !strings.Contains(fault.Of(err).Detail, "because") {
				t.Fatalf("error = %v, want %v with the reason", err, want)
			}
			w.states = []api.EnrolmentState{api.StateIssued}
			id, err := w.enrol(t, agent.EnrolOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(w.requests) != 2 || len(id.Pairs) != 1 {
				t.Errorf("%d requests, %d pairs", len(w.requests), len(id.Pairs))
			}
			if aside, err := filepath.Glob(filepath.Join(w.dir, "*", "set-aside-*.json")); err != nil || len(aside) != 1 {
				t.Errorf("set aside: %v, %v", aside, err)
			}
		})
	}
}

func TestEnrolRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		server func(*workstation)
		creds  func(*client.Config)
		opt    agent.EnrolOptions
		want   error
		posts  int // requests that the server may have seen
	}{
		"no credentials":     {func(*workstation) {}, byCertificate, agent.EnrolOptions{}, agent.ErrConfig, 0},
		"wrong password":     {func(*workstation) {}, func(c *client.Config) { c.Login, c.Password = login, "x" }, agent.EnrolOptions{}, fault.Denied, 0},
		"restricted":         {func(w *workstation) { w.restrict = "left the company" }, asAlice, agent.EnrolOptions{}, agent.ErrRestricted, 0},
		"unknown enrolment":  {func(*workstation) {}, asAlice, agent.EnrolOptions{Enrolment: "vpn"}, agent.ErrNoEnrolment, 0},
		"unclear enrolment":  {func(w *workstation) { w.plans = []api.Enrolment{{Name: "a"}, {Name: "b"}} }, asAlice, agent.EnrolOptions{}, agent.ErrNoEnrolment, 0},
		"empty enrolment":    {func(w *workstation) { w.plans = []api.Enrolment{{Name: "smime"}} }, asAlice, agent.EnrolOptions{}, agent.ErrNoEnrolment, 0},
		"unknown algorithms": {func(w *workstation) { w.plans[0].Signing.Algorithms = []string{"ML-DSA-65"} }, asAlice, agent.EnrolOptions{}, agent.ErrAlgorithm, 0},
		"server away":        {func(w *workstation) { w.away = true }, asAlice, agent.EnrolOptions{}, fault.Unavailable, 0},
		"foreign exchange": {func(w *workstation) {
			foreign := newPKI(t)
			w.exchange = func(x *api.Exchange) {
				x.Certificate = foreign.issue(t, template{name: "Exchange", now: start, usage: x509.KeyUsageKeyAgreement, extended: api.OIDExchange}, foreign.exchange.Public())
				x.Chain = foreign.chain()
			}
		}, asAlice, agent.EnrolOptions{}, agent.ErrExchange, 0},
		"refused for good": {func(w *workstation) { w.exchange = func(x *api.Exchange) { x.Nonce = "made up" } }, asAlice, agent.EnrolOptions{}, fault.Malformed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkstation(t)
			tt.server(w)
			a := w.agent(t, tt.creds)
			if _, err := a.Enrol(t.Context(), tt.opt); !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
			posts := 0
			for _, s := range w.seen {
				if strings.HasPrefix(s, "POST") {
					posts++
				}
			}
			if posts != tt.posts {
				t.Errorf("the server saw %v", w.seen)
			}
		})
	}
}

// A request that the server will not take stays, so that nothing is lost, until the person gives it up.
func TestAnew(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.exchange = func(x *api.Exchange) { x.Nonce = "made up" }
	for range 2 {
		if _, err := w.enrol(t, agent.EnrolOptions{}); !errors.Is(err, fault.Malformed) {
			t.Fatalf("error = %v, want a refusal", err)
		}
	}
	w.exchange = nil
	if _, err := w.enrol(t, agent.EnrolOptions{Enrolment: "other"}); !errors.Is(err, agent.ErrBegun) {
		t.Errorf("another enrolment: %v, want ErrBegun", err)
	}
	if _, err := w.enrol(t, agent.EnrolOptions{Anew: true}); err != nil {
		t.Fatal(err)
	}
	if aside, err := filepath.Glob(filepath.Join(w.dir, "*", "set-aside-*.json")); err != nil || len(aside) != 1 {
		t.Errorf("set aside: %v, %v", aside, err)
	}
}

func TestOnlyOneAgentAtATime(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	var inner error
	a := w.agent(t, asAlice)
	a.SetAfter(func(step string) error {
		if step == "begin" {
			_, inner = w.enrol(t, agent.EnrolOptions{})
		}
		return nil
	})
	if _, err := a.Enrol(t.Context(), agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(inner, agent.ErrBusy) {
		t.Errorf("second agent: %v, want ErrBusy", inner)
	}
}

func TestOpenFolderIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := w.enrol(t, agent.EnrolOptions{}); !errors.Is(err, agent.ErrOpenToOthers) {
		t.Errorf("error = %v, want ErrOpenToOthers", err)
	}
}

func TestOwnPassword(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	folder := filepath.Join(t.TempDir(), "out")
	opt := agent.EnrolOptions{Folder: folder, Password: "chosen by a person"}
	id, err := w.enrol(t, opt)
	if err != nil {
		t.Fatal(err)
	}
	if id.Folder != folder || !id.OwnPassword {
		t.Errorf("folder %q, own password %v", id.Folder, id.OwnPassword)
	}
	if _, err := os.Stat(filepath.Join(folder, agent.PasswordFile)); !os.IsNotExist(err) {
		t.Errorf("identity.password: %v", err)
	}
	entries, _ := decode(t, filepath.Join(folder, agent.P12File), opt.Password)
	if len(entries) != 2 {
		t.Errorf("%d keys", len(entries))
	}
	w.clock.at = start.Add(600 * 24 * time.Hour)
	if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{}); !errors.Is(err, agent.ErrPassword) {
		t.Errorf("renewal without the password: %v, want ErrPassword", err)
	}
	if len(w.requests) != 1 {
		t.Error("the server was asked before the password was there")
	}
	r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Password: opt.Password})
	if err != nil || !r.Renewed {
		t.Fatalf("renewal: %+v, %v", r, err)
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	first, err := w.enrol(t, agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	oldPassword, err := first.GeneratedPassword()
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
	if err != nil || r.Renewed || len(w.requests) != 1 {
		t.Fatalf("renewed too early: %+v, %v", r, err)
	}
	w.clock.at = r.Due.Add(time.Hour)
	w.person.Mailboxes = []string{"alice.new@example.test", "alice@example.test"} // she has married
	if r, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{}); err != nil || !r.Renewed {
		t.Fatalf("renewal: %+v, %v", r, err)
	}
	if !slices.Contains(w.seen, "POST enrolments certificate") {
		t.Errorf("the server saw %v", w.seen)
	}
	entries := checkFolder(t, r.Identity, 3)
	if !cmp.Equal(entries[2].Certificate.Raw, first.Encryption().Certificate) || !strings.Contains(entries[2].Name, "old encryption") {
		t.Errorf("the third key is %q", entries[2].Name)
	}
	if now, err := r.Identity.GeneratedPassword(); err != nil || now != oldPassword {
		t.Error("the password changed")
	}
	if !r.Identity.Pairs[1].Signing.Key.IsZero() || r.Identity.Pairs[1].Encryption.Key.IsZero() {
		t.Error("the old signing key is still there, or the old encryption key is not")
	}
	// Forced: only the newest certificate shows who asks.
	if r, err = w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{Force: true}); err != nil || len(r.Identity.Pairs) != 3 {
		t.Fatalf("forced renewal: %v", err)
	}
	checkFolder(t, r.Identity, 4)
}

// Whoever has another address, or another name, gets new certificates within a day, once; what the server does not say for sure
// changes nothing.
func TestRenewForAnotherAddress(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	pairs := 1
	run := func(what string, renewed bool) {
		t.Helper()
		w.clock.at = w.clock.at.Add(24 * time.Hour)
		if renewed {
			pairs++
		}
		r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
		if err != nil || r.Renewed != renewed || len(r.Identity.Pairs) != pairs {
			t.Fatalf("%s: %+v, %v", what, r, err)
		}
	}
	addresses := w.person.Mailboxes
	run("nothing", false)
	w.person.Mailboxes = nil
	for _, m := range addresses {
		w.person.Mailboxes = append(w.person.Mailboxes, strings.ToUpper(m))
	}
	slices.Reverse(w.person.Mailboxes)
	run("another case, and order", false)
	w.person.Mailboxes, w.restrict = nil, "no address"
	run("no address, for now", false)
	w.person.Mailboxes, w.restrict = []string{"alice.new@example.test"}, ""
	run("another address", true)
	run("the same", false)
	w.person.Mailboxes = append(w.person.Mailboxes, addresses...)
	run("a further one", true)
	w.person.Name = "Alice Married"
	run("another name", true)
	run("and no more", false)
}

func TestCrashInRenewal(t *testing.T) {
	t.Parallel()
	crash := errors.New("crash")
	for _, step := range agent.Steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w := newWorkstation(t)
			if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
				t.Fatal(err)
			}
			w.clock.at = start.Add(600 * 24 * time.Hour)
			a := w.agent(t, byCertificate)
			a.SetAfter(func(s string) error {
				if s == step {
					return crash
				}
				return nil
			})
			if _, err := a.Renew(t.Context(), agent.RenewOptions{}); !errors.Is(err, crash) {
				t.Fatalf("first run: %v", err)
			}
			r, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{})
			if err != nil {
				t.Fatalf("second run: %v", err)
			}
			if len(w.requests) != 2 || len(r.Identity.Pairs) != 2 {
				t.Errorf("%d requests and %d pairs, want two of each", len(w.requests), len(r.Identity.Pairs))
			}
			checkFolder(t, r.Identity, 3)
		})
	}
}

func TestRenewWithAnEndedCertificate(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	w.clock.at = start.Add(800 * 24 * time.Hour)
	if _, err := w.agent(t, byCertificate).Renew(t.Context(), agent.RenewOptions{}); !errors.Is(err, agent.ErrExpired) {
		t.Errorf("error = %v, want ErrExpired", err)
	}
	r, err := w.agent(t, asAlice).Renew(t.Context(), agent.RenewOptions{})
	if err != nil || !r.Renewed {
		t.Fatalf("with a password: %+v, %v", r, err)
	}
	checkFolder(t, r.Identity, 3)
}

func TestListAndRevoke(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	if _, err := w.agent(t, asAlice).Certificates(t.Context(), ""); !errors.Is(err, agent.ErrNoIdentity) {
		t.Errorf("list of nobody: %v, want ErrNoIdentity", err)
	}
	id, err := w.enrol(t, agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := w.agent(t, byCertificate).Certificates(t.Context(), "ALICE@example.test")
	if err != nil || len(certs) != 2 {
		t.Fatalf("%d certificates, %v", len(certs), err)
	}
	if _, err := w.agent(t, byCertificate).Certificates(t.Context(), "bob@example.test"); !errors.Is(err, agent.ErrNoIdentity) {
		t.Errorf("list of bob: %v, want ErrNoIdentity", err)
	}
	if has, key := id.Holds(certs[0].Issuer, certs[0].Serial); !has || !key {
		t.Error("the identity does not have the server's certificate")
	}
	if has, key := id.Holds("mail", "00"); has || key {
		t.Error("the identity has what nobody issued")
	}
	revoked, err := w.agent(t, byCertificate).Revoke(t.Context(), "", certs, api.RevocationRequest{Reason: "keyCompromise"})
	if want := []string{id.Encryption().Serial, id.Signing().Serial}; err != nil || len(revoked) != 2 || !cmp.Equal(w.revoked, want) {
		t.Errorf("revoked %+v, %v", revoked, err)
	}
}

func TestSingleCertificate(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	w.plans = []api.Enrolment{{Name: "single", Signing: &api.KeyPlan{Algorithms: []string{"P-256"}}}}
	id, err := w.enrol(t, agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if id.Signing() == nil || id.Encryption() != nil || id.Pairs[0].Receipt != nil {
		t.Errorf("identity = %+v", id)
	}
}

// Nothing secret is printed by accident.
func TestIdentityPrintsWithoutKeys(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	id, err := w.enrol(t, agent.EnrolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%q", "%s", "%d"} {
		s := sprintf(verb, id.Signing())
		if !strings.Contains(s, "(secret)") {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}
