package testmail

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/pg"
)

const role pg.Role = "testmail"

// destroyEnded destroys keys whose certificates have ended, and gives up those that waited too long for theirs.
func destroyEnded(ctx context.Context, tx pgx.Tx, now, given time.Time) error {
	_, err := tx.Exec(ctx, `update testmail.identity set signing_key = null, encryption_key = null where ends_at < $1 and signing_key is not null`, now)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `delete from testmail.identity where signing is null and made_at < $1`, given)
	return err
}

// selectUncertified returns keys that have no certificates yet, or nil.
func selectUncertified(ctx context.Context, tx pgx.Tx, address string) (*sealedIdentity, error) {
	s := &sealedIdentity{}
	err := tx.QueryRow(ctx, `select id, signing_key, encryption_key from testmail.identity where signing is null and address = $1 order by made_at limit 1`,
		address).Scan(&s.ID, &s.SigningKey, &s.EncryptionKey)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return s, err
}

func existsFresh(ctx context.Context, tx pgx.Tx, address string, now time.Time) (fresh bool, err error) {
	err = tx.QueryRow(ctx, `select exists (select from testmail.identity where signing_key is not null and address = $1
		and made_at + (ends_at - made_at) / 2 > $2)`, address, now).Scan(&fresh)
	return fresh, err
}

func insertIdentity(ctx context.Context, tx pgx.Tx, s *sealedIdentity, address string, at time.Time) error {
	_, err := tx.Exec(ctx, `insert into testmail.identity (id, address, signing_key, encryption_key, made_at) values ($1, $2, $3, $4, $5)`,
		s.ID, address, s.SigningKey, s.EncryptionKey, at)
	return err
}

func updateCertificates(ctx context.Context, tx pgx.Tx, id uuid.UUID, signing, encryption []byte, ends time.Time) error {
	_, err := tx.Exec(ctx, `update testmail.identity set signing = $2, encryption = $3, ends_at = $4 where id = $1 and signing is null`,
		id, signing, encryption, ends)
	return err
}

// maxIdentities is how many are tried on an answer.
const maxIdentities = 4

// selectIdentities returns those that have not ended, the newest first.
func selectIdentities(ctx context.Context, tx pgx.Tx, now time.Time) ([]*sealedIdentity, error) {
	rows, err := tx.Query(ctx, `select id, signing_key, encryption_key, signing, encryption from testmail.identity
		where signing is not null and signing_key is not null and ends_at >= $1 order by made_at desc limit $2`, now, maxIdentities)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[sealedIdentity])
}

func countSince(ctx context.Context, tx pgx.Tx, person uuid.UUID, since time.Time) (n int, err error) {
	err = tx.QueryRow(ctx, `select count(*) from testmail.test where person = $1 and begun_at > $2`, person, since).Scan(&n)
	return n, err
}

