// Package kra is what a recovery officer does on a machine of their own: keys, the ceremony in which the officers make the
// archive's key together, and the cases in which they open others' keys. Command sealpost-kra puts a command line around it.
//
// It owns the officer's home (a folder only they can read), the cards by which the authority's operator and the officers
// exchange certificates, the folder in which the messages of a ceremony lie, and the checks an officer's tool makes
// before it uses a key: that the plan is the one the officers compared, that every certificate chains to the root they
// were given and was issued for its purpose, and that this machine has not said something else before. It does not own
// the ceremony's mathematics and formats (archive/record), a case's folder and what its recipient does (delivery),
// certifying (the server's ca), or how a person is asked (the command). Revocation cannot be checked on a machine without
// network, and is not.
//
// # A ceremony
//
// Everybody has a home with keys ([Officer.KeyGen]) and a card from the authority ([Officer.Import]). One writes the plan
// ([WritePlan]) into a folder that all can reach: on a shared drive, or carried around on a stick. Then
// everybody, on their own machine:
//
//	Agree        compare the plan's hash with the others, by voice
//	Commit       when all have agreed          dealers bind themselves
//	Reveal       when all have committed       dealers deal
//	Acknowledge  when all have revealed        agents check and sign
//	Finish       when all have acknowledged    anybody writes the roster file, whose hash is pinned
//	VerifyShare  everybody opens their own share from it
//
// In the weaker mode one offline machine deals alone ([Officer.DealerKey], [Officer.Deal]) in place of Commit and Reveal.
// [Perform] does all of it for several officers in one process.
//
// Every step may be repeated: it says again what this machine has said before. Between Commit and Reveal a machine keeps
// a secret, in its home, sealed to the officer's decryption key, which the passphrase protects. Nothing secret is ever
// written into the shared folder.
//
// # A case
//
// A case lies in a folder (package delivery), brought on a stick or filled from the server. [Officer.Examine] makes every
// check and shows whose keys are asked for, from the records' own headers; [Officer.Approve] and [Officer.Deny] answer, once:
// the home remembers what it has said. Whoever receives opens the folder with [Officer.Receive].
package kra

import (
	"crypto/x509"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults that this package returns, beside those of archive/record and internal/keys. Their details name the file.
var (
	ErrHome          = fault.New(fault.Denied, "kra-home", "This folder cannot be an officer's home.")
	ErrBusy          = fault.New(fault.Conflict, "kra-busy", "Another sealpost-kra is at work in this home. Wait until it has ended.")
	ErrNoKeys        = fault.New(fault.NotFound, "kra-no-keys", "There are no keys in this home. Begin with: sealpost-kra keygen")
	ErrKeysExist     = fault.New(fault.Conflict, "kra-keys-exist", "There are keys in this home already. They were not touched.")
	ErrPassphrase    = fault.New(fault.Malformed, "kra-passphrase-weak", "The passphrase is too short.")
	ErrLocked        = fault.New(fault.Denied, "kra-locked", "The keys of this home have not been unlocked.")
	ErrNoCard        = fault.New(fault.NotFound, "kra-no-card", "There are no certificates in this home yet. Import the card that the authority's operator made: sealpost-kra import")
	ErrCard          = fault.New(fault.Malformed, "kra-card", "This is not a card with the certificates of an agent or recipient.")
	ErrOtherKeys     = fault.New(fault.Denied, "kra-other-keys", "The certificates are not for the keys in this home.")
	ErrTrust         = fault.New(fault.Denied, "kra-not-trusted", "A certificate cannot be trusted.")
	ErrPlan          = fault.New(fault.Denied, "kra-plan", "This plan cannot be used.")
	ErrNotAgreed     = fault.New(fault.Denied, "kra-plan-not-agreed", "On this machine nobody has compared this plan with the other officers.")
	ErrNotInPlan     = fault.New(fault.Denied, "kra-not-in-plan", "This officer is not part of it.")
	ErrFolder        = fault.New(fault.Malformed, "kra-folder", "The ceremony's folder cannot be used.")
	ErrWaiting       = fault.New(fault.Conflict, "kra-waiting", "Messages of others are still missing.")
	ErrSecretLost    = fault.New(fault.Conflict, "kra-secret-lost", "The secret of this ceremony is not in this home.")
	ErrFile          = fault.New(fault.Malformed, "kra-file", "This is no plan, roster or card.")
	ErrRosterUnknown = fault.New(fault.Denied, "kra-roster-unknown", "This roster was not verified in this home. Compare its pin with the other officers first: sealpost-kra verify-share")
	ErrRequester     = fault.New(fault.Denied, "kra-requester", "Who asks for these keys cannot be trusted to be who they say.")
	ErrCaseRefused   = fault.New(fault.Denied, "kra-case-refused", "This case cannot be approved.")
	ErrHeard         = fault.New(fault.Denied, "kra-fingerprint", "What was heard of the recipient's fingerprint does not suffice, or is not right.")
	ErrAnswered      = fault.New(fault.Conflict, "kra-answered", "From this home the case was already answered.")
	ErrDrill         = fault.New(fault.Denied, "kra-drill", "This drill has not been passed.")
	ErrRekey         = fault.New(fault.Denied, "kra-rekey", "These records cannot be moved to the other archive key.")
	ErrState         = fault.New(fault.Denied, "kra-state", "What this home keeps of the ceremony cannot be opened.")
)

// Config says where an officer's home is.
type Config struct {
	Home string           // folder; KeyGen and DealerKey make it, with mode 0700
	Now  func() time.Time // nil means time.Now
}

// Officer is one home and, once unlocked, its keys. It is for one goroutine. Processes that use the same home at once
// are kept apart: the second gets ErrBusy.
type Officer struct {
	home home
	now  func() time.Time
	keys *pair // nil until unlocked
}

// Open opens a home. It reads nothing yet; the folder need not exist. One that others may read is refused.
func Open(c Config) (*Officer, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Home == "" {
		return nil, ErrHome.Withf("The officer's home has no name.")
	}
	h := home{c.Home}
	return &Officer{home: h, now: c.Now}, h.check()
}

// Card returns the officer's own card, as imported.
func (o *Officer) Card() (*AgentCard, error) {
	b, err := o.home.read(cardFile, maxCard)
	if err != nil || b == nil {
		return nil, orIfNil(err, ErrNoCard)
	}
	card, err := ParseAgentCard(b)
	return card, inFile(o.home.path(cardFile), err)
}

// Roots returns the root certificates that were given at Import.
func (o *Officer) Roots() ([]*x509.Certificate, error) {
	b, err := o.home.read(rootsFile, maxCard)
	if err != nil || b == nil {
		return nil, orIfNil(err, ErrNoCard)
	}
	roots, err := ParseCertificates(b)
	return roots, inFile(o.home.path(rootsFile), err)
}

func orIfNil(err error, otherwise error) error {
	if err == nil {
		return otherwise
	}
	return err
}

// inFile puts the file's name before a fault's sentence, so that the reader knows where to look. Kind and code stay.
func inFile(path string, err error) error {
	f := fault.Of(err)
	if f == nil {
		return err
	}
	return f.Withf("%s: %s", path, f.Detail).Because(err)
}
