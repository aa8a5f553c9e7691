package gal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// Faults of what people's programs hand in for userSMIMECertificate.
var (
	ErrAdvertisement = fault.New(fault.Denied, "advertisement-refused", "The value is not one that this person's directory entry would show.")
	ErrNotWanted     = fault.New(fault.Conflict, "advertisement-not-wanted", "Directory entries show no values here that people sign themselves.")
)

// signingSkew is how far a person's clock may be off.
const signingSkew = 24 * time.Hour

// Advertised is what a person's program signed for userSMIMECertificate (cms.Advertise), as it is kept.
type Advertised struct {
	Signer     ca.Certificate
	Encryption ca.Certificate
	SHA256     [sha256.Size]byte // of the value
	SignedAt   time.Time         // as the signer says
	value      []byte
}

// Advertise keeps a value that the program of by's person signed for their own entry, in place of an older one for the same
// certificate, and has the entry looked at. The same again changes nothing. It must be what cms.ReadAdvertisement reads: signed
// with a certificate of ours that is theirs, for signing mail, valid and not revoked; for a certificate with which they are
// written to now (Shown); with these two and the issuers' below the root, and no other. What is not so is ErrAdvertisement, which
// the audit log has, or a fault of cms; ErrNotWanted says that the policy is another than Equal.
func (p *Publisher) Advertise(ctx context.Context, by audit.Actor, value []byte) (Advertised, error) {
	if !p.advertises() {
		return Advertised{}, ErrNotWanted
	}
	a, err := p.check(ctx, by.Person, value)
	if f := fault.Of(err); f != nil && f.Kind != fault.Unavailable {
		_, failed := p.Audit.Record(ctx, by, audit.Event{Kind: "gal.advertisement-refused", Subject: "person:" + by.Person.String(), Person: by.Person,
			Data: map[string]any{"code": f.Code, "detail": f.Detail}})
		return Advertised{}, errors.Join(err, failed)
	}
	if err != nil {
		return Advertised{}, err
	}
	shown, err := p.Shown(ctx, []uuid.UUID{by.Person})
	if err != nil {
		return Advertised{}, err
	}
	now := p.Now()
	err = p.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		changed, err := upsertAdvertisement(ctx, tx, by.Person, a, now)
		if err != nil || !changed {
			return err
		}
		b := &pgx.Batch{}
		queueWithoutAdvertisements(b, by.Person, shown)
		if _, err := audit.Queue(b, now, by, a.event()); err != nil {
			return err
		}
		jobs.QueuePublication(b, now, by.Person)
		return tx.SendBatch(ctx, b).Close()
	})
	return a, err
}

func (a Advertised) event() audit.Event {
	return audit.Event{Kind: "gal.advertised", Subject: "person:" + a.Encryption.Person.String(), Person: a.Encryption.Person, Data: map[string]any{
		"encryption": a.Encryption.Serial.String(), "signing": a.Signer.Serial.String(), "sha256": fmt.Sprintf("%x", a.SHA256)}}
}

// check reads a value and holds that all of it is this person's, and current.
func (p *Publisher) check(ctx context.Context, person uuid.UUID, value []byte) (Advertised, error) {
	read, err := cms.ReadAdvertisement(value)
	if err != nil {
		return Advertised{}, err
	}
	a := Advertised{SHA256: sha256.Sum256(value), SignedAt: read.SigningTime, value: value}
	if a.Signer, err = p.signerOf(ctx, person, read.Signer); err != nil {
		return a, err
	}
	if now := p.Now(); read.SigningTime.After(now.Add(signingSkew)) || read.SigningTime.Before(a.Signer.NotBefore.Add(-signingSkew)) {
		return a, ErrAdvertisement.Withf("The value says that it was signed on %s. Set the clock.", read.SigningTime.UTC().Format(time.DateOnly))
	}
	shown, err := p.Shown(ctx, []uuid.UUID{person})
	if err != nil {
		return a, err
	}
	i := slices.IndexFunc(shown, func(c ca.Certificate) bool { return bytes.Equal(c.DER, read.Encryption.Raw) })
	if i < 0 {
		return a, ErrAdvertisement.Withf("The certificate to encrypt to is not one with which this person is written to now.")
	}
	a.Encryption = shown[i]
	return a, p.checkCertificates(read.Certificates, a)
}

// signerOf returns our record of a certificate that a person may sign with now.
func (p *Publisher) signerOf(ctx context.Context, person uuid.UUID, cert *x509.Certificate) (ca.Certificate, error) {
	c, err := p.Authority.Known(ctx, cert)
	if errors.Is(err, ca.ErrNotFound) {
		return c, ErrAdvertisement.Withf("The signer's certificate is not of this authority.")
	}
	if err != nil {
		return c, err
	}
	profile, err := p.Authority.Profile(c.Profile)
	now := p.Now()
	switch {
	case c.Person != person:
		return c, ErrAdvertisement.Withf("The signer's certificate is not this person's.")
	case err != nil || !profile.Mail() || !slices.Contains([]keyuse.Use{keyuse.Signing, keyuse.Single}, profile.Use()):
		return c, ErrAdvertisement.Withf("The signer's certificate is not one to sign mail with.")
	case c.Status.State != ca.Good:
		return c, ErrAdvertisement.Withf("The signer's certificate is revoked.")
	case now.Before(c.NotBefore) || now.After(c.NotAfter):
		return c, ErrAdvertisement.Withf("The signer's certificate is not valid now.")
	}
	return c, nil
}

// checkCertificates holds that the value has exactly these: the signer's, the one to encrypt to, and those above them but the roots.
func (p *Publisher) checkCertificates(have []*x509.Certificate, a Advertised) error {
	want := [][]byte{a.Signer.DER}
	add := func(der []byte) {
		if !contains(want, der) {
			want = append(want, der)
		}
	}
	add(a.Encryption.DER)
	for _, c := range []ca.Certificate{a.Signer, a.Encryption} {
		issuer, err := p.Authority.Issuer(c.Issuer)
		if err != nil {
			return ErrAdvertisement.Withf("The issuer %s is not configured any more.", c.Issuer)
		}
		for _, above := range below(issuer.Chain()) {
			add(above.Raw)
		}
	}
	for _, c := range have {
		if !contains(want, c.Raw) {
			return ErrAdvertisement.Withf("The value holds a certificate that does not belong there, of serial number %x.", c.SerialNumber)
		}
	}
	if len(have) != len(want) {
		return ErrAdvertisement.Withf("The value does not hold the issuers' certificates, which mail programs need.")
	}
	return nil
}

// below returns the certificates of a chain without the root.
func below(chain []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(chain, func(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) })
}
