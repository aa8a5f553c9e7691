package record_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
)

// The extended key usages of this test's certificates.
var (
	usageSigning    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
	usageDecryption = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 2}
	usageRecipient  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 3}
)

var (
	day      = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	deadline = day.Add(72 * time.Hour)
)

// fixedSigner signs as RFC 6979 says, so that vectors can be made again.
type fixedSigner struct{ *ecdsa.PrivateKey }

func (s fixedSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.PrivateKey.Sign(nil, digest, opts)
}

// fixedKey returns the P-256 key of a name: SHA-256 with the first byte cleared.
func fixedKey(tb testing.TB, name string) fixedSigner {
	tb.Helper()
	b := sha256.Sum256([]byte(name))
	b[0] = 0
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b[:])
	if err != nil {
		tb.Fatal(err)
	}
	return fixedSigner{k}
}

func fixedScalar(tb testing.TB, name string) threshold.Scalar {
	tb.Helper()
	b := sha256.Sum256([]byte(name))
	b[31] &= 0x0f
	s, err := threshold.ParseScalar(b[:])
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func certificate(tb testing.TB, name string, public crypto.PublicKey, usage x509.KeyUsage, extended asn1.ObjectIdentifier) *x509.Certificate {
	tb.Helper()
	serial := sha256.Sum256([]byte(name))
	serial[0] &= 0x7f
	issuer := fixedKey(tb, "issuer")
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:16]), Subject: pkix.Name{CommonName: name}, Issuer: pkix.Name{CommonName: "Test CA"},
		NotBefore: day.AddDate(-1, 0, 0), NotAfter: day.AddDate(20, 0, 0), KeyUsage: usage, UnknownExtKeyUsage: []asn1.ObjectIdentifier{extended},
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: "Test CA"}, PublicKey: issuer.Public()}
	der, err := x509.CreateCertificate(nil, template, parent, public, issuer)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// person is somebody with the two keys of an agent, recipient or requester.
type person struct {
	id                  uuid.UUID
	name                string
	signKey, openKey    fixedSigner
	signing, decryption *x509.Certificate
}

func newPerson(tb testing.TB, name string) *person {
	tb.Helper()
	return newPersonFor(tb, name, usageDecryption)
}

func newPersonFor(tb testing.TB, name string, usage asn1.ObjectIdentifier) *person {
	tb.Helper()
	p := &person{id: uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)), name: name, signKey: fixedKey(tb, name+" signing"), openKey: fixedKey(tb, name+" decryption")}
	p.signing = certificate(tb, name+" signing", p.signKey.Public(), x509.KeyUsageDigitalSignature, usageSigning)
	p.decryption = certificate(tb, name+" decryption", p.openKey.Public(), x509.KeyUsageKeyAgreement, usage)
	return p
}

func (p *person) agent(id uint16) record.Agent {
	return record.Agent{ID: id, Person: p.id, Name: p.name, Signing: p.signing, Decryption: p.decryption}
}

func (p *person) key() cms.Recipient {
	return cms.Recipient{Certificate: p.decryption, Key: p.openKey.PrivateKey}
}

// people are agents by id.
type people map[uint16]*person

func agents(tb testing.TB, n int) people {
	tb.Helper()
	out := people{}
	for i := 1; i <= n; i++ {
		out[uint16(i)] = newPerson(tb, "officer "+string(rune('A'+i-1)))
	}
	return out
}

func (p people) list() []record.Agent {
	var out []record.Agent
	for id := uint16(1); int(id) <= 1000 && len(out) < len(p); id++ {
		if a := p[id]; a != nil {
			out = append(out, a.agent(id))
		}
	}
	return out
}

func (p people) ids() []uint16 {
	var out []uint16
	for _, a := range p.list() {
		out = append(out, a.ID)
	}
	return out
}

// counsel may receive in legal cases, manager in business cases, deputy in both.
func counsel(tb testing.TB) *person { return newPersonFor(tb, "counsel", usageRecipient) }
func manager(tb testing.TB) *person { return newPersonFor(tb, "manager", usageRecipient) }

func deputy(tb testing.TB) *person { return newPersonFor(tb, "deputy", usageRecipient) }

func recipients(tb testing.TB) []record.Recipient {
	c, m, d := counsel(tb), manager(tb), deputy(tb)
	return []record.Recipient{
		{Uses: record.UseLegal, Person: c.id, Name: c.name, Certificate: c.decryption},
		{Uses: record.UseBusiness, Person: m.id, Name: m.name, Certificate: m.decryption},
		{Uses: record.UseBusiness | record.UseLegal, Person: d.id, Name: d.name, Certificate: d.decryption},
	}
}

// planFor is a plan for a new key made by its agents.
func planFor(tb testing.TB, t int, p people) record.Plan {
	return record.Plan{
		Archive: "example.test", Session: [16]byte{1, 2, 3}, Created: day, Epoch: 1, Origin: record.OriginAgents,
		Threshold: uint16(t), SingleAgentMayOpenAlone: t == 1, Dealers: p.ids(), Agents: p.list(), Recipients: recipients(tb),
	}
}

// dealerPlan is a plan for a new key dealt by one machine.
func dealerPlan(tb testing.TB, t int, p people) record.Plan {
	plan := planFor(tb, t, p)
	plan.Origin, plan.Dealers = record.OriginDealer, []uint16{0}
	var err error
	if plan.DealerKey, err = x509.MarshalPKIXPublicKey(fixedKey(tb, "machine").Public()); err != nil {
		tb.Fatal(err)
	}
	return plan
}

