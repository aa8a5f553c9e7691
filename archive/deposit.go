package archive

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/erase"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/internal/pg"
)

// Deposit is a private encryption key on its way into the archive.
type Deposit struct {
	Request   uuid.UUID // the enrolment that it belongs to; the key of idempotency
	Person    uuid.UUID // whose it is: the minted id, never a name or an address
	Name      string    // the person's name now: what a recovery agent will read
	Mail      string    // the person's primary address now
	PublicKey []byte    // SubjectPublicKeyInfo, DER, as in the certificate request
	Key       []byte    // PKCS#8, DER; the caller erases it
}

// Deposit checks the key, seals it to the active roster and keeps it; the record is held until Confirm. A repetition
// with the same request, person and key returns the same receipt.
//
// It returns ErrKeyFormat, ErrKeyMismatch, ErrKeyWeak, ErrKeyDoesNotWork, keyuse.ErrInUse (the key signs, or is another
// person's), ErrArchivedTwice, ErrNoRoster and ErrRosterPin. After any of them nothing is kept.
func (a *Archive) Deposit(ctx context.Context, by audit.Actor, d Deposit) (*Receipt, error) {
	roster, err := a.roster.active(ctx)
	if err != nil {
		return nil, err
	}
	spki := keyuse.HashOf(d.PublicKey)
	now := a.Now()
	sealed, err := a.seal(roster, d, spki, now)
	if err != nil {
		return nil, err
	}
	b := &pgx.Batch{}
	receipt, err := a.queueKeep(b, by, d, spki, sealed, now)
	if err != nil {
		return nil, err
	}
	err = a.DB.Batch(ctx, role, b)
	if keptBefore(err) {
		return a.repetition(ctx, d, spki)
	}
	if err != nil {
		return nil, err
	}
	return receipt, nil
}

// seal checks the key and makes the record. The key's plaintext ends here.
func (a *Archive) seal(roster *record.Roster, d Deposit, spki keyuse.Hash, now time.Time) (sealed *record.Record, err error) {
	erase.After(func() { sealed, err = a.sealPlain(roster, d, spki, now) })
	return sealed, err
}

func (a *Archive) sealPlain(roster *record.Roster, d Deposit, spki keyuse.Hash, now time.Time) (*record.Record, error) {
	pkcs8, algorithm, err := checkKey(d.Key, d.PublicKey)
	if err != nil {
		return nil, err
	}
	defer clear(pkcs8)
	header := record.Header{
		Purpose: record.PurposeKey, SPKI: record.Hash(spki), Algorithm: algorithm, Person: d.Person,
		Name: record.Line(d.Name, record.MaxName), Mail: record.Line(d.Mail, record.MaxMail), Time: now.UTC().Truncate(time.Second),
	}
	wrapping := a.Wrapping[0]
	sealed, err := record.Seal(roster.Key(), wrapping.Public(), header, pkcs8)
	if err != nil {
		return nil, err
	}
	// Seal has opened all but the outer layer, whose private key it does not have.
	if _, err := sealed.UnwrapOuter(wrapping); err != nil {
		return nil, err
	}
	return sealed, nil
}

// errRepeated says that the request, or the key, has a record already.
var errRepeated = errors.New("the request was made before")

// keptBefore reports whether a record was refused because its request, or its key, has one.
func keptBefore(err error) bool {
	return pg.Violates(err, "record_request_key") || pg.Violates(err, "record_spki_sha256_key")
}

// keep stores a record in the caller's transaction; errRepeated when there is one, and then the transaction is over.
func (a *Archive) keep(ctx context.Context, tx pgx.Tx, by audit.Actor, d Deposit, spki keyuse.Hash, sealed *record.Record, now time.Time) (*Receipt, error) {
	b := &pgx.Batch{}
	receipt, err := a.queueKeep(b, by, d, spki, sealed, now)
	if err != nil {
		return nil, err
	}
	err = tx.SendBatch(ctx, b).Close()
	if keptBefore(err) {
		return nil, errRepeated
	}
	return receipt, err
}

// queueKeep stores a record with its claim on the key, its event and its receipt. The receipt is whole, and may be
// given away, when the transaction is committed.
func (a *Archive) queueKeep(b *pgx.Batch, by audit.Actor, d Deposit, spki keyuse.Hash, sealed *record.Record, now time.Time) (*Receipt, error) {
	keyuse.Queue(b, now, keyuse.Claim{Key: spki, Use: keyuse.Encryption, Person: d.Person})
	hash := sealed.Capsule.Hash()
	leaves, err := audit.Queue(b, now, by, audit.Event{Kind: "archive.deposited", Subject: "key:" + record.Hash(spki).String(), Person: d.Person,
		Data: map[string]any{"request": d.Request, "record": hash.String(), "key_id": sealed.Capsule.KeyID.String()}})
	if err != nil {
		return nil, err
	}
	receipt, err := a.sign(d, spki, sealed, leaves[0], now)
	if err != nil {
		return nil, err
	}
	queueInsert(b, receipt, sealed)
	return receipt, nil
}

// repetition answers for a request, or a key, that has a record already.
func (a *Archive) repetition(ctx context.Context, d Deposit, spki keyuse.Hash) (*Receipt, error) {
	receipt, err := a.ByRequest(ctx, d.Request)
	if errors.Is(err, ErrNothingHeld) { // the record of the key is another request's
		return nil, ErrArchivedTwice
	}
	if err != nil {
		return nil, err
	}
	return receipt, receipt.sameAs(d, spki)
}

// Confirm says that the request of a held record was issued: from now on the record is kept for ever. Repeating it
// changes nothing.
func (a *Archive) Confirm(ctx context.Context, request uuid.UUID) error {
	b := &pgx.Batch{}
	pg.Require(b, ErrNothingHeld, `
		with kept as (update archive.record set state = 'kept' where request = $1 returning 1)
		select require.that(count(*) = 1) from kept`, request)
	return a.DB.Batch(ctx, role, b)
}

// Remove takes the held record of a request that will not be issued out of the archive. The key stays claimed: it is
// never taken for another use. Without such a record it does nothing; a kept one is never removed.
func (a *Archive) Remove(ctx context.Context, by audit.Actor, request uuid.UUID) error {
	now := a.Now()
	return a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		var person uuid.UUID
		var spki []byte
		err := tx.QueryRow(ctx, `delete from archive.record where request = $1 and state = 'held' returning person, spki_sha256`,
			request).Scan(&person, &spki)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, now, by, audit.Event{Kind: "archive.removed", Subject: "key:" + record.Hash(spki).String(),
			Person: person, Data: map[string]any{"request": request}})
		return err
	})
}

// Held returns the requests whose records have been held since before a moment, at most a thousand.
func (a *Archive) Held(ctx context.Context, before time.Time) ([]uuid.UUID, error) {
	var out []uuid.UUID
	err := a.DB.InTx(ctx, role, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select request from archive.record where state = 'held' and deposited_at < $1
			order by deposited_at limit 1000`, before)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		return err
	})
	return out, err
}

func marshalSPKI(public crypto.PublicKey) ([]byte, error) { return x509.MarshalPKIXPublicKey(public) }
