package server

import (
	"context"
	"crypto/x509"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/kra"
)

// CertifyRecipient issues the certificate of somebody who may receive keys in business or legal cases, for the person with
// that login in the directory, and returns the card that the officers' plan takes. The request is PKCS#10 in DER; names in
// it are ignored. Whether the person receives anything, the officers decide by their plan.
func (b *Base) CertifyRecipient(ctx context.Context, by audit.Actor, login string, request []byte) (*kra.RecipientCard, error) {
	certs, person, chain, err := b.certify(ctx, by, login, map[string][]byte{ca.RecoveryRecipient: request})
	if err != nil {
		return nil, err
	}
	return kra.NewRecipientCard(person, certs[ca.RecoveryRecipient], chain)
}

// CertifyAgent issues a recovery agent's two certificates, for the person with that login in the directory, and returns
// the card that goes back to the officer. The requests are PKCS#10 in DER; names in them are ignored.
//
// The operator at the server's command line answers for whose requests they are: the officer hands them over in person.
func (b *Base) CertifyAgent(ctx context.Context, by audit.Actor, login string, signing, decryption []byte) (*kra.AgentCard, error) {
	certs, person, chain, err := b.certify(ctx, by, login, map[string][]byte{ca.AgentSigning: signing, ca.AgentDecryption: decryption})
	if err != nil {
		return nil, err
	}
	return kra.NewAgentCard(person, certs[ca.AgentSigning], certs[ca.AgentDecryption], chain)
}

// certify issues certificates for requests, by profile, all or none. It returns them with the person's id and the chain of
// their issuer.
func (b *Base) certify(ctx context.Context, by audit.Actor, login string, wanted map[string][]byte) (map[string]*x509.Certificate, uuid.UUID, []*x509.Certificate, error) {
	person, err := b.Directory.ByLogin(ctx, login)
	if err != nil {
		return nil, uuid.Nil, nil, err
	}
	id := uuid.New()
	var requests []ca.Request
	for profile, der := range wanted {
		csr, err := ca.ParseCSR(der)
		if err != nil {
			return nil, uuid.Nil, nil, err
		}
		requests = append(requests, ca.Request{ID: id, Profile: profile, Person: person.ID, PublicKey: csr.PublicKey, Mailboxes: person.Mailboxes,
			Subject: ca.Subject{CommonName: person.Name, GivenName: person.GivenName, Surname: person.Surname, SerialNumber: person.Employee}})
	}
	prepared, err := b.Authority.Prepare(ctx, by, requests...)
	if err != nil {
		return nil, uuid.Nil, nil, err
	}
	issued, err := b.Authority.Sign(ctx, by, prepared)
	if err != nil {
		return nil, uuid.Nil, nil, err
	}
	out := map[string]*x509.Certificate{}
	for _, i := range issued {
		if out[i.Profile], err = x509.ParseCertificate(i.DER); err != nil {
			return nil, uuid.Nil, nil, err
		}
	}
	issuer, err := b.Authority.Issuer(issued[0].Issuer)
	if err != nil {
		return nil, uuid.Nil, nil, err
	}
	return out, person.ID, issuer.Chain(), nil
}
