package notice

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/jobs"
	"github.com/sealpost/sealpost/internal/pg"
)

const role pg.Role = "notice"

// outcome is what became of a message.
type outcome string

const (
	sent       outcome = "sent"
	unanswered outcome = "unanswered" // the mail server was sent it and did not say whether it took it, more than once
	refused    outcome = "refused"    // for good
	noAddress  outcome = "no-address"
	superseded outcome = "overtaken" // by what happened since
)

// insertMails keeps who is to be told, and returns a job for each who was not there yet.
func insertMails(ctx context.Context, tx pgx.Tx, id uuid.UUID, list []reader, at time.Time) ([]jobs.SendNotice, error) {
	var abouts, parts []string
	var persons []uuid.UUID
	for _, r := range list {
		abouts, parts, persons = append(abouts, r.about), append(parts, string(r.part)), append(persons, r.person)
	}
	rows, err := tx.Query(ctx, `insert into notice.mail (case_id, about, person, part, queued_at)
		select $1, a, p, w, $5 from unnest($2::text[], $3::uuid[], $4::text[]) as x (a, p, w)
		on conflict do nothing returning about, person`, id, abouts, persons, parts, at)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (jobs.SendNotice, error) {
		j := jobs.SendNotice{Case: id}
		err := row.Scan(&j.About, &j.Person)
		return j, err
	})
}

// insertRevealed keeps which cases are revealed, and returns those that were not before.
func insertRevealed(ctx context.Context, tx pgx.Tx, ids []uuid.UUID, at time.Time) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `insert into notice.revealed (case_id, queued_at) select i, $2 from unnest($1::uuid[]) as x (i)
		on conflict do nothing returning case_id`, ids, at)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// waiting is a message that is not out yet.
type waiting struct {
	part       part
	queued     time.Time
	unanswered int
}

// selectWaiting returns nil if there is no such message, or it is done.
func selectWaiting(ctx context.Context, tx pgx.Tx, j jobs.SendNotice) (*waiting, error) {
	w := &waiting{}
	err := tx.QueryRow(ctx, `select part, queued_at, unanswered from notice.mail where case_id = $1 and about = $2 and person = $3 and outcome is null`,
		j.Case, j.About, j.Person).Scan(&w.part, &w.queued, &w.unanswered)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return w, err
}

func updateOutcome(ctx context.Context, tx pgx.Tx, j jobs.SendNotice, o outcome, at time.Time) error {
	_, err := tx.Exec(ctx, `update notice.mail set outcome = $4, done_at = $5 where case_id = $1 and about = $2 and person = $3 and outcome is null`,
		j.Case, j.About, j.Person, string(o), at)
	return err
}

func updateUnanswered(ctx context.Context, tx pgx.Tx, j jobs.SendNotice) error {
	_, err := tx.Exec(ctx, `update notice.mail set unanswered = unanswered + 1 where case_id = $1 and about = $2 and person = $3`, j.Case, j.About, j.Person)
	return err
}

// knownMatter is one that operators were told of.
type knownMatter struct {
	grade int
	told  time.Time
	good  bool // they were told that it is over
}

// selectMatters returns an area's matters by their keys, and holds them until the transaction ends.
func selectMatters(ctx context.Context, tx pgx.Tx, area string) (map[string]knownMatter, error) {
	rows, err := tx.Query(ctx, `select key, grade, told_at, good from notice.matter where area = $1 order by key for update`, area)
	if err != nil {
		return nil, err
	}
	out := map[string]knownMatter{}
	var key string
	var k knownMatter
	_, err = pgx.ForEachRow(rows, []any{&key, &k.grade, &k.told, &k.good}, func() error {
		out[key] = k
		return nil
	})
	return out, err
}

func upsertMatter(ctx context.Context, tx pgx.Tx, area string, m Matter, at time.Time) error {
	_, err := tx.Exec(ctx, `insert into notice.matter (area, key, grade, told_at, good) values ($1, $2, $3, $4, false)
		on conflict (area, key) do update set grade = excluded.grade, told_at = excluded.told_at, good = false`, area, m.Key, m.Grade, at)
	return err
}

// endMatter notes that operators were told that a matter is over, or forgets it.
func endMatter(ctx context.Context, tx pgx.Tx, area, key string, forget bool) error {
	if forget {
		_, err := tx.Exec(ctx, `delete from notice.matter where area = $1 and key = $2`, area, key)
		return err
	}
	_, err := tx.Exec(ctx, `update notice.matter set good = true where area = $1 and key = $2 and not good`, area, key)
	return err
}
