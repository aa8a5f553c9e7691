package enroll

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/attest"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pg"
)

// Submission is a request as it arrives. Names and addresses in the CSRs are compared with the directory's and
// otherwise ignored: what is certified comes from the directory.
type Submission struct {
	Idempotency   string                  // the client's own name for the request
	Enrolment     string                  // name of a plan
	SigningCSR    []byte                  // PKCS#10, DER
	EncryptionCSR []byte                  // PKCS#10, DER
	EscrowedKey   []byte                  // CMS to the exchange certificate; never stored, never logged
	Attestation   *api.SigningAttestation // where the signing key was made; nil if that is not said
	Token         string                  // the enrolment token that authenticated the request, if one did: it is spent
	Agent         string                  // the program that sends it, as it calls itself (User-Agent)
}

// hash names the submission's content, so that a repetition is told from another request under the same name. Fields
// are prefixed with their length. The CMS is left out, and the attestation: a
// client that comes too late makes them anew with another nonce.
func (s Submission) hash() [32]byte {
	h := sha256.New()
	for _, f := range [][]byte{[]byte(s.Enrolment), s.SigningCSR, s.EncryptionCSR} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(f))) // a hash never fails
		h.Write(f)
	}
	return [32]byte(h.Sum(nil))
}

// Submit takes a request for the person by. It returns when the certificates are issued, or as soon as a registrar is
// to decide. A repetition with the same idempotency key and content continues where the first stopped and returns what
// it yielded.
//
// It returns ErrUnknownEnrolment, ErrPair, ErrAddress, ErrNoMailbox, ErrEscrowMissing, ErrEscrowUnasked,
// ErrEscrowRefused, ErrAttestationMissing, ErrAttestationKind, ErrOrderedAway, ErrIdempotency, ErrToken, the faults of attest, the faults of ca.ParseCSR, archive.Deposit and ca.Prepare, and
// directory.ErrUnavailable. After any of them nothing is issued and nothing stays archived.
func (r *Registry) Submit(ctx context.Context, by audit.Actor, s Submission) (*Request, error) {
	req, keys, err := r.check(ctx, by, s)
	if err != nil {
		return nil, r.refused(ctx, by, s, err)
	}
	req, err = r.receive(ctx, by, req, s)
	if err != nil {
		return nil, r.refused(ctx, by, s, err)
	}
	if req.State != Received { // a repetition
		return r.finish(ctx, by, req)
	}
	if err := r.deposit(ctx, by, req, keys, s); err != nil {
		return nil, r.giveUp(ctx, by, req, err)
	}
	r.After("deposited")
	if r.plans[req.Enrolment].Endorsement {
		return r.await(ctx, by, req)
	}
	return r.issue(ctx, by, req)
}

// keyPair is the SubjectPublicKeyInfo (DER) of each CSR of a submission; nil where the plan has none.
type keyPair struct{ signing, encryption []byte }

// check decides from the submission and the directory alone whether the request may be taken. It stores nothing.
func (r *Registry) check(ctx context.Context, by audit.Actor, s Submission) (*Request, keyPair, error) {
	var pair keyPair
	if !validIdempotencyKey(s.Idempotency) {
		return nil, pair, ErrIdempotencyKey
	}
	p, ok := r.plans[s.Enrolment]
	if !ok {
		return nil, pair, ErrUnknownEnrolment
	}
	if (p.signing != nil) != (len(s.SigningCSR) > 0) || (p.encryption != nil) != (len(s.EncryptionCSR) > 0) {
		return nil, pair, ErrPair
	}
	if p.escrowed() && len(s.EscrowedKey) == 0 {
		return nil, pair, ErrEscrowMissing
	}
	if !p.escrowed() && len(s.EscrowedKey) > 0 {
		return nil, pair, ErrEscrowUnasked
	}
	person, err := r.person(ctx, by.Person)
	if err != nil {
		return nil, pair, err
	}
	orders, err := r.openOrders(ctx)
	if err != nil {
		return nil, pair, err
	}
	var claimed []Claim
	if pair.signing, err = parseCSR(p.signing, s.SigningCSR, person, orders, &claimed); err != nil {
		return nil, pair, fmt.Errorf("signing request: %w", err)
	}
	if pair.encryption, err = parseCSR(p.encryption, s.EncryptionCSR, person, orders, &claimed); err != nil {
		return nil, pair, fmt.Errorf("encryption request: %w", err)
	}
	origin, err := r.origin(ctx, person.ID, p.Protection, s.Attestation, pair.signing)
	if err != nil {
		return nil, pair, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, pair, err
	}
	now := r.Now()
	return &Request{ID: id, Person: person.ID, Enrolment: p.Name, State: Received, Subject: subjectOf(person),
		SigningSPKI: pair.signing, EncryptionSPKI: pair.encryption, By: by, Agent: clipAgent(s.Agent), ReceivedAt: now, ChangedAt: now, Claimed: claimed, Origin: origin,
		challenge: s.challenge(origin)}, pair, nil
}

// person looks the subscriber up. Somebody without a mailbox has no use for a certificate, and a disabled account no
// right to one.
func (r *Registry) person(ctx context.Context, id uuid.UUID) (directory.Person, error) {
	person, err := r.Directory.Person(ctx, id)
	if err != nil {
		return person, err
	}
	if person.Disabled {
		return person, directory.ErrDisabled
	}
	if len(person.Mailboxes) == 0 {
		return person, ErrNoMailbox
	}
	return person, nil
}

