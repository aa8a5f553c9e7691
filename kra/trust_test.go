package kra_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

func TestImportIsForTheseKeys(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	o := c.keyGen("Olga")
	requests := c.requests(o)
	good := c.certify("Olga", requests, ca.AgentSigning, ca.AgentDecryption)
	_, err := o.Card()
	refused(t, "no card yet", err, kra.ErrNoCard, "import")

	refused(t, "another's card", c.keyGen("Otto").Import(good, c.roots()), kra.ErrOtherKeys, "Olga Example")
	swapped, err := kra.NewAgentCard(good.Person, good.Decryption, good.Signing, good.Chain)
	must(t, err)
	refused(t, "swapped", o.Import(swapped, c.roots()), kra.ErrOtherKeys, "not for the keys")
	refused(t, "another root", o.Import(good, []*x509.Certificate{pkitest.NewHierarchy(t, time.Now()).Root}), kra.ErrTrust, "does not lead to the given root")
	refused(t, "no root", o.Import(good, nil), kra.ErrTrust, "No root certificate")
	refused(t, "the issuing certificate for root", o.Import(good, []*x509.Certificate{c.Issuing}), kra.ErrTrust, "No root certificate")
	without := *good
	without.Chain = nil
	refused(t, "no chain", o.Import(&without, c.roots()), kra.ErrTrust, "does not lead")
	refused(t, "locked", open(t, o.home).Import(good, c.roots()), kra.ErrLocked, "")
	late := openAt(t, o.home, time.Now().AddDate(3, 0, 0))
	must(t, late.Unlock(t.Context(), passphrase))
	refused(t, "expired", late.Import(good, c.roots()), kra.ErrTrust, "ended on")
	early := openAt(t, o.home, time.Now().AddDate(-1, 0, 0))
	must(t, early.Unlock(t.Context(), passphrase))
	refused(t, "clock slow", early.Import(good, c.roots()), kra.ErrTrust, "clock")

	must(t, o.Import(&without, append(c.roots(), c.Issuing))) // a root file may hold the issuing certificate beside the root
	must(t, o.Import(good, c.roots()))
	if kept, err := o.Card(); err != nil || !kept.Signing.Equal(good.Signing) || kept.Person != good.Person || kept.Name != "Olga Example" {
		t.Errorf("kept %+v, %v", kept, err)
	}
	renewed := c.certify("Olga", requests, ca.AgentSigning, ca.AgentDecryption)
	must(t, o.Import(renewed, c.roots()))
}

// Certificates of other profiles for the same keys: the authority issues them, the officers' tool does not take them.
func TestOtherProfilesAreRefused(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	for _, profiles := range [][2]string{{ca.AgentSigning, ca.RecoveryRecipient}, {ca.SMIMESigning, ca.AgentDecryption}, {ca.PersonAuth, ca.AgentDecryption}} {
		o := c.keyGen("Olga")
		card := c.certify("Olga", c.requests(o), profiles[0], profiles[1])
		refused(t, profiles[0]+" "+profiles[1], o.Import(card, c.roots()), kra.ErrTrust, "lacks the extended key usage")
	}
	recipient := c.recipient("Counsel")
	officers := c.officers("Olga", "Otto", "Odile")
	wrong, err := kra.NewRecipientCard(someone, officers[0].card.Decryption, c.Chain())
	must(t, err)
	plan := func(change func(*kra.PlanConfig)) error {
		conf := kra.PlanConfig{Archive: "Example", Threshold: 2, Roots: c.roots(), Legal: []*kra.RecipientCard{recipient}}
		for _, o := range officers {
			conf.Agents = append(conf.Agents, o.card)
		}
		change(&conf)
		_, err := kra.WritePlan(filepath.Join(t.TempDir(), "ceremony"), conf)
		return err
	}
	must(t, plan(func(*kra.PlanConfig) {}))
	refused(t, "nobody", plan(func(p *kra.PlanConfig) { p.Agents = p.Agents[:0]; p.Threshold = 0; p.Legal = nil }), record.ErrFormat, "threshold")
	refused(t, "threshold of all", plan(func(p *kra.PlanConfig) { p.Threshold = 3 }), record.ErrFormat, "at least 4")
	refused(t, "threshold beyond", plan(func(p *kra.PlanConfig) { p.Threshold = 65538 }), kra.ErrPlan, "65538 of 3")
	refused(t, "alone", plan(func(p *kra.PlanConfig) { p.Threshold = 1 }), record.ErrFormat, "single agent")
	refused(t, "one agent twice", plan(func(p *kra.PlanConfig) { p.Agents[1] = p.Agents[0] }), record.ErrFormat, "twice")
	refused(t, "no name", plan(func(p *kra.PlanConfig) { p.Archive = "" }), record.ErrFormat, "name")
	refused(t, "an agent's key for a recipient", plan(func(p *kra.PlanConfig) { p.Legal = []*kra.RecipientCard{wrong} }), record.ErrFormat, "already used")
	refused(t, "an agent's certificate for a recipient", plan(func(p *kra.PlanConfig) {
		p.Agents = append(p.Agents[:2:2], c.officers("Oda")[0].card)
		p.Legal[0].Certificate = officers[2].card.Decryption
		p.Legal[0].Name = "Odile Example"
	}), kra.ErrTrust, "lacks the extended key usage")
}