func insertTest(ctx context.Context, tx pgx.Tx, t *Test, name string, certificate []byte, token, code string, l Letter) error {
	_, err := tx.Exec(ctx, `insert into testmail.test (id, person, token, code, name, mailbox, certificate, subject, text, begun_at, until)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		t.ID, t.Person, token, code, name, t.Mailbox, certificate, l.Subject, l.Text, t.Begun, t.Until)
	return err
}

// deleteOld keeps somebody's newest tests alone.
func deleteOld(ctx context.Context, tx pgx.Tx, person uuid.UUID, keep int) error {
	_, err := tx.Exec(ctx, `delete from testmail.test where id in (select id from testmail.test where person = $1 order by begun_at desc, id offset $2)`, person, keep)
	return err
}

// deleteBefore removes what is older than a time.
func deleteBefore(ctx context.Context, tx pgx.Tx, at time.Time) error {
	_, err := tx.Exec(ctx, `delete from testmail.test where until < $1`, at)
	return err
}

// selectTests returns somebody's tests, the newest first.
func selectTests(ctx context.Context, tx pgx.Tx, person uuid.UUID, now time.Time) ([]Test, error) {
	rows, err := tx.Query(ctx, `select id, person, mailbox, begun_at, until, sent_at, failed_at, failure, said, notice, answers, answered_at, findings
		from testmail.test where person = $1 order by begun_at desc, id limit $2`, person, keptEach)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Test, error) {
		var t Test
		var sent, failed, answered *time.Time
		var findings []byte
		err := row.Scan(&t.ID, &t.Person, &t.Mailbox, &t.Begun, &t.Until, &sent, &failed, &t.Failure, &t.Said, &t.Notice, &t.Answers, &answered, &findings)
		if err != nil {
			return t, err
		}
		switch {
		case answered != nil:
			t.State, t.AnsweredAt = Answered, *answered
		case failed != nil:
			t.State = Failed
		case !now.Before(t.Until):
			t.State = Silent
		case sent != nil:
			t.State = Waiting
		default:
			t.State = Sending
		}
		t.Findings, err = decodeFindings(findings)
		return t, err
	})
}

// selectPending returns a test's mail if it is to be sent still; nil if not.
func selectPending(ctx context.Context, tx pgx.Tx, id uuid.UUID, now time.Time) (*pending, error) {
	p := &pending{}
	err := tx.QueryRow(ctx, `select token, code, name, mailbox, subject, text, certificate from testmail.test
		where id = $1 and sent_at is null and failed_at is null and until > $2`, id, now).
		Scan(&p.token, &p.code, &p.name, &p.mailbox, &p.subject, &p.text, &p.certificate)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return p, err
}

func updateSent(ctx context.Context, tx pgx.Tx, id uuid.UUID, at time.Time, sent, failed bool, failure, said string) error {
	_, err := tx.Exec(ctx, `update testmail.test set sent_at = case when $3 then $2::timestamptz end, failed_at = case when $4 then $2::timestamptz end, failure = $5, said = $6
		where id = $1 and sent_at is null`, id, at, sent, failed, failure, said)
	return err
}

// awaited is a test that an answer belongs to.
type awaited struct {
	id          uuid.UUID
	person      uuid.UUID
	mailbox     string
	token, code string
	open        bool // answers are looked at still
}

// selectAwaited returns the tests with these words.
func selectAwaited(ctx context.Context, tx pgx.Tx, tokens []string, now time.Time) (map[string]awaited, error) {
	rows, err := tx.Query(ctx, `select id, person, mailbox, token, code, until > $2 and answers < $3 from testmail.test where token = any($1)`, tokens, now, maxAnswers)
	if err != nil {
		return nil, err
	}
	out := map[string]awaited{}
	var a awaited
	_, err = pgx.ForEachRow(rows, []any{&a.id, &a.person, &a.mailbox, &a.token, &a.code, &a.open}, func() error {
		out[a.token] = a
		return nil
	})
	return out, err
}

// waiting says whether answers are awaited at all, and whether somebody sits before the page.
func waiting(ctx context.Context, tx pgx.Tx, now, recent time.Time) (open, soon bool, err error) {
	err = tx.QueryRow(ctx, `select count(*) > 0, coalesce(bool_or(begun_at > $2 or answered_at > $2), false) from testmail.test
		where until > $1 and failed_at is null`, now, recent).Scan(&open, &soon)
	return open, soon, err
}

// updateAnswer keeps what was found. What somebody else answered never takes the place of what the person did.
func updateAnswer(ctx context.Context, tx pgx.Tx, id uuid.UUID, at time.Time, theirs bool, findings []Finding) error {
	text, err := json.Marshal(findings)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `update testmail.test set answers = answers + 1,
		findings = case when theirs and not $3 then findings else $4::jsonb end,
		answered_at = case when theirs and not $3 then answered_at else $2::timestamptz end,
		theirs = theirs or $3, notice = '' where id = $1`, id, at, theirs, text)
	return err
}

func updateNotice(ctx context.Context, tx pgx.Tx, id uuid.UUID, notice string) error {
	_, err := tx.Exec(ctx, `update testmail.test set notice = $2, answers = answers + 1 where id = $1 and answered_at is null`, id, notice)
	return err
}

func selectLook(ctx context.Context, tx pgx.Tx) (l Look, err error) {
	var at, failed *time.Time
	err = tx.QueryRow(ctx, `select looked_at, failed_at, failure from testmail.look`).Scan(&at, &failed, &l.Failure)
	if errors.Is(err, pgx.ErrNoRows) {
		return l, nil
	}
	if at != nil {
		l.At = *at
	}
	if failed != nil {
		l.Failed = *failed
	}
	return l, err
}

// updateLook keeps how the mailbox was found; failure is "" if it was read.
func updateLook(ctx context.Context, tx pgx.Tx, at time.Time, failure string) error {
	_, err := tx.Exec(ctx, `insert into testmail.look (looked_at, failed_at, failure) values ($1, case when $2 <> '' then $1::timestamptz end, $2)
		on conflict (only_one) do update set looked_at = $1, failed_at = case when $2 <> '' then coalesce(look.failed_at, $1::timestamptz) end, failure = $2`, at, failure)
	return err
}
