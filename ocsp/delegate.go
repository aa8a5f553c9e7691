package ocsp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
)

// certifyAgain is how long to wait after an issuer refused to certify the responder's key: each attempt leaves a serial.
const certifyAgain = time.Minute

// method is how an answer is signed: with what kind of key, and how the responder is named (ResponderID).
type method struct {
	name      string
	algorithm []byte // AlgorithmIdentifier in DER
	byName    bool   // by its certificate's subject; otherwise by the hash of its key
	make      func() (crypto.Signer, error)
}

// Two methods, because one does not reach everybody (docs/decisions/0018-ocsp.md). Answers that are signed ahead are small
// and name the responder by its key, as RFC 9919 asks. Who sends a nonce is no client of RFC 9919 and gets what every client
// must be able to read (RFC 6960 §4.3): GnuPG's dirmngr up to 2.2.40 verifies nothing but RSA, and finds a responder's
// certificate by its name alone.
var (
	light = &method{"light", []byte("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"), false,
		func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }}
	plain = &method{"plain", []byte("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"), true,
		func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 3072) }}
)

// delegate is a key of the responder's for one issuer, with the certificate that lets it answer (RFC 6960 §4.2.2.2).
type delegate struct {
	*method
	key         crypto.Signer
	certificate *x509.Certificate
	keyHash     []byte // SHA-1 of the public key
	tail        []byte // the certificates of a BasicOCSPResponse
}

// office is where one issuer's answers are signed in one way: it has a delegate, and gets itself a new one in time.
type office struct {
	issuer *issuer
	method *method

	current    atomic.Pointer[delegate]
	certifying sync.Mutex
	refused    error // why the last attempt to certify failed; with its time, guarded by certifying
	refusedAt  time.Time
}

// serves reports whether clients accept what the delegate signs now.
func (d *delegate) serves(now time.Time) bool {
	return d != nil && !now.Before(d.certificate.NotBefore) && now.Before(d.certificate.NotAfter)
}

// due reports whether half of the delegate's time is over, or has not begun because the clock went back.
func (d *delegate) due(now time.Time) bool {
	c := d.certificate
	return now.Before(c.NotBefore) || !now.Before(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore)/2))
}

// overdue reports whether three quarters of the delegate's time are over: half should have been the end.
func (d *delegate) overdue(now time.Time) bool {
	c := d.certificate
	return !d.serves(now) || now.After(c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore)/4*3))
}

// delegate returns the key to answer with. It has a new one certified when the present one is due; if that fails the present
// one goes on until its end.
func (r *Responder) delegate(ctx context.Context, o *office) (*delegate, error) {
	now := r.Now()
	have := o.current.Load()
	if have.serves(now) {
		if !have.due(now) || !o.certifying.TryLock() { // another is about to renew it
			return have, nil
		}
	} else {
		o.certifying.Lock()
	}
	defer o.certifying.Unlock()
	if have = o.current.Load(); have.serves(now) && !have.due(now) {
		return have, nil
	}
	err := o.refused
	if since := now.Sub(o.refusedAt); err == nil || since < 0 || since >= certifyAgain {
		var made *delegate
		if made, err = r.certify(ctx, o); err == nil {
			o.refused = nil
			o.current.Store(made)
			return made, nil
		}
		if ctx.Err() == nil { // not merely that who asked has gone
			o.refused, o.refusedAt = err, now.Round(0)
			r.Log.Error("OCSP responder was not certified", "issuer", o.issuer.ID(), "method", o.method.name, "error", err)
		}
	}
	if have.serves(now) {
		return have, nil
	}
	return nil, err
}

// certify makes a key and has the issuer certify it.
func (r *Responder) certify(ctx context.Context, o *office) (*delegate, error) {
	profile, err := r.profile(o.issuer)
	if err != nil {
		return nil, err
	}
	key, err := o.method.make()
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	by := audit.System("ocsp")
	prepared, err := r.Authority.Prepare(ctx, by, ca.Request{ID: uuid.New(), Profile: profile, PublicKey: spki,
		Subject: ca.Subject{CommonName: "OCSP responder " + r.Now().UTC().Format(time.DateOnly)}})
	if err != nil {
		return nil, err
	}
	issued, err := r.Authority.Sign(ctx, by, prepared)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(issued[0].DER)
	if err != nil {
		return nil, err
	}
	hash, err := keyHash(crypto.SHA1, certificate)
	if err != nil {
		return nil, err
	}
	return &delegate{method: o.method, key: key, certificate: certificate, keyHash: hash,
		tail: element(0xa0, element(0x30, certificate.Raw, 0), 0)}, nil
}

// plainly returns the delegate of the plain method, if there is one and it is not busy: its signatures take a hundred times
// as long. done is to be called afterwards.
func (r *Responder) plainly(i *issuer) (d *delegate, done func()) {
	if d = i.plain.current.Load(); !d.serves(r.Now()) {
		return nil, nil
	}
	select {
	case r.plainAtOnce <- struct{}{}:
		return d, func() { <-r.plainAtOnce }
	default:
		return nil, nil
	}
}

// profile returns the name of the profile of an issuer's responder.
func (r *Responder) profile(i *issuer) (string, error) {
	p, err := r.Authority.Profile(ca.OCSPSigning)
	if err == nil && p.Issuer().ID() != i.ID() {
		p, err = r.Authority.Profile(ca.ResponderProfile(i.ID()))
	}
	if err != nil {
		return "", fmt.Errorf("ocsp: responder of %s: %w", i.ID(), err)
	}
	if p.Issuer().ID() != i.ID() {
		return "", fmt.Errorf("ocsp: the profile %s is signed by %s, not by %s", p.Name(), p.Issuer().ID(), i.ID())
	}
	return p.Name(), nil
}

// Ready makes sure that the responder has a certificate of every issuer, as at start. That of the plain method comes later:
// making its key takes a while.
func (r *Responder) Ready(ctx context.Context) error { return r.certified(ctx, false) }

// certified makes sure that delegates are there that are not due.
func (r *Responder) certified(ctx context.Context, all bool) error {
	var errs []error
	for _, i := range r.issuers {
		if !i.CanSign() {
			continue
		}
		_, err := r.delegate(ctx, i.light)
		errs = append(errs, err)
		if all {
			_, err = r.delegate(ctx, i.plain)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// certIDs returns how requests name an issuer (the start of a CertID in DER): the hashes of its name and of its public key
// with SHA-1 and with SHA-256, and the algorithm with the parameter NULL or, as is right too, without one.
func certIDs(c *x509.Certificate) ([]string, error) {
	var out []string
	for _, h := range []struct {
		crypto.Hash
		oid string
	}{{crypto.SHA1, "\x06\x05\x2b\x0e\x03\x02\x1a"}, {crypto.SHA256, "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01"}} {
		name := h.New()
		name.Write(c.RawSubject)
		key, err := keyHash(h.Hash, c)
		if err != nil {
			return nil, err
		}
		for _, parameters := range []string{"\x05\x00", ""} {
			out = append(out, string(concat(element(0x30, []byte(h.oid+parameters), 0), element(0x04, name.Sum(nil), 0), element(0x04, key, 0))))
		}
	}
	return out, nil
}

// keyHash hashes a public key: the content of the BIT STRING, without its count of unused bits.
func keyHash(h crypto.Hash, c *x509.Certificate) ([]byte, error) {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil {
		return nil, fmt.Errorf("ocsp: public key of %s: %w", c.Subject, err)
	}
	sum := h.New()
	sum.Write(spki.Key.RightAlign())
	return sum.Sum(nil), nil
}
