// Package archive keeps private encryption keys so that neither the server nor a single officer can open them: deposits,
// receipts, rosters of recovery agents, and their storage. How a record is sealed and opened, byte by byte, is package
// record's; the mathematics is package threshold's.
//
// It knows nothing of certificates: a key's name is the SHA-256 of its SubjectPublicKeyInfo. That lets a key be deposited
// before its certificate exists. It holds no key that opens a record: the agents have theirs on their own machines, and
// the wrapping key takes off no more than the outer layer.
//
// Plaintext keys exist in this package only inside Deposit, and are erased before it returns, as far as Go allows.
package archive

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
)

// Faults that callers test for.
var (
	ErrUnknownReceipt = fault.New(fault.NotFound, "unknown-receipt", "The archive has no such receipt, or it is not yours to see.")
	ErrNothingHeld    = fault.New(fault.NotFound, "nothing-archived", "The archive keeps no key for this request.")
	ErrArchivedTwice  = fault.New(fault.Conflict, "key-already-archived", "This key was archived before. Make a new key for each certificate.")
	ErrRosterPin      = fault.New(fault.Unavailable, "roster-not-pinned", "The archive's roster is not the one that the configuration pins. No key is taken until it is.")
	ErrNoRoster       = fault.New(fault.Unavailable, "roster-missing", "The pinned roster is not in the database. Bring it in with: sealpost roster add FILE")
)

// Config is what an Archive is made of. Every field without "nil" in its comment is required.
type Config struct {
	DB *pg.DB

	// Pins are the hashes of the rosters that are accepted; the first is the one that new keys are sealed to.
	Pins []record.Hash
	// SingleAgentMayOpenAlone accepts a roster with a threshold of one, which gives up what the archive is for.
	SingleAgentMayOpenAlone bool

	Wrapping []*record.WrappingKey // new records use the first
	Receipts crypto.Signer         // signs receipts

	DrillEvery time.Duration // how long the officers' last drill may lie back; 0 means 200 days

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil discards
}

// Archive is the archive. It is safe for concurrent use.
type Archive struct {
	Config
	receiptKey []byte // SubjectPublicKeyInfo of Receipts
	roster     *rosters
}

// New checks the configuration. The roster is read from the database, and verified against its pin, by CheckRoster or
// at the first deposit.
func New(c Config) (*Archive, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.DrillEvery == 0 {
		c.DrillEvery = drillEvery
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(c.Pins) == 0:
		return nil, errors.New("archive: no roster is pinned")
	case len(c.Wrapping) == 0:
		return nil, errors.New("archive: there is no wrapping key")
	case c.Receipts == nil:
		return nil, errors.New("archive: there is no key that signs receipts")
	}
	for i, k := range c.Wrapping {
		if slices.ContainsFunc(c.Wrapping[:i], func(o *record.WrappingKey) bool { return o.ID() == k.ID() }) {
			return nil, fmt.Errorf("archive: the wrapping key %s is there twice", k.ID())
		}
	}
	spki, err := marshalSPKI(c.Receipts.Public())
	if err != nil {
		return nil, fmt.Errorf("archive: receipt key: %w", err)
	}
	a := &Archive{Config: c, receiptKey: spki}
	a.roster = &rosters{archive: a, byHash: map[record.Hash]*record.Roster{}}
	return a, nil
}

// ReceiptKey returns the SubjectPublicKeyInfo of the key that signs receipts.
func (a *Archive) ReceiptKey() []byte { return a.receiptKey }
