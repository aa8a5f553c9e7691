package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
)

// A browser that shows a client certificate does so on another listener than the portal's, which asks nobody for one. What it
// showed there is handed over: the browser brings a code from there to the portal, where it counts once, for a minute, and for
// the browser alone that began (as RFC 7636 binds an authorisation code to who asked for it).

// ErrHandover says that what a browser brings from the other listener does not count.
var ErrHandover = fault.New(fault.Denied, "handover-refused", "Signing in with a certificate was begun in another window, or too long ago. Begin again.")

// handoverLasts is for how long a code counts.
const handoverLasts = time.Minute

// Challenge is what may be shown of a verifier.
func Challenge(verifier string) [sha256.Size]byte { return sha256.Sum256([]byte(verifier)) }

// NewVerifier returns what a browser keeps that goes to the other listener.
func NewVerifier() string { return newSecret() }

// HandOver keeps who somebody has just shown to be, and returns the code that their browser brings to the portal.
func (s *Sessions) HandOver(ctx context.Context, by audit.Actor, challenge [sha256.Size]byte) (code string, err error) {
	now := s.now().UTC().Truncate(time.Microsecond)
	code = newSecret()
	err = s.db.InTx(ctx, role, func(tx pgx.Tx) error {
		if err := deleteHandovers(ctx, tx, now); err != nil {
			return err
		}
		return insertHandover(ctx, tx, hash(code), challenge[:], by, now.Add(handoverLasts))
	})
	return code, err
}

// TakeOver returns who a code stands for: the person, and how they showed it. It counts once.
func (s *Sessions) TakeOver(ctx context.Context, code, verifier string) (by audit.Actor, err error) {
	now := s.now().UTC()
	challenge := Challenge(verifier)
	err = s.db.InTx(ctx, role, func(tx pgx.Tx) error {
		by, err = takeHandover(ctx, tx, hash(code), challenge[:], now)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return audit.Actor{}, ErrHandover
	}
	return by, err
}
