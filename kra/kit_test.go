package kra_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audittest"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var passphrase = keys.Unlock("five words are quite enough")

// company is an authority and the officers it certifies.
type company struct {
	*pkitest.PKI
	t      testing.TB
	people map[string]pkitest.Person
	log    *audittest.Log
}

func newCompany(t testing.TB) *company {
	t.Helper()
	log, err := audittest.New()
	must(t, err)
	return &company{pkitest.NewAuthority(t, pgtest.New(t)), t, map[string]pkitest.Person{}, log}
}

// officer is one with a home, keys and a card.
type officer struct {
	*kra.Officer
	home string
	card *kra.AgentCard
}

// officers makes officers as far as Import.
func (c *company) officers(names ...string) []*officer {
	c.t.Helper()
	var out []*officer
	for _, name := range names {
		o := c.keyGen(name)
		o.card = c.certify(name, c.requests(o), ca.AgentSigning, ca.AgentDecryption)
		must(c.t, o.Import(o.card, c.roots()))
		must(c.t, o.TrustLog(c.log.Key))
		out = append(out, o)
	}
	return out
}

func (c *company) keyGen(name string) *officer {
	c.t.Helper()
	home := filepath.Join(c.t.TempDir(), "home")
	o := open(c.t, home)
	_, err := o.KeyGen(c.t.Context(), name, passphrase)
	must(c.t, err)
	return &officer{Officer: o, home: home}
}

func (c *company) requests(o *officer) kra.Requests {
	return kra.Requests{Signing: read(c.t, o.home, "signing.csr"), Decryption: read(c.t, o.home, "decryption.csr")}
}

// certify does what `sealpost roster certify` does, under any two profiles.
func (c *company) certify(name string, r kra.Requests, profiles ...string) *kra.AgentCard {
	c.t.Helper()
	person := c.person(name)
	var requests []ca.Request
	for i, text := range [][]byte{r.Signing, r.Decryption} {
		block, _ := pem.Decode(text)
		csr, err := ca.ParseCSR(block.Bytes)
		must(c.t, err)
		q := person.Request(profiles[i], nil)
		q.PublicKey = csr.PublicKey
		requests = append(requests, q)
	}
	certs := c.Issue(c.t, requests...)
	issuer, err := c.Issuer(pkitest.IssuerID)
	must(c.t, err)
	card, err := kra.NewAgentCard(person.ID, parse(c.t, certs[0].DER), parse(c.t, certs[1].DER), issuer.Chain())
	must(c.t, err)
	return card
}

// person returns the person of that name, the same one each time: a key is one person's.
func (c *company) person(name string) pkitest.Person {
	p, known := c.people[name]
	if !known {
		p = pkitest.NewPerson(name)
		c.people[name] = p
	}
	return p
}

// recipient makes the card of somebody who may receive keys.
func (c *company) recipient(name string) *kra.RecipientCard {
	c.t.Helper()
	person := pkitest.NewPerson(name)
	certs := c.Issue(c.t, person.Request(ca.RecoveryRecipient, pkitest.NewKey(c.t, ca.P256).Public()))
	card, err := kra.NewRecipientCard(person.ID, parse(c.t, certs[0].DER), c.Chain())
	must(c.t, err)
	return card
}

// plan writes a plan for 2 of the officers into a new folder.
func (c *company) plan(officers []*officer, change ...func(*kra.PlanConfig)) (string, *record.Plan) {
	c.t.Helper()
	conf := kra.PlanConfig{Archive: "Example", Threshold: 2, Roots: c.roots()}
	for _, o := range officers {
		conf.Agents = append(conf.Agents, o.card)
	}
	for _, f := range change {
		f(&conf)
	}
	dir := filepath.Join(c.t.TempDir(), "ceremony")
	plan, err := kra.WritePlan(dir, conf)
	must(c.t, err)
	return dir, plan
}

// ceremony is a plan that all officers have agreed on.
func (c *company) ceremony(officers []*officer) (string, *record.Plan) {
	c.t.Helper()
	dir, plan := c.plan(officers)
	for _, o := range officers {
		_, err := o.Agree(dir, kra.Agreement{Hash: plan.Hash()})
		must(c.t, err)
	}
	return dir, plan
}

// all has everybody take a step.
func all(t testing.TB, officers []*officer, dir string, round record.Round) {
	t.Helper()
	for _, o := range officers {
		_, err := o.step(t, dir, round)
		must(t, err)
	}
}

func (o *officer) step(t testing.TB, dir string, round record.Round) (kra.Sent, error) {
	t.Helper()
	switch round {
	case record.RoundCommit:
		return o.Commit(t.Context(), dir)
	case record.RoundReveal:
		return o.Reveal(t.Context(), dir)
	default:
		return o.Acknowledge(t.Context(), dir)
	}
}

// again opens the home as another process would.
func (o *officer) again(t testing.TB) *officer {
	t.Helper()
	p := &officer{Officer: open(t, o.home), home: o.home, card: o.card}
	must(t, p.Unlock(t.Context(), passphrase))
	return p
}

// twin is a copy of the home on another machine.
func (o *officer) twin(t testing.TB) *officer {
	t.Helper()
	home := filepath.Join(t.TempDir(), "twin")
	must(t, os.CopyFS(home, os.DirFS(o.home)))
	must(t, os.Chmod(home, 0o700))
	for _, name := range []string{"signing.key", "decryption.key"} {
		must(t, os.Chmod(filepath.Join(home, name), 0o600))
	}
	return (&officer{home: home, card: o.card}).again(t)
}

func open(t testing.TB, home string) *kra.Officer {
	t.Helper()
	o, err := kra.Open(kra.Config{Home: home})
	must(t, err)
	return o
}

func openAt(t testing.TB, home string, now time.Time) *kra.Officer {
	t.Helper()
	o, err := kra.Open(kra.Config{Home: home, Now: func() time.Time { return now }})
	must(t, err)
	return o
}

// roots is what the officers were given.
func (c *company) roots() []*x509.Certificate { return []*x509.Certificate{c.Root} }

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	must(t, err)
	return b
}

func write(t testing.TB, data []byte, path ...string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(path...), data, 0o600))
}

// refused demands one fault whose sentence, which is what people read, contains a text.
func refused(t testing.TB, what string, err error, want *fault.Error, text string) {
	t.Helper()
	f := fault.Of(err)
	if !errors.Is(err, want) || f == nil || !strings.Contains(f.Detail, text) {
		t.Errorf("%s: got %v, want %s with %q", what, err, want.Code, text)
	}
}

// leaks tells which files below dir contain one of the secrets.
func leaks(t testing.TB, dir string, secrets ...[]byte) (found []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b := read(t, path)
		for _, s := range secrets {
			if bytes.Contains(b, s) {
				found = append(found, path)
			}
		}
		return nil
	}))
	return found
}

var someone = uuid.MustParse("7d444840-9dc0-41d1-b245-5ffdce74fad2")