// rogue is an authority that somebody else runs.
type rogue struct {
	root, issuing       *x509.Certificate
	rootKey, issuingKey *ecdsa.PrivateKey
}

// newRogue makes a root and an issuing authority that is restricted to some usages, if any are given.
func newRogue(t *testing.T, usages ...asn1.ObjectIdentifier) *rogue {
	t.Helper()
	r := &rogue{rootKey: newKey(t), issuingKey: newKey(t)}
	r.root = sign(t, template("Root", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }), nil, r.rootKey, r.rootKey)
	r.issuing = sign(t, template("Issuing", func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.UnknownExtKeyUsage = true, x509.KeyUsageCertSign, usages
	}), r.root, r.issuingKey, r.rootKey)
	return r
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

func template(name string, change func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	change(c)
	return c
}

func sign(t *testing.T, c, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	must(t, err)
	return parse(t, der)
}

func (r *rogue) card(t *testing.T, o *officer, names ...string) *kra.AgentCard {
	t.Helper()
	var certs []*x509.Certificate
	for i, file := range []string{"signing.key", "decryption.key"} {
		key, err := keys.Open(t.Context(), filepath.Join(o.home, file), passphrase)
		must(t, err)
		certs = append(certs, sign(t, template(names[i], func(c *x509.Certificate) {
			c.KeyUsage = []x509.KeyUsage{x509.KeyUsageDigitalSignature, x509.KeyUsageKeyAgreement}[i]
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{[]asn1.ObjectIdentifier{api.OIDAgentSigning, api.OIDAgentDecryption}[i]}
		}), r.issuing, key.(*ecdsa.PrivateKey), r.issuingKey))
	}
	return &kra.AgentCard{Person: someone, Name: names[0], Signing: certs[0], Decryption: certs[1], Chain: []*x509.Certificate{r.issuing}}
}

func TestChains(t *testing.T) {
	t.Parallel()
	o := (&company{t: t}).keyGen("Olga")
	good := newRogue(t, api.OIDAgentSigning, api.OIDAgentDecryption)
	must(t, o.Import(good.card(t, o, "Olga", "Olga"), []*x509.Certificate{good.root}))
	free := newRogue(t)
	must(t, o.Import(free.card(t, o, "Olga", "Olga"), []*x509.Certificate{free.root}))
	every := newRogue(t, asn1.ObjectIdentifier{2, 5, 29, 37, 0})
	must(t, o.Import(every.card(t, o, "Olga", "Olga"), []*x509.Certificate{every.root}))
	mail := newRogue(t, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 4}, api.OIDAgentSigning)
	refused(t, "an authority for mail", o.Import(mail.card(t, o, "Olga", "Olga"), []*x509.Certificate{mail.root}), kra.ErrTrust, "may not issue it")
	two := good.card(t, o, "Olga", "Otto")
	refused(t, "two names", o.Import(two, []*x509.Certificate{good.root}), kra.ErrTrust, "for somebody else: Otto")
	refused(t, "the root's name on another key", o.Import(good.card(t, o, "Olga", "Olga"), []*x509.Certificate{free.root}), kra.ErrTrust, "does not lead")
}

