// Package enroll gets certificates to people: it keeps the registry of enrolment requests, decides who may have what,
// and takes a request through archive and authority so that a person gets both certificates of a pair or neither.
//
// It owns the requests with their states, the enrolment tokens, and the server's own keys: the exchange key, to which private
// encryption keys are sent, and the one that signs policies. It does not own certificates (package ca), archived keys (package archive) or people (package directory);
// who is asking is established by package web and comes in as an audit.Actor.
//
// # States
//
//	           ┌─ no endorsement asked ──────────────┐
//	received ──┤                                     ▼
//	           └─▶ submitted ──endorse──▶ endorsed ──▶ issued
//	   │               └──reject──▶ rejected   │
//	   └───────────────▶ failed ◀──────────────┘
//
// Every change is one transaction with its audit event. Deposit, Prepare, Sign and "issued" are transactions of the
// rooms they belong to, each idempotent by the request's id; docs/issuance-cycle.md says what a crash after each leaves
// and how Resume finishes or undoes it.
package enroll

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

// Faults that callers test for.
var (
	ErrUnknownEnrolment = fault.New(fault.Malformed, "unknown-enrolment", "There is no such enrolment. The policy lists those there are.")
	ErrPair             = fault.New(fault.Malformed, "wrong-certificate-requests", "The request does not hold exactly the certificate requests that this enrolment takes.")
	ErrAddress          = fault.New(fault.Denied, "address-not-yours", "The certificate request names an address that is not this person's.")
	ErrNoMailbox        = fault.New(fault.Conflict, "no-mailbox", "The directory has no mail address for this person. Ask an administrator to add one.")
	ErrEscrowMissing    = fault.New(fault.Malformed, "escrowed-key-missing", "This enrolment archives the encryption key, and the request does not hold it.")
	ErrEscrowUnasked    = fault.New(fault.Malformed, "escrowed-key-not-taken", "This enrolment archives no key, and the request holds one. It was not opened.")
	ErrEscrowRefused    = fault.New(fault.Malformed, "escrowed-key-refused", "The encrypted private key cannot be taken. Fetch the policy again and make a new request.")
	ErrIdempotency      = fault.New(fault.Conflict, "idempotency-key-reused", "This idempotency key was used for another request. Use a new one.")
	ErrIdempotencyKey   = fault.New(fault.Malformed, "idempotency-key", "An idempotency key of 8 to 128 printable ASCII characters is needed.")
	ErrUnknownRequest   = fault.New(fault.NotFound, "unknown-enrolment-request", "There is no such request, or it is not yours to see.")
	ErrState            = fault.New(fault.Conflict, "enrolment-state", "The request is not in a state in which that can be done.")
	ErrOwnRequest       = fault.New(fault.Denied, "own-request", "A request must be endorsed by somebody other than its subscriber.")
	ErrReasonMissing    = fault.New(fault.Malformed, "reason-missing", "A rejection needs a reason, which the person will read.")
	ErrToken            = fault.New(fault.Denied, "enrolment-token", "The enrolment token is unknown, expired or was used already. Ask for a new one.")
	ErrUnknownToken     = fault.New(fault.NotFound, "unknown-token", "There is no such token that could be used: it was used or withdrawn, or has ended.")
	ErrTokenCount       = fault.New(fault.Malformed, "token-count", "One request makes 1 to 1000 tokens.")
	ErrTokenMade        = fault.New(fault.Conflict, "token-made", "The token was made already, and is not shown again. Withdraw it if it is lost, and make another.")
	ErrOwnToken         = fault.New(fault.Denied, "own-token", "This was asked for with a token that you made. Another registrar must decide on it.")
	ErrNotAllowed       = fault.New(fault.Denied, "enrolment-not-allowed", "You may not do that.")
)

// Plan is what one kind of enrolment asks for and yields. Signing and Encryption are names of the authority's profiles;
// one of them may be empty.
type Plan struct {
	Name        string `yaml:"name"`        // in requests: "smime"
	Title       string `yaml:"title"`       // for people: "Secure mail"
	Signing     string `yaml:"signing"`     // profile of the certificate to sign with
	Encryption  string `yaml:"encryption"`  // profile of the certificate to read mail with
	Endorsement bool   `yaml:"endorsement"` // true: a registrar must agree first

	Protection Protection `yaml:"protection"` // of private keys on people's machines
}

