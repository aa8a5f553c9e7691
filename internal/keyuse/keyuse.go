// Package keyuse keeps one fact about every public key: what it serves, and whose it is. A key has one use and one
// person for ever, so that a key that signs can never be archived, nor an archived one certified for signing, nor one
// key be certified for two people, in whatever order or race the attempts come.
//
// It owns the table keyuse.key_use and no transaction: package ca claims a key in the transaction that prepares a
// certificate, package archive in the one that stores a deposit. Claims are never given back.
package keyuse

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
)

// Use is what a key serves.
type Use string

// The uses. Only Encryption keys may be archived.
const (
	Signing    Use = "signing"    // signs mail or authenticates; known to its person alone
	Encryption Use = "encryption" // reads mail; archived
	Single     Use = "single"     // signs and reads mail; never archived
	Agent      Use = "agent"      // a recovery agent's or recipient's
	Service    Use = "service"    // the system's own: issuers, exchange, OCSP, TLS
)

// ErrInUse is returned when the key already serves another use or belongs to another person.
var ErrInUse = fault.New(fault.Conflict, "key-in-use",
	"This key already serves another purpose or another person. Make a new key for each certificate.")

// Hash is the SHA-256 of a SubjectPublicKeyInfo in DER: a key's name throughout Sealpost.
type Hash [sha256.Size]byte

// HashOf returns the name of the key whose SubjectPublicKeyInfo (DER) is spki.
func HashOf(spki []byte) Hash { return sha256.Sum256(spki) }

// Claim is the wish that a key serve a use, for a person (uuid.Nil for a key that is no person's).
type Claim struct {
	Key    Hash
	Use    Use
	Person uuid.UUID
}

// Make records the claims in the caller's transaction. A claim that stands already is fine; one that contradicts what
// stands, or another of the same call, is ErrInUse and the transaction must be rolled back. It waits for another
// transaction that claims the same key.
func Make(ctx context.Context, tx pgx.Tx, at time.Time, claims ...Claim) error {
	b := &pgx.Batch{}
	Queue(b, at, claims...)
	return tx.SendBatch(ctx, b).Close()
}

// Queue is Make for callers who send more in the same round trip: it puts the claims into a batch, which fails with
// ErrInUse.
func Queue(b *pgx.Batch, at time.Time, claims ...Claim) {
	for _, c := range claims {
		pg.Require(b, ErrInUse, `select require.that(keyuse.claim($1, $2, $3, $4))`, c.Key[:], c.Use, c.Person, at)
	}
}