// parseCSR checks a CSR for a profile, returns its key and notes what it names. Without a profile it returns nil.
func parseCSR(profile *ca.Profile, der []byte, person directory.Person, orders []*Order, claimed *[]Claim) (spki []byte, err error) {
	if profile == nil {
		return nil, nil
	}
	csr, err := ca.ParseCSR(der)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(profile.Keys(), csr.Algorithm) {
		return nil, ca.ErrKeyNotAllowed.Withf("A key of the kind %s is not allowed here. Allowed are: %v.", csr.Algorithm, profile.Keys())
	}
	for _, o := range orders {
		if o.refuses(csr.Algorithm, profile) || o.Key != nil && *o.Key == keyuse.HashOf(csr.PublicKey) {
			return nil, ErrOrderedAway.Withf("Keys of the kind %s, or this one, are not taken any more (%s). Fetch the policy again and make another key. Kinds that are taken: %v.",
				csr.Algorithm, o.Reason, keysOf(profile, orders))
		}
	}
	for _, m := range csr.Mailboxes {
		if !slices.ContainsFunc(person.Mailboxes, func(have string) bool { return strings.EqualFold(have, m) }) {
			return nil, ErrAddress.Withf("The certificate request names the address %q, which is not this person's.", m)
		}
	}
	*claimed = claim(*claimed, csr)
	return csr.PublicKey, nil
}

func validIdempotencyKey(k string) bool {
	return len(k) >= 8 && len(k) <= 128 && !strings.ContainsFunc(k, func(c rune) bool { return c <= ' ' || c > '~' })
}

// receive writes the request down and spends the token, or finds the one that was written down before.
func (r *Registry) receive(ctx context.Context, by audit.Actor, req *Request, s Submission) (*Request, error) {
	body := s.hash()
	err := r.write(ctx, by, req, s, body)
	if answered := pg.Violates(err, answeredBefore); answered || pg.Violates(err, usedBefore) {
		var found *Request
		err := r.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
			found, err = repeated(ctx, tx, req.Person, s.Idempotency, body)
			if answered && errors.Is(err, ErrIdempotency) { // by another request
				return attest.ErrChallenge
			}
			if err != nil {
				return err
			}
			return checkSpent(ctx, tx, s.Token, found.ID)
		})
		return found, err
	}
	if err != nil {
		return nil, err
	}
	r.After("received")
	return req, nil
}

// write writes the request down with its event and spends the token, in one round trip.
func (r *Registry) write(ctx context.Context, by audit.Actor, req *Request, s Submission, body [32]byte) error {
	b := &pgx.Batch{}
	queueRequest(b, req, s.Idempotency, body)
	queueSpend(b, s.Token, req.ID, req.ReceivedAt)
	data := map[string]any{"enrolment": req.Enrolment, "mailboxes": req.Subject.Mailboxes, "agent": req.Agent}
	if req.Origin != nil {
		data["key_origin"] = req.Origin
	}
	err := r.record(b, by, req, "enrolment.received", data)
	if err == nil && s.Token != "" {
		err = r.recordSpent(ctx, b, by, req, s.Token)
	}
	if err != nil {
		return err
	}
	return r.DB.Batch(ctx, role, b)
}

// deposit opens the private encryption key, checks what it is bound to and archives it. The record is held until the
// request is issued.
func (r *Registry) deposit(ctx context.Context, by audit.Actor, req *Request, keys keyPair, s Submission) error {
	if !r.plans[req.Enrolment].escrowed() {
		return nil
	}
	key, err := r.exchange.open(ctx, s.escrow(req.Person))
	if err != nil {
		return err
	}
	defer clear(key)
	req.Receipt, err = r.Archive.Deposit(ctx, by, archive.Deposit{
		Request: req.ID, Person: req.Person, Name: req.Subject.CommonName, Mail: req.Subject.Mailboxes[0],
		PublicKey: keys.encryption, Key: key,
	})
	return err
}

// await leaves the request to the registrars.
func (r *Registry) await(ctx context.Context, by audit.Actor, req *Request) (*Request, error) {
	if err := r.move(ctx, by, req, Received, Submitted, "enrolment.submitted", ""); err != nil {
		return nil, err
	}
	return r.Get(ctx, by, req.ID)
}

// finish continues a request that was made before.
func (r *Registry) finish(ctx context.Context, by audit.Actor, req *Request) (*Request, error) {
	if req.State == Endorsed {
		return r.issue(ctx, by, req)
	}
	return r.Get(ctx, by, req.ID)
}

// giveUp undoes a request whose deposit or issuance was refused: the held record goes, prepared serials are revoked,
// and the state says failed. When something is merely away the request stays as it is, for the client to repeat or
// Resume to find.
func (r *Registry) giveUp(ctx context.Context, by audit.Actor, req *Request, cause error) error {
	f := fault.Of(cause)
	if f == nil || errors.Is(f, fault.Unavailable) || ctx.Err() != nil {
		return cause
	}
	if err := r.fail(ctx, by, req, f.Detail); err != nil {
		r.Log.Error("request not undone; it will be by resume", "request", req.ID, "error", err)
	}
	return cause
}

// refused records that a request was not even taken.
func (r *Registry) refused(ctx context.Context, by audit.Actor, s Submission, cause error) error {
	f := fault.Of(cause)
	if f == nil || errors.Is(f, fault.Unavailable) {
		return cause
	}
	_, err := r.Audit.Record(ctx, by, audit.Event{Kind: "enrolment.refused", Subject: "enrolment:" + s.Enrolment,
		Person: by.Person, Data: map[string]any{"code": f.Code}})
	if err != nil {
		return errors.Join(cause, err)
	}
	return cause
}
