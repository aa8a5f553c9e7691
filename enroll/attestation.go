package enroll

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/attest"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of attestations, beside those of package attest.
var (
	ErrAttestationMissing = fault.New(fault.Malformed, "attestation-missing", "This enrolment wants a proof that the signing key was made where it cannot be copied from, and none came. A newer agent may send one.")
	ErrAttestationKind    = fault.New(fault.Denied, "attestation-kind", "This enrolment does not take keys from such a device.")
	ErrAttestationUnasked = fault.New(fault.NotFound, "attestation-unasked", "No enrolment wants a TPM to prove anything here.")
)

// AttestationRoots are whom this server believes where a key was made. What is nil, no enrolment can ask for.
type AttestationRoots struct {
	TPM     *x509.CertPool // makers of TPMs
	YubiKey *x509.CertPool // Yubico
}

// challengeLife is how long a TPM may take to answer, and the request to come.
const challengeLife = time.Hour

// A challenge is its end and a random number. The secret that belongs to it is a MAC over it, the person, and the TPM with its
// key: nothing is stored, and any server can judge the answer.
const challengeSize = 8 + 16

// Challenge asks a TPM whether it is the one of its endorsement, and holds the key that is to make statements (TPMT_PUBLIC). What is
// returned only that TPM opens. The faults are those of attest.NewDevice.
func (r *Registry) Challenge(ctx context.Context, by audit.Actor, q api.AttestationRequest) (*api.AttestationChallenge, error) {
	if r.Attestation.TPM == nil || !slices.ContainsFunc(r.Config.Plans, func(p Plan) bool { return p.Protection.takes(api.PlaceTPM) }) {
		return nil, ErrAttestationUnasked
	}
	now := r.Now()
	device, err := attest.NewDevice(q.Endorsement, q.Key, r.Attestation.TPM, now)
	if err != nil {
		return nil, err
	}
	keys, err := r.exchange.current(ctx)
	if err != nil {
		return nil, err
	}
	challenge := binary.BigEndian.AppendUint64(nil, uint64(now.Add(challengeLife).Unix()))
	challenge = append(challenge, make([]byte, challengeSize-8)...)
	_, _ = rand.Read(challenge[8:]) // never fails
	out := &api.AttestationChallenge{Challenge: challenge, Seconds: int(challengeLife / time.Second)}
	out.Credential, out.Secret, err = device.Challenge(keys[0].challengeSecret(by.Person, challenge, device))
	return out, err
}

func (k exchangeKey) challengeSecret(person uuid.UUID, challenge []byte, device *attest.Device) []byte {
	m := hmac.New(sha256.New, k.attestKey)
	m.Write(person[:])
	m.Write(challenge)
	m.Write(device.Identity())
	return m.Sum(nil)
}

// takes reports whether keys have to be attested and those from a place can be.
func (p Protection) takes(place string) bool { return p.Attested && slices.Contains(p.Places, place) }

// origin returns what is proven of the signing key (SubjectPublicKeyInfo), nil where the plan does not ask for it.
func (r *Registry) origin(ctx context.Context, person uuid.UUID, how Protection, a *api.SigningAttestation, spki []byte) (*attest.Proof, error) {
	if !how.Attested {
		return nil, nil
	}
	if a == nil {
		return nil, ErrAttestationMissing
	}
	switch {
	case a.Kind == api.AttestationTPM && how.takes(api.PlaceTPM):
		return r.originTPM(ctx, person, a, spki)
	case a.Kind == api.AttestationPIV && how.takes(api.PlaceToken):
		proof, err := attest.VerifyPIV(a.Certificates, r.Attestation.YubiKey, spki, r.Now())
		if err == nil && how.PIN > 0 && proof.PIN == "never" {
			return nil, attest.ErrPolicy
		}
		return proof, err
	}
	return nil, ErrAttestationKind
}

func (r *Registry) originTPM(ctx context.Context, person uuid.UUID, a *api.SigningAttestation, spki []byte) (*attest.Proof, error) {
	now := r.Now()
	if len(a.Challenge) != challengeSize || !now.Before(time.Unix(int64(binary.BigEndian.Uint64(a.Challenge)), 0)) {
		return nil, attest.ErrChallenge
	}
	device, err := attest.NewDevice(a.Certificates, a.Key, r.Attestation.TPM, now)
	if err != nil {
		return nil, err
	}
	keys, err := r.exchange.current(ctx)
	if err != nil {
		return nil, err
	}
	var proof *attest.Proof
	for _, k := range keys { // the challenge may be of the one before
		secret := k.challengeSecret(person, a.Challenge, device)
		proof, err = device.Verify(attest.Statement{Key: a.Public, Info: a.Info, Signature: a.Signature}, api.AttestationBinding(secret, spki), spki)
		if err == nil {
			return proof, nil
		}
	}
	return nil, err
}

// challenge returns the challenge that was answered, nil where none had to be.
func (s Submission) challenge(proven *attest.Proof) []byte {
	if proven == nil || s.Attestation.Kind != api.AttestationTPM {
		return nil
	}
	return s.Attestation.Challenge
}
