package archive

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/keyuse"
)

func insertCase(ctx context.Context, tx pgx.Tx, k *Case, consent []byte, parties []party) error {
	hash := k.Hash()
	b := &pgx.Batch{}
	b.Queue(`insert into archive.recovery_case (id, hash, kind, state, requester, roster, statement, silent_until, consent, opened_at, deadline, changed_at,
		requester_name, purpose, reference) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		k.ID, hash[:], k.Kind.String(), k.State, k.Requester.Person, k.Roster[:], k.Bytes(), orNull(k.SilentUntil), consent, k.Opened, k.Deadline, k.Changed,
		k.Requester.Name, k.Reason, k.Reference)
	var persons []uuid.UUID
	var parts []string
	for _, p := range parties {
		persons, parts = append(persons, p.person), append(parts, p.part)
	}
	b.Queue(`insert into archive.case_party (case_id, person, part) select $1, p, part from unnest($2::uuid[], $3::text[]) as x (p, part)
		on conflict do nothing`, k.ID, persons, parts)
	var capsules, certificates [][]byte
	var subjects, records []int32
	for _, d := range k.Deliveries {
		before, recipient := len(capsules), record.Fingerprint(d.Recipient)
		for _, s := range d.Subjects {
			for _, h := range s.Records {
				capsules = append(capsules, h[:])
			}
		}
		certificates, subjects, records = append(certificates, recipient[:]), append(subjects, int32(len(d.Subjects))), append(records, int32(len(capsules)-before))
	}
	b.Queue(`insert into archive.case_record (case_id, position, capsule_sha256)
		select $1, n - 1, c from unnest($2::bytea[]) with ordinality as x (c, n)`, k.ID, capsules)
	b.Queue(`insert into archive.case_delivery (case_id, delivery, recipient, recipient_sha256, subjects, records)
		select $1, n - 1, r, c, s, k from unnest($2::uuid[], $3::bytea[], $4::int[], $5::int[]) with ordinality as x (r, c, s, k, n)`,
		k.ID, k.recipients, certificates, subjects, records)
	return tx.SendBatch(ctx, b).Close()
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// scanCase reads a row of a case. The statement is parsed again: the database is not believed.
func scanCase(row pgx.CollectableRow) (*Case, error) {
	k := &Case{}
	var id uuid.UUID
	var statement []byte
	var silent *time.Time
	if err := row.Scan(&id, &k.State, &statement, &silent, &k.StateReason, &k.Changed); err != nil {
		return nil, err
	}
	if silent != nil {
		k.SilentUntil = *silent
	}
	var err error
	if k.SignedCase, err = record.ParseCase(statement); err != nil {
		return nil, err
	}
	if k.ID != id {
		return nil, ErrUnknownCase.Because(errors.New("the statement is another case's"))
	}
	return k, k.Verify()
}

func selectCase(ctx context.Context, tx pgx.Tx, id uuid.UUID, lock bool) (*Case, error) {
	query := `select id, state, statement, silent_until, coalesce(reason, ''), changed_at from archive.recovery_case where id = $1`
	if lock {
		query += ` for update`
	}
	rows, err := tx.Query(ctx, query, id)
	if err != nil {
		return nil, err
	}
	k, err := pgx.CollectExactlyOneRow(rows, scanCase)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrUnknownCase
	}
	if err != nil {
		return nil, err
	}
	if k.recipients, k.Collected, err = selectDeliveries(ctx, tx, id); err != nil {
		return nil, err
	}
	k.Answers, err = selectAnswers(ctx, tx, id)
	return k, err
}

func selectDeliveries(ctx context.Context, tx pgx.Tx, id uuid.UUID) (recipients []uuid.UUID, collected []time.Time, err error) {
	rows, err := tx.Query(ctx, `select recipient, collected_at from archive.case_delivery where case_id = $1 order by delivery`, id)
	if err != nil {
		return nil, nil, err
	}
	var person uuid.UUID
	var at *time.Time
	_, err = pgx.ForEachRow(rows, []any{&person, &at}, func() error {
		recipients, collected = append(recipients, person), append(collected, time.Time{})
		if at != nil {
			collected[len(collected)-1] = *at
		}
		return nil
	})
	return recipients, collected, err
}

func selectAnswers(ctx context.Context, tx pgx.Tx, id uuid.UUID) ([]CaseAnswer, error) {
	rows, err := tx.Query(ctx, `select approval, received_at, dispute is not null from archive.case_answer where case_id = $1 order by received_at, agent`, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (a CaseAnswer, err error) {
		var approval []byte
		if err := row.Scan(&approval, &a.Received, &a.Disputed); err != nil {
			return a, err
		}
		a.SignedApproval, err = record.ParseApproval(approval)
		return a, err
	})
}

// visible is whether person $1 may see case c; $2 is whether they are an auditor, $3 the time. A subject who is not to
// know yet does not see the case in any other part either.
const visible = `not exists (select from archive.case_party p where p.case_id = c.id and p.person = $1 and p.part = 'subject' and c.silent_until > $3)
	and ($2 or c.requester = $1 or exists (select from archive.case_party p where p.case_id = c.id and p.person = $1))`

func selectMaySee(ctx context.Context, tx pgx.Tx, id, person uuid.UUID, auditor bool, now time.Time) (sees bool, err error) {
	err = tx.QueryRow(ctx, `select exists (select from archive.recovery_case c where c.id = $4 and `+visible+`)`, person, auditor, now, id).Scan(&sees)
	return sees, err
}

func selectOverdue(ctx context.Context, tx pgx.Tx, now time.Time, limit int) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `select id from archive.recovery_case where deadline < $1 and state in ('requested', 'approved', 'released')
		order by deadline limit $2 for update skip locked`, now, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

func updateCase(ctx context.Context, tx pgx.Tx, id uuid.UUID, to CaseState, reason string, at time.Time) error {
	_, err := tx.Exec(ctx, `update archive.recovery_case set state = $2, reason = nullif($3, ''), changed_at = $4 where id = $1`, id, string(to), reason, at)
	return err
}

func updateCollected(ctx context.Context, tx pgx.Tx, id uuid.UUID, delivery int, at time.Time) error {
	_, err := tx.Exec(ctx, `update archive.case_delivery set collected_at = $3 where case_id = $1 and delivery = $2`, id, delivery, at)
	return err
}

func insertAnswer(ctx context.Context, tx pgx.Tx, id uuid.UUID, a *record.Answer, at time.Time) error {
	_, err := tx.Exec(ctx, `insert into archive.case_answer (case_id, agent, decision, approval, received_at) values ($1, $2, $3, $4, $5)`,
		id, a.Approval.Agent, a.Approval.Decision.String(), a.Approval.Bytes(), at)
	if err != nil || len(a.Sealed) == 0 {
		return err
	}
	_, err = tx.Exec(ctx, `insert into archive.case_partials (case_id, agent, delivery, sealed)
		select $1, $2, n - 1, s from unnest($3::bytea[]) with ordinality as x (s, n)`, id, a.Approval.Agent, a.Sealed)
	return err
}

func updateDispute(ctx context.Context, tx pgx.Tx, id uuid.UUID, s *record.SignedDispute) error {
	_, err := tx.Exec(ctx, `update archive.case_answer set dispute = $3 where case_id = $1 and agent = $2`, id, s.Agent, s.Bytes())
	return err
}

func selectPartials(ctx context.Context, tx pgx.Tx, id uuid.UUID, delivery int) ([]Sealed, error) {
	rows, err := tx.Query(ctx, `select a.approval, p.sealed from archive.case_partials p join archive.case_answer a using (case_id, agent)
		where p.case_id = $1 and p.delivery = $2 order by a.received_at, a.agent`, id, delivery)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Sealed])
}

func deletePartials(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	_, err := tx.Exec(ctx, `delete from archive.case_partials where case_id = $1`, id)
	return err
}

// capsuleOf is the capsule within a sealed record: docs/archive-format.md, 3.4.
const capsuleOf = `substring(sealed from 5 for get_byte(sealed, 2) * 256 + get_byte(sealed, 3))`

// selectKept returns the capsules of people's kept records, by person and then by age. A nil list of keys means all.
func selectKept(ctx context.Context, tx pgx.Tx, persons []uuid.UUID, keys []keyuse.Hash, limit int) ([]*record.Capsule, error) {
	var only [][]byte // null: all
	if keys != nil {
		only = [][]byte{}
	}
	for _, k := range keys {
		only = append(only, k[:])
	}
	rows, err := tx.Query(ctx, `select `+capsuleOf+` from archive.record where person = any($1) and state = 'kept'
		and ($2::bytea[] is null or spki_sha256 = any($2)) order by person, deposited_at, id limit $3`, persons, only, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanCapsule)
}

func scanCapsule(row pgx.CollectableRow) (*record.Capsule, error) {
	var raw []byte
	if err := row.Scan(&raw); err != nil {
		return nil, err
	}
	return record.ParseCapsule(raw)
}

// owner says whose a record is and under which archive key.
type owner struct {
	person uuid.UUID
	keyID  record.Hash
}

// selectOwners returns whose the records of a case are.
func selectOwners(ctx context.Context, tx pgx.Tx, s *record.SignedCase) (map[record.Hash]owner, error) {
	var wanted [][]byte
	for _, d := range s.Deliveries {
		for _, p := range d.Subjects {
			for _, h := range p.Records {
				wanted = append(wanted, h[:])
			}
		}
	}
	rows, err := tx.Query(ctx, `select capsule_sha256, person, key_id from archive.record where capsule_sha256 = any($1) and state = 'kept'`, wanted)
	if err != nil {
		return nil, err
	}
	out := map[record.Hash]owner{}
	var hash, key []byte
	var o owner
	_, err = pgx.ForEachRow(rows, []any{&hash, &o.person, &key}, func() error {
		o.keyID = record.Hash(key)
		out[record.Hash(hash)] = o
		return nil
	})
	return out, err
}

func selectCaseCapsules(ctx context.Context, tx pgx.Tx, id uuid.UUID, from, limit int) ([][]byte, error) {
	rows, err := tx.Query(ctx, `select `+capsuleOf+` from archive.case_record c join archive.record r using (capsule_sha256)
		where c.case_id = $1 and c.position >= $2 order by c.position limit $3`, id, from, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[[]byte])
}

func selectCaseRecords(ctx context.Context, tx pgx.Tx, id uuid.UUID, from, limit int) ([]*record.Record, error) {
	rows, err := tx.Query(ctx, `select r.sealed from archive.case_record c join archive.record r using (capsule_sha256)
		where c.case_id = $1 and c.position >= $2 order by c.position limit $3`, id, from, max(limit, 0))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*record.Record, error) {
		var raw []byte
		if err := row.Scan(&raw); err != nil {
			return nil, err
		}
		return record.ParseRecord(raw)
	})
}

func selectSilenceEnded(ctx context.Context, tx pgx.Tx, now time.Time) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `select id from archive.recovery_case where silent_until <= $1 order by silent_until, id`, now)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}