// resharePlan passes a roster on to other agents.
func resharePlan(tb testing.TB, previous *record.Roster, dealers []uint16, t int, p people) record.Plan {
	plan := planFor(tb, t, p)
	plan.Epoch, plan.Previous, plan.Origin, plan.Dealers = previous.Epoch()+1, previous.Hash(), previous.Plan.Origin, dealers
	return plan
}

func newPlan(tb testing.TB, p record.Plan) *record.Plan {
	tb.Helper()
	plan, err := record.NewPlan(p)
	if err != nil {
		tb.Fatal(err)
	}
	return plan
}

// perform runs a ceremony on one board and returns the roster. dealers are the people behind the plan's dealers.
func perform(tb testing.TB, plan *record.Plan, previous *record.Roster, dealers, receivers people) *record.Roster {
	tb.Helper()
	board := newCeremony(tb, plan, previous)
	var machines []*record.Ceremony
	for _, d := range plan.Dealers {
		m := newCeremony(tb, plan, previous)
		message, err := m.Commit(d, oldShare(tb, previous, d, dealers), signerOf(tb, d, dealers))
		if err != nil {
			tb.Fatal(err)
		}
		add(tb, board, message)
		machines = append(machines, m)
	}
	for i, d := range plan.Dealers {
		add(tb, machines[i], board.Messages()...)
		message, err := machines[i].Reveal(signerOf(tb, d, dealers))
		if err != nil {
			tb.Fatal(err)
		}
		add(tb, board, message)
	}
	for _, a := range plan.Agents {
		m := newCeremony(tb, plan, previous)
		add(tb, m, board.Messages()...)
		message, err := m.Acknowledge(a.ID, receivers[a.ID].key(), receivers[a.ID].signKey)
		if err != nil {
			tb.Fatal(err)
		}
		add(tb, board, message)
	}
	r, err := board.Roster()
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func newCeremony(tb testing.TB, plan *record.Plan, previous *record.Roster) *record.Ceremony {
	tb.Helper()
	c, err := record.NewCeremony(plan, previous)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func add(tb testing.TB, c *record.Ceremony, messages ...[]byte) {
	tb.Helper()
	for _, m := range messages {
		if err := c.Add(m); err != nil {
			tb.Fatal(err)
		}
	}
}

func signerOf(tb testing.TB, dealer uint16, dealers people) crypto.Signer {
	if dealer == 0 {
		return fixedKey(tb, "machine")
	}
	return dealers[dealer].signKey
}

func oldShare(tb testing.TB, previous *record.Roster, dealer uint16, dealers people) threshold.Share {
	tb.Helper()
	if previous == nil {
		return threshold.Share{}
	}
	return openShare(tb, previous, dealer, dealers)
}

func openShare(tb testing.TB, r *record.Roster, agent uint16, p people) threshold.Share {
	tb.Helper()
	s, err := r.OpenShare(agent, p[agent].key())
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// newRoster makes a key dealt by one machine, the fastest way to a roster.
func newRoster(tb testing.TB, t, n int) (*record.Roster, people) {
	tb.Helper()
	p := agents(tb, n)
	return perform(tb, newPlan(tb, dealerPlan(tb, t, p)), nil, nil, p), p
}

func newWrappingKey(tb testing.TB, name string) *record.WrappingKey {
	tb.Helper()
	seed := sha256.Sum256([]byte(name))
	k, err := record.NewWrappingKey(seed[:])
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// pkcs8Of stands for a private key: the format does not look into it.
func pkcs8Of(name string) []byte { return []byte(strings.Repeat("private key of "+name+". ", 40)) }

func headerOf(name string) record.Header {
	return record.Header{
		Purpose: record.PurposeKey, SPKI: sha256.Sum256([]byte("public key of " + name)), Algorithm: "rsa-3072",
		Person: uuid.NewSHA1(uuid.NameSpaceURL, []byte(name)), Name: name, Mail: name + "@example.test", Time: day,
	}
}

func seal(tb testing.TB, r *record.Roster, k *record.WrappingKey, name string) *record.Record {
	tb.Helper()
	rec, err := record.Seal(r.Key(), k.Public(), headerOf(name), pkcs8Of(name))
	if err != nil {
		tb.Fatal(err)
	}
	return rec
}

func unwrap(tb testing.TB, rec *record.Record, k *record.WrappingKey) *record.InnerRecord {
	tb.Helper()
	in, err := rec.UnwrapOuter(k)
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

// shared computes the shared point of a capsule with the given agents' shares.
func shared(tb testing.TB, c *record.Capsule, shares ...threshold.Share) threshold.Point {
	tb.Helper()
	var ids []uint16
	var ds []threshold.Point
	for _, s := range shares {
		d, err := threshold.Decrypt(s, []threshold.Point{c.R})
		if err != nil {
			tb.Fatal(err)
		}
		ids, ds = append(ids, s.Agent), append(ds, d[0])
	}
	q, err := threshold.NewQuorum(len(ids), ids)
	if err != nil {
		tb.Fatal(err)
	}
	z, err := q.Combine(ds)
	if err != nil {
		tb.Fatal(err)
	}
	return z
}

// open opens a record with the agents' shares, or says why not.
func open(tb testing.TB, r *record.Roster, in *record.InnerRecord, shares ...threshold.Share) ([]byte, error) {
	tb.Helper()
	return in.Open(shared(tb, in.Capsule, shares...), r.Key())
}

func mustOpen(tb testing.TB, r *record.Roster, in *record.InnerRecord, want []byte, shares ...threshold.Share) {
	tb.Helper()
	got, err := open(tb, r, in, shares...)
	if err != nil {
		tb.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		tb.Fatal("opened to another key")
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
