package portal_test

import (
	"crypto"
	"crypto/x509"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pkitest"
)

// signer is somebody with a certificate to sign with.
type signer struct {
	audit.Actor
	key         crypto.Signer
	certificate *x509.Certificate
}

func (s *site) signer(t *testing.T, login string) signer {
	t.Helper()
	p, err := s.Directory.ByLogin(t.Context(), login)
	must(t, err)
	out := signer{Actor: p.Actor(audit.MethodCertificate, audit.StrengthCertificate), key: pkitest.NewKey(t, ca.P256)}
	issued := s.PKI.Issue(t, ca.Request{ID: uuid.New(), Profile: ca.SMIMESigning, Person: p.ID, PublicKey: pkitest.SPKI(out.key.Public()), Mailboxes: p.Mailboxes[:1],
		Subject: ca.Subject{CommonName: p.Name, GivenName: p.GivenName, Surname: p.Surname, SerialNumber: p.Employee}})
	out.certificate, err = x509.ParseCertificate(issued[0].DER)
	must(t, err)
	return out
}

// archived deposits a key of somebody's.
func (s *site) archived(t *testing.T, who audit.Actor) {
	t.Helper()
	key := pkitest.NewKey(t, ca.P256)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	d := archive.Deposit{Request: uuid.New(), Person: who.Person, Name: who.Name, Mail: "somebody@example.test", Key: pkcs8, PublicKey: pkitest.SPKI(key.Public())}
	_, err = s.Archive.Deposit(t.Context(), pkitest.Actor(), d)
	must(t, err)
	must(t, s.Archive.Confirm(t.Context(), d.Request))
}

// askedCase is a case for somebody's keys that rita asks for and bob receives; one that an auditor lets be silent for a time, if
// there is one.
func (s *site) askedCase(t *testing.T, kind record.CaseKind, subject, auditor string, silence time.Duration, reason string) (*archive.Case, []*record.Capsule) {
	t.Helper()
	whose := s.Actor(t, subject)
	s.archived(t, whose)
	rita := s.signer(t, "rita")
	drafts, err := s.Recovery.Draft(t.Context(), rita.Actor, archive.Ask{Kind: kind, Subjects: []uuid.UUID{whose.Person}})
	must(t, err)
	d, now := drafts[0], s.Clock.Now().UTC().Truncate(time.Second)
	c := record.Case{ID: uuid.New(), Kind: kind, Roster: d.Roster.Hash(), KeyID: d.Roster.KeyID(), Epoch: d.Roster.Epoch(), Reason: reason, Reference: "HR-4711",
		Requester: record.Requester{Person: rita.Person, Name: rita.Name, Certificate: rita.certificate}, Opened: now, Deadline: now.Add(72 * time.Hour),
		Deliveries: []record.Delivery{{Recipient: s.Recipient.Certificate}}}
	var capsules []*record.Capsule
	for _, p := range d.Subjects {
		one := record.Subject{Person: p.Person}
		for _, k := range p.Records {
			one.Records, capsules = append(one.Records, k.Hash()), append(capsules, k)
		}
		c.Deliveries[0].Subjects = append(c.Deliveries[0].Subjects, one)
	}
	signed, err := c.Sign(rita.key)
	must(t, err)
	var consent []byte
	if auditor != "" {
		by := s.signer(t, auditor)
		x, err := record.Consent{Case: signed.Hash(), Person: by.Person, Name: by.Name, Certificate: by.certificate, SilentUntil: now.Add(silence), Time: now}.Sign(by.key)
		must(t, err)
		consent = x.Bytes()
	}
	out, err := s.Recovery.Open(t.Context(), rita.Actor, signed.Bytes(), consent)
	must(t, err)
	return out, capsules
}

func (s *site) legalCase(t *testing.T, subject, auditor string, silence time.Duration) uuid.UUID {
	t.Helper()
	k, _ := s.askedCase(t, record.CaseLegal, subject, auditor, silence, "The drawings are gone.")
	return k.ID
}

// agreed has officers approve a case: 1 is olivia, 2 oscar, 3 otto.
func (s *site) agreed(t *testing.T, k *archive.Case, capsules []*record.Capsule, officers ...uint16) {
	t.Helper()
	for _, a := range officers {
		raw, err := s.Roster.Approve(t, k.SignedCase, capsules, a, s.Clock.Now()).Encode()
		must(t, err)
		agent := s.Roster.Agents[a-1]
		_, err = s.Recovery.Answer(t.Context(), audit.Actor{Person: agent.Person, Name: agent.Name, Roles: []audit.Role{audit.RecoveryAgent}, Method: audit.MethodCertificate}, k.ID, raw)
		must(t, err)
	}
}
