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
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/fault"
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
	finish := Queue(b, at, claims...)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	return finish(ctx, tx)
}

// Queue is Make for callers who send more in the same round trip: it puts the claims into a batch, whose Close returns
// ErrInUse. finish is called after that, before the transaction is committed.
func Queue(b *pgx.Batch, at time.Time, claims ...Claim) (finish func(context.Context, pgx.Tx) error) {
	var unseen []Claim
	for _, c := range claims {
		// The second statement of the union sees what stood before this one; what the insert itself added is returned
		// by it. A row that another transaction committed meanwhile is in neither, and is read by finish.
		b.Queue(`
			with new as (
				insert into keyuse.key_use (spki_sha256, use, person, claimed_at) values ($1, $2, $3, $4)
				on conflict do nothing returning use, person)
			select use, person from new
			union all
			select use, person from keyuse.key_use where spki_sha256 = $1
			limit 1`, c.Key[:], c.Use, c.Person, at).QueryRow(func(row pgx.Row) error {
			err := c.agrees(row)
			if errors.Is(err, pgx.ErrNoRows) {
				unseen = append(unseen, c)
				return nil
			}
			return err
		})
	}
	return func(ctx context.Context, tx pgx.Tx) error {
		for _, c := range unseen {
			if err := c.agrees(tx.QueryRow(ctx, `select use, person from keyuse.key_use where spki_sha256 = $1`, c.Key[:])); err != nil {
				return err
			}
		}
		return nil
	}
}

// agrees returns ErrInUse when the claim that stands is another one.
func (c Claim) agrees(row pgx.Row) error {
	var use Use
	var person uuid.UUID
	if err := row.Scan(&use, &person); err != nil {
		return err
	}
	if use != c.Use || person != c.Person {
		return ErrInUse
	}
	return nil
}
