package housetest

import (
	"crypto/ecdsa"
	"crypto/x509"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/internal/rostertest"
)

// officers are the recovery agents of the sample company, by login.
var officers = []string{"olivia", "oscar", "otto"}

// holdCeremony makes the roster, with certificates of the House's own authority.
func (h *House) holdCeremony(t testing.TB) {
	t.Helper()
	var agents []rostertest.Agent
	for i, login := range officers {
		p, err := h.Directory.ByLogin(t.Context(), login)
		must(t, err)
		signer, signing := h.certify(t, p, ca.AgentSigning)
		key, decryption := h.certify(t, p, ca.AgentDecryption)
		agents = append(agents, rostertest.Agent{Signer: signer, Key: cms.Recipient{Certificate: decryption, Key: key},
			Agent: record.Agent{ID: uint16(i + 1), Person: p.ID, Name: p.Name, Signing: signing, Decryption: decryption}})
	}
	bob, err := h.Directory.ByLogin(t.Context(), "bob")
	must(t, err)
	key, certificate := h.certify(t, bob, ca.RecoveryRecipient)
	h.Recipient = cms.Recipient{Certificate: certificate, Key: key}
	h.Roster = rostertest.Hold(t, 2, agents, record.Recipient{Uses: record.UseBusiness | record.UseLegal, Person: bob.ID, Name: bob.Name, Certificate: certificate})
}

// certify issues a certificate for a new P-256 key of a person.
func (h *House) certify(t testing.TB, p directory.Person, profile string) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key := pkitest.NewKey(t, ca.P256).(*ecdsa.PrivateKey)
	issued := h.PKI.Issue(t, ca.Request{ID: uuid.New(), Profile: profile, Person: p.ID, PublicKey: pkitest.SPKI(key.Public()), Mailboxes: p.Mailboxes,
		Subject: ca.Subject{CommonName: p.Name, GivenName: p.GivenName, Surname: p.Surname, SerialNumber: p.Employee}})
	c, err := x509.ParseCertificate(issued[0].DER)
	must(t, err)
	return key, c
}
