package server

import (
	"context"
	"crypto/x509"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/kra"
)

// CertifyAgent issues a recovery agent's two certificates, for the person with that login in the directory, and returns
// the card that goes back to the officer. The requests are PKCS#10 in DER; names in them are ignored.
//
// The operator at the server's command line answers for whose requests they are: the officer hands them over in person.
func (b *Base) CertifyAgent(ctx context.Context, by audit.Actor, login string, signing, decryption []byte) (*kra.AgentCard, error) {
	person, err := b.Directory.ByLogin(ctx, login)
	if err != nil {
		return nil, err
	}
	id := uuid.New()
	var requests []ca.Request
	for _, r := range []struct {
		profile string
		csr     []byte
	}{{ca.AgentSigning, signing}, {ca.AgentDecryption, decryption}} {
		csr, err := ca.ParseCSR(r.csr)
		if err != nil {
			return nil, err
		}
		requests = append(requests, ca.Request{ID: id, Profile: r.profile, Person: person.ID, PublicKey: csr.PublicKey, Mailboxes: person.Mailboxes,
			Subject: ca.Subject{CommonName: person.Name, GivenName: person.GivenName, Surname: person.Surname, SerialNumber: person.Employee}})
	}
	prepared, err := b.Authority.Prepare(ctx, by, requests...)
	if err != nil {
		return nil, err
	}
	issued, err := b.Authority.Sign(ctx, by, prepared)
	if err != nil {
		return nil, err
	}
	var leaves []*x509.Certificate
	for _, i := range issued {
		c, err := x509.ParseCertificate(i.DER)
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, c)
	}
	issuer, err := b.Authority.Issuer(issued[0].Issuer)
	if err != nil {
		return nil, err
	}
	return kra.NewAgentCard(person.ID, leaves[0], leaves[1], issuer.Chain())
}
