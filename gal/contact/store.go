package contact

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/pg"
)

// role is that of package gal, in whose schema the tables lie.
const role pg.Role = "gal"

const columns = `number, id, mailbox, key, state, certificate, chain, trust, note, added_at, added_by, ended_at, ended_by, reason, revocation, asked_at,
	shown, dn, failure, looked_at, due_at`

func scan(row pgx.CollectableRow) (*Contact, error) {
	var c Contact
	var der []byte
	var chain [][]byte
	err := row.Scan(&c.Number, &c.ID, &c.Mailbox, &c.key, &c.State, &der, &chain, &c.Trust, &c.Note, &c.AddedAt, &c.AddedBy, &c.EndedAt, &c.EndedBy, &c.Reason,
		&c.Revocation, &c.AskedAt, &c.Shown, &c.DN, &c.Failure, &c.LookedAt, &c.due)
	if err != nil {
		return nil, err
	}
	for _, t := range []*time.Time{&c.AddedAt, &c.AskedAt, c.EndedAt, c.LookedAt, c.due} {
		if t != nil {
			*t = t.UTC()
		}
	}
	if c.Certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	for _, b := range chain {
		above, err := x509.ParseCertificate(b)
		if err != nil {
			return nil, err
		}
		c.Chain = append(c.Chain, above)
	}
	return &c, nil
}

func collect(rows pgx.Rows, err error) ([]*Contact, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

func one(list []*Contact, err error) (*Contact, error) {
	if err != nil || len(list) == 0 {
		return nil, errors.Join(err, ErrUnknown)
	}
	return list[0], nil
}

func selectContact(ctx context.Context, tx pgx.Tx, id uuid.UUID, lock string) (*Contact, error) {
	return one(collect(tx.Query(ctx, `select `+columns+` from gal.contact where id = $1`+lock, id)))
}

func lockContact(ctx context.Context, tx pgx.Tx, id uuid.UUID) (*Contact, error) {
	return selectContact(ctx, tx, id, " for update")
}

// lockCurrent returns the current contact of an address, and lets nobody else add one meanwhile.
func lockCurrent(ctx context.Context, tx pgx.Tx, key string) (*Contact, error) {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('gal.contact ' || $1, 0))`, key); err != nil {
		return nil, err
	}
	return one(collect(tx.Query(ctx, `select `+columns+` from gal.contact where key = $1 and state = 'current' for update`, key)))
}

func insertContact(ctx context.Context, tx pgx.Tx, c *Contact) error {
	chain := make([][]byte, len(c.Chain))
	for i, above := range c.Chain {
		chain[i] = above.Raw
	}
	sum := sha256.Sum256(c.Certificate.Raw)
	return tx.QueryRow(ctx, `insert into gal.contact (id, mailbox, key, state, certificate, fingerprint, chain, not_before, not_after, trust, note, added_at, added_by,
			revocation, asked_at, shown, due_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) returning number`,
		c.ID, c.Mailbox, c.key, c.State, c.Certificate.Raw, sum[:], chain, c.Certificate.NotBefore, c.Certificate.NotAfter, c.Trust, c.Note, c.AddedAt, c.AddedBy,
		c.Revocation, c.AskedAt, c.Shown, c.due).Scan(&c.Number)
}

func updateEnd(ctx context.Context, tx pgx.Tx, c *Contact) error {
	_, err := tx.Exec(ctx, `update gal.contact set state = $2, ended_at = $3, ended_by = $4, reason = $5, shown = $6, due_at = $7 where id = $1`,
		c.ID, c.State, c.EndedAt, c.EndedBy, c.Reason, c.Shown, c.due)
	return err
}

func updateAsked(ctx context.Context, tx pgx.Tx, c *Contact) error {
	_, err := tx.Exec(ctx, `update gal.contact set revocation = $2, asked_at = $3 where id = $1`, c.ID, c.Revocation, c.AskedAt)
	return err
}

// updateShown writes what a look found, unless something has happened to the contact since: then it is due anyway.
func updateShown(ctx context.Context, tx pgx.Tx, c *Contact, next *time.Time) error {
	_, err := tx.Exec(ctx, `update gal.contact set shown = $2, dn = $3, failure = $4, looked_at = $5, due_at = $6 where id = $1 and due_at = $7`,
		c.ID, c.Shown, c.DN, c.Failure, c.LookedAt, next, c.due)
	return err
}

func selectContacts(ctx context.Context, tx pgx.Tx, w Which) ([]*Contact, error) {
	return collect(tx.Query(ctx, `select `+columns+` from gal.contact where number > $1 and ($2 or state = 'current') and ($3 = '' or key = lower($3))
		order by number limit $4`, w.After, w.Former, w.Mailbox, w.Limit))
}

// claimDue returns contacts whose entries are to be looked at. Nobody else gets them until then.
func claimDue(ctx context.Context, tx pgx.Tx, now, until time.Time, limit int) ([]*Contact, error) {
	return collect(tx.Query(ctx, `update gal.contact set due_at = $2 where id in
		(select id from gal.contact where due_at <= $1 order by due_at limit $3 for update skip locked) returning `+columns, now, until, limit))
}

// selectCurrent returns the current contacts of addresses.
func selectCurrent(ctx context.Context, tx pgx.Tx, keys []string) ([]*Contact, error) {
	return collect(tx.Query(ctx, `select `+columns+` from gal.contact where key = any($1) and state = 'current'`, keys))
}

// insertValues writes down what is put into an entry, before it is.
func insertValue(ctx context.Context, tx pgx.Tx, now time.Time, entry, key string, value []byte) error {
	sum := sha256.Sum256(value)
	_, err := tx.Exec(ctx, `insert into gal.contact_value (entry, fingerprint, key, put_at) values ($1, $2, $3, $4) on conflict do nothing`, entry, sum[:], key, now)
	return err
}

// selectEntries returns the entries into which something of an address was put.
func selectEntries(ctx context.Context, tx pgx.Tx, key string) ([]string, error) {
	rows, err := tx.Query(ctx, `select distinct entry from gal.contact_value where key = $1`, key)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// selectValues returns the SHA-256 of what was put into an entry.
func selectValues(ctx context.Context, tx pgx.Tx, entry string) (map[[sha256.Size]byte]bool, error) {
	rows, err := tx.Query(ctx, `select fingerprint from gal.contact_value where entry = $1`, entry)
	if err != nil {
		return nil, err
	}
	out := map[[sha256.Size]byte]bool{}
	var sum []byte
	_, err = pgx.ForEachRow(rows, []any{&sum}, func() error { out[[sha256.Size]byte(sum)] = true; return nil })
	return out, err
}

func countContacts(ctx context.Context, tx pgx.Tx, soon time.Time) (places map[Shown]int, ending int, err error) {
	rows, err := tx.Query(ctx, `select shown, count(*), count(*) filter (where not_after <= $1) from gal.contact where state = 'current' group by shown`, soon)
	if err != nil {
		return nil, 0, err
	}
	places = map[Shown]int{}
	var place Shown
	var n, ends int
	_, err = pgx.ForEachRow(rows, []any{&place, &n, &ends}, func() error { places[place], ending = n, ending+ends; return nil })
	return places, ending, err
}