// A plan made with certificates of another authority, or whose certificates have ended, is refused at every step.
func TestPlansOfStrangers(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	officers := c.officers("Olga", "Otto", "Odile")
	other := newRogue(t)
	stranger := c.keyGen("Stranger")
	strange := other.card(t, stranger, "Stranger", "Stranger")
	dir, plan := c.plan(officers, func(p *kra.PlanConfig) {
		p.Agents[2], p.Roots = strange, append(c.roots(), other.root)
	})
	_, err := officers[0].Agree(dir, kra.Agreement{Hash: plan.Hash()})
	refused(t, "an agent of another authority", err, kra.ErrTrust, "signature certificate of Stranger does not lead")

	dir, plan = c.plan(officers)
	nobody := c.officers("Nadja")[0]
	_, err = nobody.Agree(dir, kra.Agreement{Hash: plan.Hash()})
	must(t, err)
	_, err = nobody.Commit(t.Context(), dir)
	refused(t, "not in the plan", err, kra.ErrNotInPlan, "no agent")
	_, err = officers[0].Agree(dir, kra.Agreement{Hash: plan.Hash()})
	must(t, err)
	late := openAt(t, officers[0].home, time.Now().AddDate(3, 0, 0))
	must(t, late.Unlock(t.Context(), passphrase))
	_, err = late.Commit(t.Context(), dir)
	refused(t, "certificates that have ended since", err, kra.ErrTrust, "ended on")
	_, err = late.Finish(dir)
	refused(t, "certificates that have ended since", err, kra.ErrTrust, "ended on")

	alone, plan := c.plan(officers, func(p *kra.PlanConfig) { p.Threshold, p.SingleAgentMayOpenAlone = 1, true })
	_, err = officers[0].Agree(alone, kra.Agreement{Hash: plan.Hash()})
	refused(t, "a single agent", err, record.ErrSingleAgent, "accepted by name")
	_, err = officers[0].Agree(alone, kra.Agreement{Hash: plan.Hash(), SingleAgentMayOpenAlone: true})
	must(t, err)
}

func TestVerifyShareRefuses(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	officers := c.officers("Olga", "Otto", "Odile")
	dir, plan := c.plan(officers)
	r, err := kra.Perform(t.Context(), dir, kra.Agreement{Hash: plan.Hash()}, officers[0].Officer, officers[1].Officer, officers[2].Officer)
	must(t, err)
	wrong := r.Hash()
	wrong[0] ^= 1
	_, err = officers[0].VerifyShare(r, wrong)
	refused(t, "another pin", err, record.ErrPin, "not pinned")
	_, err = c.officers("Nadja")[0].VerifyShare(r, r.Hash())
	refused(t, "a stranger", err, kra.ErrNotInPlan, "no agent")
	_, err = open(t, officers[0].home).VerifyShare(r, r.Hash())
	refused(t, "locked", err, kra.ErrLocked, "")
	// The file was changed, and the officer has a pin that fits the change.
	b := bytes.Clone(r.Bytes())
	b[len(b)-5] ^= 1
	changed, err := record.ParseRoster(b)
	must(t, err)
	_, err = officers[0].VerifyShare(changed, changed.Hash())
	refused(t, "a changed signature", err, record.ErrRoster, "agent 3 (Odile Example) does not hold")
	late := openAt(t, officers[1].home, time.Now().AddDate(20, 0, 0))
	must(t, late.Unlock(t.Context(), passphrase))
	if id, err := late.VerifyShare(r, r.Hash()); err != nil || id != 2 {
		t.Errorf("long after the certificates have ended: agent %d, %v", id, err)
	}
}
