package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/keyuse"
)

func updateKept(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	_, err := tx.Exec(ctx, `update archive.record set state = 'kept' where id = $1`, id)
	return err
}

func selectHeld(ctx context.Context, tx pgx.Tx, id uuid.UUID) (held bool, err error) {
	err = tx.QueryRow(ctx, `select state = 'held' from archive.record where id = $1`, id).Scan(&held)
	return held, err
}

func insertForeign(ctx context.Context, tx pgx.Tx, i Import, spki keyuse.Hash, sum []byte, by uuid.UUID, at time.Time) (added bool, err error) {
	mailboxes := make([]string, len(i.Mailboxes))
	for n, m := range i.Mailboxes {
		mailboxes[n] = strings.ToLower(m)
	}
	chain := i.Chain
	if chain == nil {
		chain = [][]byte{}
	}
	tag, err := tx.Exec(ctx, `
		insert into archive.foreign_certificate (spki_sha256, certificate_sha256, person, mailboxes, certificate, chain, imported_by, imported_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8)
		on conflict (spki_sha256, certificate_sha256) do nothing`, spki[:], sum, i.Person, mailboxes, i.Certificate, chain, by, at)
	return tag.RowsAffected() == 1, err
}

func selectOwner(ctx context.Context, tx pgx.Tx, key keyuse.Hash, sum []byte) (person uuid.UUID, imported bool, err error) {
	err = tx.QueryRow(ctx, `select person, exists (select from archive.foreign_certificate f
			where f.spki_sha256 = r.spki_sha256 and f.certificate_sha256 = $2)
		from archive.record r where spki_sha256 = $1 and state = 'kept'`, key[:], sum).Scan(&person, &imported)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrUnknownReceipt
	}
	return person, imported, err
}

func selectPeopleWith(ctx context.Context, tx pgx.Tx, mailbox string) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `select distinct person from archive.foreign_certificate where mailboxes @> array[$1]
		order by person limit 10`, strings.ToLower(mailbox))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

func selectForeign(ctx context.Context, tx pgx.Tx, where string, args ...any) ([]Foreign, error) {
	rows, err := tx.Query(ctx, `select number, spki_sha256, person, mailboxes, certificate, chain, imported_at
		from archive.foreign_certificate where `+where, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Foreign, err error) {
		var key []byte
		if err := row.Scan(&f.Number, &key, &f.Person, &f.Mailboxes, &f.Certificate, &f.Chain, &f.At); err != nil {
			return f, err
		}
		if len(key) != len(f.Key) {
			return f, fmt.Errorf("a foreign certificate's spki_sha256 has %d bytes", len(key))
		}
		f.Key = keyuse.Hash(key)
		return f, nil
	})
}
