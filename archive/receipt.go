package archive

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// Receipt is the archive's word that it keeps a key.
type Receipt struct {
	ID      uuid.UUID
	Request uuid.UUID
	Person  uuid.UUID
	Key     keyuse.Hash // SHA-256 of the key's SubjectPublicKeyInfo
	KeyID   record.Hash // of the agents' group key
	Signed  []byte      // record.SignedReceipt, in its canonical bytes
	Leaf    [32]byte    // of the deposit's event, in the audit log
	Event   int64
	Time    time.Time
}

// sign makes the receipt of a record.
func (a *Archive) sign(d Deposit, spki keyuse.Hash, sealed *record.Record, leaf audit.Leaf, now time.Time) (*Receipt, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	signed, err := record.Receipt{
		SPKI: record.Hash(spki), Record: sealed.Capsule.Hash(), KeyID: sealed.Capsule.KeyID,
		Time: now.UTC().Truncate(time.Second), AuditLeaf: record.Hash(leaf.Hash),
	}.Sign(a.Receipts)
	if err != nil {
		return nil, err
	}
	return &Receipt{ID: id, Request: d.Request, Person: d.Person, Key: spki, KeyID: sealed.Capsule.KeyID,
		Signed: signed.Bytes(), Leaf: leaf.Hash, Event: leaf.Event, Time: now}, nil
}

// sameAs returns ErrArchivedTwice unless the receipt is for the very deposit.
func (r *Receipt) sameAs(d Deposit, spki keyuse.Hash) error {
	if r.Person != d.Person || r.Key != spki {
		return ErrArchivedTwice.Withf("Another key was archived for this request.")
	}
	return nil
}

// ByRequest returns the receipt of an enrolment's deposit, or ErrNothingHeld.
func (a *Archive) ByRequest(ctx context.Context, request uuid.UUID) (*Receipt, error) {
	r, err := a.receipt(ctx, `request = $1`, request)
	if errors.Is(err, ErrUnknownReceipt) {
		return nil, ErrNothingHeld
	}
	return r, err
}

// Receipt returns a receipt to the person whose key it is for, or to an auditor.
func (a *Archive) Receipt(ctx context.Context, by audit.Actor, id uuid.UUID) (*Receipt, error) {
	r, err := a.receipt(ctx, `id = $1`, id)
	if err != nil {
		return nil, err
	}
	if r.Person != by.Person && !by.Has(audit.Auditor) {
		return nil, ErrUnknownReceipt
	}
	return r, nil
}

// ReceiptsOf returns what is archived of the person by, oldest first: those after the given id, at most limit.
func (a *Archive) ReceiptsOf(ctx context.Context, by audit.Actor, after uuid.UUID, limit int) ([]*Receipt, error) {
	var out []*Receipt
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		out, err = selectReceipts(ctx, tx, by.Person, after, min(max(limit, 1), 500))
		return err
	})
	return out, err
}

// Count returns how many keys of a person are kept. It is for components of the server, which decide who may know.
func (a *Archive) Count(ctx context.Context, person uuid.UUID) (n int, err error) {
	err = a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `select count(*) from archive.record where person = $1 and state = 'kept'`, person).Scan(&n)
	})
	return n, err
}

func (a *Archive) receipt(ctx context.Context, where string, args ...any) (*Receipt, error) {
	var r *Receipt
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) (err error) {
		r, err = selectReceipt(ctx, tx, where, args...)
		return err
	})
	return r, err
}
