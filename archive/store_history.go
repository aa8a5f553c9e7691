package archive

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// selectHistory returns the places of what touched a person's keys, as a reader may see it, the newest first.
func selectHistory(ctx context.Context, tx pgx.Tx, person, reader uuid.UUID, auditor bool, now time.Time, after HistoryPlace, limit int) ([]HistoryPlace, error) {
	rows, err := tx.Query(ctx, `select at, kind, ref from (
			select deposited_at as at, 0 as kind, id::text collate "C" as ref from archive.record where person = $4
			union all
			select imported_at, 1, lpad(number::text, 20, '0') from archive.foreign_certificate where person = $4
			union all
			select c.opened_at, 2, c.id::text from archive.recovery_case c join archive.case_party s on s.case_id = c.id
				where s.person = $4 and s.part = 'subject' and `+visible+`
		) as touch
		where $5::timestamptz is null or (at, kind, ref) < ($5, $6, $7)
		order by at desc, kind desc, ref desc limit $8`,
		reader, auditor, now, person, orNull(after.at), after.kind, after.ref, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p HistoryPlace, err error) {
		err = row.Scan(&p.at, &p.kind, &p.ref)
		return p, err
	})
}

func selectHistoryKey(ctx context.Context, tx pgx.Tx, id string) (*HistoryKey, error) {
	rows, err := tx.Query(ctx, `select `+receiptColumns+`, state = 'held', `+capsuleOf+` from archive.record where id = $1`, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (*HistoryKey, error) {
		var w receiptRow
		var raw []byte
		k := &HistoryKey{}
		if err := row.Scan(&w.ID, &w.Request, &w.Person, &w.Key, &w.KeyID, &w.Signed, &w.Leaf, &w.Event, &w.Time, &k.Held, &raw); err != nil {
			return nil, err
		}
		k.Receipt = w.receipt()
		signed, err := record.ParseReceipt(w.Signed)
		if err != nil {
			return nil, err
		}
		capsule, err := record.ParseCapsule(raw)
		if err != nil {
			return nil, err
		}
		k.SealedTo, k.Imported = signed.KeyID, k.Request == importRequest(k.Key)
		k.Algorithm, k.Mail = capsule.Header.Algorithm, capsule.Header.Mail
		return k, nil
	})
}

// selectNames returns a person's keys by the hashes under which cases name their records: those of now, and those of the
// deposit, for records that were moved to another archive key since.
func selectNames(ctx context.Context, tx pgx.Tx, person uuid.UUID) (map[record.Hash]keyuse.Hash, error) {
	rows, err := tx.Query(ctx, `select spki_sha256, capsule_sha256, receipt from archive.record where person = $1`, person)
	if err != nil {
		return nil, err
	}
	out := map[record.Hash]keyuse.Hash{}
	var spki, capsule, receipt []byte
	_, err = pgx.ForEachRow(rows, []any{&spki, &capsule, &receipt}, func() error {
		signed, err := record.ParseReceipt(receipt)
		if err != nil {
			return err
		}
		out[record.Hash(capsule)], out[signed.Record] = keyuse.Hash(spki), keyuse.Hash(spki)
		return nil
	})
	return out, err
}
