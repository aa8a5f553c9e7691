// Package ocsp answers whether a certificate is revoked (RFC 6960), for programs that ask about one instead of fetching the
// whole list. It owns the responder: parsing, its own short-lived certificates, signing, caching headers. What is revoked
// is package ca's; where the responder listens is package web's.
//
// Each server process makes itself a key and has it certified by each issuer (delegated responder, RFC 6960, 4.2.2.2).
// The key never leaves the process's memory; the certificate carries id-pkix-ocsp-nocheck, because it ends before anybody
// could learn of its revocation.
package ocsp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha1" // CertIDs of most clients; it is no signature
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/ocsp"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
)

const (
	// validity is the time from thisUpdate to nextUpdate. Eight hours is the least that the S/MIME BR allow.
	validity = 8 * time.Hour
	// cacheFor is how long caches may keep an answer: a revocation should be seen sooner than nextUpdate.
	cacheFor = 10 * time.Minute
	// backdated answers are accepted by clients whose clock is behind.
	backdated = 5 * time.Minute

	maxRequest = 4 << 10 // bytes; one with a signature and its chain is refused
)

// Config is what a Responder is made of. Every field without "nil" in its comment is required.
type Config struct {
	Authority *ca.Authority
	Now       func() time.Time // nil means time.Now
	Log       *slog.Logger     // nil discards
}

// Responder answers OCSP requests. It is safe for concurrent use.
type Responder struct {
	Config
	mu         sync.Mutex
	signers    map[string]*signer // by issuer
	algorithms map[crypto.Hash]map[string]*ca.Issuer
}

// signer is the responder's key for one issuer.
type signer struct {
	key         crypto.Signer
	certificate *x509.Certificate
}

// New returns a responder for all issuers whose keys are at hand.
func New(c Config) (*Responder, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Responder{Config: c, signers: map[string]*signer{}, algorithms: map[crypto.Hash]map[string]*ca.Issuer{}}
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		r.algorithms[h] = map[string]*ca.Issuer{}
		for _, i := range c.Authority.Issuers() {
			name, err := certID(h, i.Certificate())
			if err != nil {
				return nil, err
			}
			r.algorithms[h][name] = i
		}
	}
	return r, nil
}

// certID names an issuer as a request does: the hashes of its name and of its public key (the BIT STRING's content).
func certID(h crypto.Hash, c *x509.Certificate) (string, error) {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil {
		return "", fmt.Errorf("ocsp: issuer %s: %w", c.Subject, err)
	}
	name, key := h.New(), h.New()
	name.Write(c.RawSubject)
	key.Write(spki.Key.RightAlign())
	return string(key.Sum(name.Sum(nil))), nil
}

