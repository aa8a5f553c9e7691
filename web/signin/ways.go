package signin

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// Certificate knows people by a certificate that this installation issued to them: the one that they sign with, or one
// for authentication. An encryption certificate proves nothing, because its key is in the archive too.
type Certificate struct {
	authority *ca.Authority
	directory *directory.Directory
	now       func() time.Time
	issuers   *x509.CertPool
}

// NewCertificate returns the way.
func NewCertificate(a *ca.Authority, d *directory.Directory, now func() time.Time) *Certificate {
	w := &Certificate{authority: a, directory: d, now: now, issuers: x509.NewCertPool()}
	for _, i := range a.Issuers() {
		w.issuers.AddCert(i.Certificate())
	}
	return w
}

// Authenticate takes the certificate of the TLS connection. TLS itself has made sure that the client has its key.
func (w *Certificate) Authenticate(ctx context.Context, r *http.Request) (Caller, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return Caller{}, ErrNotOffered
	}
	leaf := r.TLS.PeerCertificates[0]
	if err := w.verify(leaf); err != nil {
		return Caller{}, err
	}
	c, err := w.authority.Known(ctx, leaf)
	if errors.Is(err, ca.ErrNotFound) {
		return Caller{}, ErrCertificate.Withf("This authority has no record of the client certificate.")
	}
	if err != nil {
		return Caller{}, err
	}
	if err := w.fit(c); err != nil {
		return Caller{}, err
	}
	person, err := w.directory.Person(ctx, c.Person)
	switch {
	case errors.Is(err, directory.ErrUnknownPerson):
		return Caller{}, ErrCertificate.Withf("The person of this certificate is not in the directory any more.").Because(err)
	case err != nil:
		return Caller{}, err
	case person.Disabled:
		return Caller{}, directory.ErrDisabled
	}
	return Caller{Actor: person.Actor(audit.MethodCertificate, audit.StrengthCertificate)}, nil
}

// verify checks what the certificate itself says: who signed it, when, and for what.
func (w *Certificate) verify(leaf *x509.Certificate) error {
	now := w.now()
	if now.After(leaf.NotAfter) {
		return ErrCertificate.Withf("The client certificate ended on %s. Use login and password, or an enrolment token.", leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: w.issuers, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return ErrCertificate.Withf("The client certificate does not come from this authority, or not for this use.").Because(err)
	}
	if leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return ErrCertificate.Withf("The client certificate is not one to sign with.")
	}
	return nil
}

// fit checks what we know of the certificate.
func (w *Certificate) fit(c ca.Certificate) error {
	if c.Status.State != ca.Good {
		if c.Status.Reason == ca.CertificateHold {
			return ErrHeld.Withf("The client certificate is on hold since %s. Ask a registrar, or use login and password.", c.Status.At.UTC().Format(time.DateOnly))
		}
		return ErrRevoked.Withf("The client certificate was revoked on %s (%s). Use login and password, or an enrolment token.", c.Status.At.UTC().Format(time.DateOnly), c.Status.Reason)
	}
	profile, err := w.authority.Profile(c.Profile)
	if err != nil {
		return ErrCertificate.Withf("The client certificate is of a profile that is no longer used.").Because(err)
	}
	if !slices.Contains([]keyuse.Use{keyuse.Signing, keyuse.Single}, profile.Use()) || c.Person == uuid.Nil {
		return ErrCertificate.Withf("The client certificate is not one that a person signs or authenticates with.")
	}
	return nil
}

// Token knows people by an enrolment token (Authorization: Bearer, RFC 6750).
type Token struct {
	Registry *enroll.Registry
	Attempts *Attempts
}

// Authenticate takes a bearer token.
func (w Token) Authenticate(ctx context.Context, r *http.Request) (Caller, error) {
	token, ok := bearer(r)
	if !ok || isIDToken(token) {
		return Caller{}, ErrNotOffered
	}
	c := Caller{Token: token}
	err := w.Attempts.try(ctx, token, r.RemoteAddr, func() (err error) {
		c.Actor, err = w.Registry.TokenActor(ctx, token)
		return err
	})
	return c, err
}

// bearer returns a request's bearer token.
func bearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, token != "" && strings.EqualFold(scheme, "Bearer")
}

// Password knows people by their directory's password (Authorization: Basic, RFC 7617).
type Password struct {
	Directory *directory.Directory
	Attempts  *Attempts
}

// Authenticate takes login and password.
func (w Password) Authenticate(ctx context.Context, r *http.Request) (Caller, error) {
	login, password, ok := r.BasicAuth()
	if !ok {
		return Caller{}, ErrNotOffered
	}
	return w.Try(ctx, login, password, r.RemoteAddr)
}

// Try takes login and password from a remote address, as http.Request has it.
func (w Password) Try(ctx context.Context, login, password, remote string) (Caller, error) {
	var person directory.Person
	err := w.Attempts.try(ctx, login, remote, func() (err error) {
		person, err = w.Directory.Authenticate(ctx, login, password)
		return err
	})
	if err != nil {
		return Caller{}, err
	}
	return Caller{Actor: person.Actor(audit.MethodPassword, audit.StrengthPassword)}, nil
}
