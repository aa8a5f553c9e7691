package testmail

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
)

// identity is a pair of the test mailbox's keys with their certificates. A new pair is made when half of the present one's life
// is over, or the address has changed; the old keys still open what people encrypt to them until the certificates end, and
// are destroyed then.
type identity struct {
	signer     crypto.Signer
	signing    *x509.Certificate
	decrypter  crypto.Signer
	encryption *x509.Certificate
}

func (i *identity) recipient() cms.Recipient {
	return cms.Recipient{Certificate: i.encryption, Key: i.decrypter}
}

// sealedIdentity is one as the database has it.
type sealedIdentity struct {
	ID                        uuid.UUID
	SigningKey, EncryptionKey []byte
	Signing, Encryption       []byte // DER; nil: not issued yet
}

// uncertified is how long keys may wait for their certificates before they are given up.
const uncertified = 8 * time.Minute

// EnsureCertificates gives the test mailbox keys and certificates when it has none or theirs have lived half their life. It is
// called at the start and from time to time; servers take turns.
func (d *Desk) EnsureCertificates(ctx context.Context) error {
	now := d.Now()
	s, err := d.dueIdentity(ctx, now)
	if err != nil || s == nil {
		return err
	}
	i, err := d.unseal(s)
	if err != nil {
		return err
	}
	by := audit.System("testmail")
	var requests []ca.Request
	for profile, public := range map[string]crypto.PublicKey{ca.TestMailboxSigning: i.signer.Public(), ca.TestMailboxEncryption: i.decrypter.Public()} {
		spki, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return err
		}
		requests = append(requests, ca.Request{ID: s.ID, Profile: profile, PublicKey: spki, Mailboxes: []string{d.Address}})
	}
	prepared, err := d.Authority.Prepare(ctx, by, requests...)
	if err != nil {
		return fmt.Errorf("certificates of the test mailbox: %w", err)
	}
	issued, err := d.Authority.Sign(ctx, by, prepared)
	if err != nil {
		return fmt.Errorf("certificates of the test mailbox: %w", err)
	}
	byProfile := map[string]ca.Certificate{}
	ends := issued[0].NotAfter
	for _, c := range issued {
		byProfile[c.Profile] = c
		if c.NotAfter.Before(ends) {
			ends = c.NotAfter
		}
	}
	return d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		return updateCertificates(ctx, tx, s.ID, byProfile[ca.TestMailboxSigning].DER, byProfile[ca.TestMailboxEncryption].DER, ends)
	})
}

// dueIdentity returns keys that have no certificates yet, made now if they are due; nil if none are.
func (d *Desk) dueIdentity(ctx context.Context, now time.Time) (s *sealedIdentity, err error) {
	err = d.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := pg.Lock(ctx, tx, "testmail-identity"); err != nil {
			return err
		}
		if err := destroyEnded(ctx, tx, now, now.Add(-uncertified)); err != nil {
			return err
		}
		if s, err = selectUncertified(ctx, tx, d.Address); err != nil || s != nil {
			return err
		}
		fresh, err := existsFresh(ctx, tx, d.Address, now)
		if err != nil || fresh {
			return err
		}
		s = &sealedIdentity{ID: uuid.New()}
		if s.SigningKey, err = d.newKey(ca.TestMailboxSigning); err != nil {
			return err
		}
		if s.EncryptionKey, err = d.newKey(ca.TestMailboxEncryption); err != nil {
			return err
		}
		return insertIdentity(ctx, tx, s, d.Address, now)
	})
	return s, err
}

// newKey makes a key of the kind that a profile prefers, and seals it.
func (d *Desk) newKey(profile string) ([]byte, error) {
	p, err := d.Authority.Profile(profile)
	if err != nil {
		return nil, err
	}
	var key crypto.PrivateKey
	switch kind := p.Keys()[0]; kind {
	case ca.P256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ca.P384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ca.RSA4096:
		key, err = rsa.GenerateKey(rand.Reader, 4096)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	}
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(pkcs8)
	return d.SealKey(pkcs8)
}

// identities returns those whose certificates are valid, the newest first.
func (d *Desk) identities(ctx context.Context) ([]*identity, error) {
	var rows []*sealedIdentity
	err := d.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		rows, err = selectIdentities(ctx, tx, d.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []*identity
	for _, s := range rows {
		i, err := d.unseal(s)
		if err != nil {
			return nil, err
		}
		if i.signing, err = x509.ParseCertificate(s.Signing); err != nil {
			return nil, err
		}
		if i.encryption, err = x509.ParseCertificate(s.Encryption); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, nil
}

// Certificates returns the test mailbox's present certificates, for signing and for encryption, or ErrNotReady.
func (d *Desk) Certificates(ctx context.Context) (signing, encryption *x509.Certificate, err error) {
	i, err := d.current(ctx)
	if err != nil {
		return nil, nil, err
	}
	return i.signing, i.encryption, nil
}

// current returns the newest identity of the present address.
func (d *Desk) current(ctx context.Context) (*identity, error) {
	all, err := d.identities(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if len(i.signing.EmailAddresses) == 1 && i.signing.EmailAddresses[0] == d.Address {
			return i, nil
		}
	}
	return nil, ErrNotReady
}

func (d *Desk) unseal(s *sealedIdentity) (*identity, error) {
	i := &identity{}
	for _, k := range []struct {
		sealed []byte
		to     *crypto.Signer
	}{{s.SigningKey, &i.signer}, {s.EncryptionKey, &i.decrypter}} {
		pkcs8, err := d.UnsealKey(k.sealed)
		if err != nil {
			return nil, fmt.Errorf("key %s of the test mailbox: %w", s.ID, err)
		}
		key, err := x509.ParsePKCS8PrivateKey(pkcs8)
		clear(pkcs8)
		if err != nil {
			return nil, fmt.Errorf("key %s of the test mailbox: %w", s.ID, err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, errors.New("a key of the test mailbox is of no kind that signs or opens")
		}
		*k.to = signer
	}
	return i, nil
}