// Ready makes sure that the responder has a certificate of every issuer, as at start.
func (r *Responder) Ready(ctx context.Context) error {
	var errs []error
	for _, i := range r.Authority.Issuers() {
		if i.CanSign() {
			_, err := r.signer(ctx, i)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// signer returns the key to answer for an issuer with, and has a new one certified when half of the present one's time
// is over. If that fails the present one goes on until its end.
func (r *Responder) signer(ctx context.Context, i *ca.Issuer) (*signer, error) {
	now := r.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.signers[i.ID()]
	if have != nil && now.Before(have.certificate.NotBefore.Add(have.certificate.NotAfter.Sub(have.certificate.NotBefore)/2)) {
		return have, nil
	}
	made, err := r.certify(ctx, i)
	if err != nil {
		if have != nil && now.Before(have.certificate.NotAfter) {
			r.Log.Error("OCSP certificate was not renewed", "issuer", i.ID(), "error", err)
			return have, nil
		}
		return nil, err
	}
	r.signers[i.ID()] = made
	return made, nil
}

func (r *Responder) certify(ctx context.Context, i *ca.Issuer) (*signer, error) {
	profile, err := r.Authority.Profile(ca.OCSPSigning)
	if err == nil && profile.Issuer().ID() != i.ID() {
		profile, err = r.Authority.Profile(ca.ResponderProfile(i.ID()))
	}
	if err != nil {
		return nil, fmt.Errorf("ocsp: responder of %s: %w", i.ID(), err)
	}
	if profile.Issuer().ID() != i.ID() {
		return nil, fmt.Errorf("ocsp: the profile %s is signed by %s, not by %s", profile.Name(), profile.Issuer().ID(), i.ID())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	by := audit.System("ocsp")
	prepared, err := r.Authority.Prepare(ctx, by, ca.Request{ID: uuid.New(), Profile: profile.Name(), PublicKey: spki,
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
	return &signer{key, certificate}, nil
}

// Answer is a response with what caches need to know.
type Answer struct {
	DER        []byte
	ETag       string    // "" for an error response, which no cache may keep
	ThisUpdate time.Time // zero for an error response
	NextUpdate time.Time
}

// Respond answers a request (DER). Every request has an answer; the error is for the log.
func (r *Responder) Respond(ctx context.Context, request []byte) (*Answer, error) {
	q, err := parse(request)
	if err != nil {
		return &Answer{DER: ocsp.MalformedRequestErrorResponse}, err
	}
	issuer := r.algorithms[q.HashAlgorithm][string(q.IssuerNameHash)+string(q.IssuerKeyHash)]
	if issuer == nil || !issuer.CanSign() {
		return &Answer{DER: ocsp.UnauthorizedErrorResponse}, nil // not ours to answer for (RFC 9919)
	}
	status, err := r.Authority.Status(ctx, issuer.ID(), ca.SerialOf(q.SerialNumber))
	if err != nil {
		return &Answer{DER: ocsp.TryLaterErrorResponse}, err
	}
	s, err := r.signer(ctx, issuer)
	if err != nil {
		return &Answer{DER: ocsp.TryLaterErrorResponse}, err
	}
	return r.sign(issuer, s, q, status)
}

// parse reads a request for one certificate. x/crypto/ocsp reads the first of several and ignores the others, which would
// leave a client to think that they were answered.
func parse(der []byte) (*ocsp.Request, error) {
	if len(der) > maxRequest {
		return nil, fmt.Errorf("a request of %d bytes", len(der))
	}
	var outer struct {
		TBS struct {
			Version       int           `asn1:"explicit,tag:0,default:0,optional"`
			RequestorName asn1.RawValue `asn1:"explicit,tag:1,optional"`
			List          []asn1.RawValue
			Extensions    []pkix.Extension `asn1:"explicit,tag:2,optional"`
		}
		Signature asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	rest, err := asn1.Unmarshal(der, &outer)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 || len(outer.TBS.List) != 1 {
		return nil, fmt.Errorf("%d requests in one, %d bytes behind", len(outer.TBS.List), len(rest))
	}
	q, err := ocsp.ParseRequest(der)
	if err != nil {
		return nil, err
	}
	if q.SerialNumber.Sign() <= 0 || q.SerialNumber.BitLen() > 160 {
		return nil, errors.New("a serial that no certificate has")
	}
	return q, nil
}

func (r *Responder) sign(issuer *ca.Issuer, s *signer, q *ocsp.Request, status ca.Status) (*Answer, error) {
	now := r.Now().UTC().Truncate(time.Minute)
	t := ocsp.Response{SerialNumber: new(big.Int).Set(q.SerialNumber), IssuerHash: q.HashAlgorithm, Certificate: s.certificate,
		ThisUpdate: now.Add(-backdated), NextUpdate: now.Add(validity)}
	switch status.State {
	case ca.Good:
		t.Status = ocsp.Good
	case ca.Revoked:
		t.Status, t.RevokedAt, t.RevocationReason = ocsp.Revoked, status.At.UTC().Truncate(time.Second), int(status.Reason)
	default:
		t.Status = ocsp.Unknown
	}
	der, err := ocsp.CreateResponse(issuer.Certificate(), s.certificate, t, s.key)
	if err != nil {
		return &Answer{DER: ocsp.InternalErrorErrorResponse}, err
	}
	sum := sha256.Sum256(der)
	return &Answer{DER: der, ETag: hex.EncodeToString(sum[:]), ThisUpdate: t.ThisUpdate, NextUpdate: t.NextUpdate}, nil
}