// Config is what a Registry is made of. Every field without "nil" in its comment is required.
type Config struct {
	DB        *pg.DB
	Authority *ca.Authority
	Archive   *archive.Archive // nil if no plan needs escrow
	Directory *directory.Directory
	Jobs      *jobs.Queue
	Audit     *audit.Log // where refusals are recorded

	Plans       []Plan
	Attestation AttestationRoots // for plans whose keys have to be attested

	Issuer  string // of the exchange certificate
	Renewal Renewal
	Old     Old

	// SealKey and UnsealKey keep the exchange's private key from whoever can read the database: package keys, with a
	// passphrase or a KMS.
	SealKey   func(pkcs8 []byte) ([]byte, error)
	UnsealKey func(sealed []byte) ([]byte, error)

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards

	// After is called when a step of an enrolment has been committed, with its name; nil does nothing. Tests end the
	// process there.
	After func(step string)
}

// Registry is the registry of enrolment requests. It is safe for concurrent use, and any number of servers may work on
// one database.
type Registry struct {
	Config
	plans    map[string]plan
	exchange *exchange
	signer   *serverKeys // of policies
	orders   openOrders
}

// plan is a Plan with its profiles resolved.
type plan struct {
	Plan
	signing, encryption *ca.Profile // nil where there is none
}

// escrowed reports whether the plan's encryption key must be archived.
func (p plan) escrowed() bool { return p.encryption != nil && p.encryption.EscrowRequired() }

// New checks the plans against the authority's profiles and returns a registry. Call EnsureKeys before the first
// request.
func New(c Config) (*Registry, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.After == nil {
		c.After = func(string) {}
	}
	var err error
	if c.Renewal, err = c.Renewal.orDefaults(); err != nil {
		return nil, err
	}
	r := &Registry{Config: c, plans: map[string]plan{}}
	var errs []error
	for i, p := range c.Plans {
		resolved, err := r.resolve(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("enrolments[%d]: %w", i, err))
			continue
		}
		if _, double := r.plans[p.Name]; double {
			errs = append(errs, fmt.Errorf("enrolments[%d]: name %q is used twice", i, p.Name))
		}
		r.plans[p.Name] = resolved
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	r.exchange = &exchange{&serverKeys{registry: r, serves: toExchange}}
	r.signer = &serverKeys{registry: r, serves: toSign}
	return r, nil
}

func (r *Registry) resolve(p Plan) (plan, error) {
	out := plan{Plan: p}
	if p.Name == "" {
		return out, errors.New("name is missing")
	}
	if p.Signing == "" && p.Encryption == "" {
		return out, errors.New("neither signing nor encryption names a profile")
	}
	var errs []error
	find := func(field, name string) *ca.Profile {
		if name == "" {
			return nil
		}
		profile, err := r.Authority.Profile(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
			return nil
		}
		return profile
	}
	out.signing, out.encryption = find("signing", p.Signing), find("encryption", p.Encryption)
	if out.signing != nil && out.signing.EscrowRequired() {
		errs = append(errs, fmt.Errorf("signing: profile %q archives its key; a signing key is never archived", p.Signing))
	}
	if out.escrowed() && r.Archive == nil {
		errs = append(errs, fmt.Errorf("encryption: profile %q archives its key and there is no archive", p.Encryption))
	}
	if err := p.Protection.Validate(p.Signing != ""); err != nil {
		errs = append(errs, fmt.Errorf("protection: %w", err))
	}
	if p.Protection.takes(api.PlaceTPM) && (r.Attestation.TPM == nil || r.Archive == nil) {
		errs = append(errs, errors.New("protection.attested: keys in a TPM are attested under enrolment.attestation.tpm_roots, and with an archive"))
	}
	if p.Protection.takes(api.PlaceToken) && r.Attestation.YubiKey == nil {
		errs = append(errs, errors.New("protection.attested: keys on a token are attested under enrolment.attestation.yubikey_roots"))
	}
	return out, errors.Join(errs...)
}
