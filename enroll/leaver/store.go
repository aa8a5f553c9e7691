package leaver

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
)

// role is that of package enroll, whose schema the tables lie in.
const role pg.Role = "enroll"

const columns = `number, person, name, mailbox, standing, state, coalesce(why, '') as why, noticed_at, changed_at, decided_by, coalesce(reason, '') as reason, lost`

// row is a leaver's columns, in the order of columns.
type row struct {
	Number    int64
	Person    uuid.UUID
	Name      string
	Mailbox   string
	Standing  directory.Standing
	State     State
	Why       string
	NoticedAt time.Time
	ChangedAt time.Time
	DecidedBy *audit.Actor
	Reason    string
	Lost      []string
}

func (r row) leaver() *Leaver {
	return &Leaver{r.Number, r.Person, r.Name, r.Mailbox, r.Standing, r.State, r.Why, r.NoticedAt.UTC(), r.ChangedAt.UTC(), r.DecidedBy, r.Reason, r.Lost}
}

func collect(rows pgx.Rows, err error) ([]*Leaver, error) {
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	out := make([]*Leaver, len(found))
	for i, f := range found {
		out[i] = f.leaver()
	}
	return out, err
}

// lockLeavers returns those of the people who are on the list, and holds their rows.
func lockLeavers(ctx context.Context, tx pgx.Tx, people []uuid.UUID) (map[uuid.UUID]*Leaver, error) {
	list, err := collect(tx.Query(ctx, `select `+columns+` from enroll.leaver where person = any($1) order by person for update`, people))
	out := make(map[uuid.UUID]*Leaver, len(list))
	for _, l := range list {
		out[l.Person] = l
	}
	return out, err
}

func lockLeaver(ctx context.Context, tx pgx.Tx, person uuid.UUID) (*Leaver, error) {
	found, err := lockLeavers(ctx, tx, []uuid.UUID{person})
	if err == nil && found[person] == nil {
		err = ErrUnknown
	}
	return found[person], err
}

func selectLeaver(ctx context.Context, tx pgx.Tx, person uuid.UUID) (*Leaver, error) {
	list, err := collect(tx.Query(ctx, `select `+columns+` from enroll.leaver where person = $1`, person))
	if err != nil || len(list) == 0 {
		return nil, errors.Join(err, ErrUnknown)
	}
	return list[0], nil
}

func selectLeavers(ctx context.Context, tx pgx.Tx, states []State, after int64, limit int) ([]*Leaver, error) {
	return collect(tx.Query(ctx, `select `+columns+` from enroll.leaver where state = any($1) and number > $2 order by number limit $3`, states, after, limit))
}

// selectDue returns people whose grace is over, whom the pass that began at a time has seen.
func selectDue(ctx context.Context, tx pgx.Tx, noticedBefore, seenSince time.Time, limit int) ([]*Leaver, error) {
	return collect(tx.Query(ctx, `select `+columns+` from enroll.leaver
		where state = 'noticed' and noticed_at <= $1 and seen_at >= $2 order by number limit $3`, noticedBefore, seenSince, limit))
}

// insertLeaver reports whether it added the row; another may have.
func insertLeaver(ctx context.Context, tx pgx.Tx, l *Leaver) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into enroll.leaver (person, name, mailbox, standing, state, noticed_at, seen_at, changed_at, lost)
		values ($1, $2, $3, $4, $5, $6, $6, $6, coalesce($7::text[], '{}')) on conflict (person) do nothing`, l.Person, l.Name, l.Mailbox, l.Standing, l.State, l.Noticed, l.Lost)
	return tag.RowsAffected() == 1, err
}

// updateLeaver writes what may change of a leaver, whose row is held.
func updateLeaver(ctx context.Context, tx pgx.Tx, l *Leaver) error {
	_, err := tx.Exec(ctx, `update enroll.leaver set standing = $2, state = $3, why = nullif($4, ''), noticed_at = $5, changed_at = $6, decided_by = $7,
		reason = nullif($8, ''), lost = coalesce($9::text[], '{}') where person = $1`, l.Person, l.Standing, l.State, l.Why, l.Noticed, l.Changed, l.By, l.Reason, l.Lost)
	return err
}

func touchLeavers(ctx context.Context, tx pgx.Tx, people []uuid.UUID, at time.Time) error {
	_, err := tx.Exec(ctx, `update enroll.leaver set seen_at = $2 where person = any($1) and seen_at < $2`, people, at)
	return err
}

func deleteLeaver(ctx context.Context, tx pgx.Tx, person uuid.UUID) error {
	_, err := tx.Exec(ctx, `delete from enroll.leaver where person = $1`, person)
	return err
}

// deleteUnseen takes those off the list whom a whole pass did not come by: they have no certificate any more. Who was revoked
// without a word since a time still counts towards the limit.
func deleteUnseen(ctx context.Context, tx pgx.Tx, since, revoked time.Time) error {
	_, err := tx.Exec(ctx, `delete from enroll.leaver where seen_at < $1 and state <> 'leaving' and not (state = 'left' and decided_by is null and changed_at > $2)`, since, revoked)
	return err
}

// countMissing returns how many people are missing and not yet decided about, with those who were revoked without a word
// since a time.
func countMissing(ctx context.Context, tx pgx.Tx, since time.Time) (n int, err error) {
	err = tx.QueryRow(ctx, `select count(*) from enroll.leaver
		where state = 'noticed' or state = 'waiting' and why = 'limit' or state in ('leaving', 'left') and decided_by is null and changed_at > $1`, since).Scan(&n)
	return n, err
}

func countWaiting(ctx context.Context, tx pgx.Tx) (n int, err error) {
	err = tx.QueryRow(ctx, `select count(*) from enroll.leaver where state = 'waiting'`).Scan(&n)
	return n, err
}

// left returns those of the people who are being revoked, or are, because they left.
func left(ctx context.Context, tx pgx.Tx, people []uuid.UUID) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `select person from enroll.leaver where person = any($1) and state in ('leaving', 'left') and standing <> 'moved'`, people)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// pass is the sweep's progress: the row of enroll.leaver_sweep.
type pass struct {
	Number  int64 // of passes begun
	BegunAt time.Time
	Cursor  uuid.UUID // everybody up to here has been looked at
	People  int       // so many
	Done    bool
	Total   int // people in the last pass that ended
}

// lockPass returns the sweep's progress, and holds it.
func lockPass(ctx context.Context, tx pgx.Tx) (p pass, err error) {
	if _, err := tx.Exec(ctx, `insert into enroll.leaver_sweep (number, begun_at, cursor, people, done, total) values (0, '-infinity', $1, 0, true, 0)
		on conflict do nothing`, uuid.Nil); err != nil {
		return p, err
	}
	err = tx.QueryRow(ctx, `select number, case when number = 0 then to_timestamp(0) else begun_at end, cursor, people, done, total from enroll.leaver_sweep for update`).
		Scan(&p.Number, &p.BegunAt, &p.Cursor, &p.People, &p.Done, &p.Total)
	p.BegunAt = p.BegunAt.UTC()
	return p, err
}

func updatePass(ctx context.Context, tx pgx.Tx, p pass) error {
	_, err := tx.Exec(ctx, `update enroll.leaver_sweep set number = $1, begun_at = $2, cursor = $3, people = $4, done = $5, total = $6`,
		p.Number, p.BegunAt, p.Cursor, p.People, p.Done, p.Total)
	return err
}
