package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/pg"
)

const role pg.Role = "fleet"

const columns = `number, person, id, person_name, first_at, last_at, reported_at, system, version, failure, ends_at,
	(select report from fleet.report where report.machine = machine.number)`

func scan(row pgx.CollectableRow) (*Machine, error) {
	m := &Machine{}
	var report []byte
	err := row.Scan(&m.Number, &m.Person, &m.ID, &m.PersonName, &m.FirstAt, &m.LastAt, &m.ReportedAt, &m.System, &m.Version, &m.Failure, &m.EndsAt, &report)
	if err != nil {
		return nil, err
	}
	m.FirstAt, m.LastAt, m.ReportedAt, m.EndsAt = m.FirstAt.UTC(), m.LastAt.UTC(), utc(m.ReportedAt), utc(m.EndsAt)
	if report != nil {
		m.Report = &api.MachineReport{}
		err = json.Unmarshal(report, m.Report)
	}
	return m, err
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// updateReported keeps a report of a machine that is known, and says whether it is.
func updateReported(ctx context.Context, tx pgx.Tx, m *Machine) (known bool, err error) {
	err = tx.QueryRow(ctx, `update fleet.machine set person_name = $3, last_at = greatest(last_at, $4), reported_at = $4, system = $5, version = $6, failure = $7, ends_at = $8
		where person = $1 and id = $2 returning number, first_at, last_at`,
		m.Person, m.ID, m.PersonName, m.LastAt, m.System, m.Version, m.Failure, m.EndsAt).Scan(&m.Number, &m.FirstAt, &m.LastAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	m.FirstAt, m.LastAt = m.FirstAt.UTC(), m.LastAt.UTC()
	return true, upsertReport(ctx, tx, m)
}

// insertReported keeps a report of a machine that was not known a moment ago.
func insertReported(ctx context.Context, tx pgx.Tx, m *Machine) error {
	err := tx.QueryRow(ctx, `insert into fleet.machine as m (person, id, person_name, first_at, last_at, reported_at, system, version, failure, ends_at)
		values ($1, $2, $3, $4, $4, $4, $5, $6, $7, $8)
		on conflict (person, id) do update set last_at = greatest(m.last_at, $4), reported_at = $4, system = $5, version = $6, failure = $7, ends_at = $8
		returning number, first_at, last_at`,
		m.Person, m.ID, m.PersonName, m.LastAt, m.System, m.Version, m.Failure, m.EndsAt).Scan(&m.Number, &m.FirstAt, &m.LastAt)
	if err != nil {
		return err
	}
	m.FirstAt, m.LastAt = m.FirstAt.UTC(), m.LastAt.UTC()
	return upsertReport(ctx, tx, m)
}

func upsertReport(ctx context.Context, tx pgx.Tx, m *Machine) error {
	report, err := json.Marshal(m.Report)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `insert into fleet.report (machine, report) values ($1, $2) on conflict (machine) do update set report = $2`, m.Number, report)
	return err
}

// updateHeard notes a contact of a machine that is known, and says whether it is.
func updateHeard(ctx context.Context, tx pgx.Tx, w waiting) (known bool, err error) {
	tag, err := tx.Exec(ctx, `update fleet.machine set person_name = $3, last_at = greatest(last_at, $4) where person = $1 and id = $2`, w.person, w.id, w.name, w.at)
	return tag.RowsAffected() == 1, err
}

func insertHeard(ctx context.Context, tx pgx.Tx, w waiting) error {
	_, err := tx.Exec(ctx, `insert into fleet.machine (person, id, person_name, first_at, last_at) values ($1, $2, $3, $4, $4) on conflict do nothing`,
		w.person, w.id, w.name, w.at)
	return err
}

// deleteBeyond forgets somebody's machines beyond so many: first those that never reported, then the longest silent.
func deleteBeyond(ctx context.Context, tx pgx.Tx, person uuid.UUID, keep int) error {
	_, err := tx.Exec(ctx, `delete from fleet.machine where number in (select number from fleet.machine where person = $1
		order by reported_at is null, last_at desc, number desc offset $2)`, person, keep)
	return err
}

func selectMachine(ctx context.Context, tx pgx.Tx, person, id uuid.UUID) (*Machine, error) {
	rows, err := tx.Query(ctx, `select `+columns+` from fleet.machine where person = $1 and id = $2`, person, id)
	if err != nil {
		return nil, err
	}
	m, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrUnknown
	}
	return m, err
}

// selectMachines returns a page. Only the conditions that narrow are in the statement, so that each has its index.
func selectMachines(ctx context.Context, tx pgx.Tx, w Which) ([]*Machine, error) {
	var where []string
	var args []any
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	for _, c := range []struct {
		given bool
		sql   string
		value any
	}{
		{w.Person != uuid.Nil, "person = ", w.Person},
		{!w.SilentSince.IsZero(), "last_at < ", w.SilentSince},
		{!w.EndsBefore.IsZero(), "ends_at < ", w.EndsBefore},
		{w.System != "", "system = ", w.System},
		{w.Version != "", "version = ", w.Version},
		{w.Failure != "", "failure = ", w.Failure},
	} {
		if c.given {
			where = append(where, c.sql+arg(c.value))
		}
	}
	if w.Failing {
		where = append(where, "failure <> ''")
	}
	compare, down := " > ", ""
	if w.Reverse {
		compare, down = " < ", " desc"
	}
	order := "number" + down
	if w.Quietest {
		order = "last_at" + down + ", number" + down
	}
	if w.After.Number != 0 {
		if w.Quietest {
			where = append(where, "(last_at, number)"+compare+"("+arg(w.After.At)+", "+arg(w.After.Number)+")")
		} else {
			where = append(where, "number"+compare+arg(w.After.Number))
		}
	}
	if len(where) == 0 {
		where = append(where, "true")
	}
	rows, err := tx.Query(ctx, `select `+columns+` from fleet.machine where `+strings.Join(where, " and ")+` order by `+order+` limit `+arg(w.Limit), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

func deleteMachine(ctx context.Context, tx pgx.Tx, person, id uuid.UUID) error {
	_, err := tx.Exec(ctx, `delete from fleet.machine where person = $1 and id = $2`, person, id)
	return err
}

// deleteSilent forgets machines that were not heard of since a time, at most so many, and says how many.
func deleteSilent(ctx context.Context, tx pgx.Tx, since time.Time, most int) (int64, error) {
	tag, err := tx.Exec(ctx, `delete from fleet.machine where number in (select number from fleet.machine where last_at < $1 order by last_at, number limit $2)`, since, most)
	return tag.RowsAffected(), err
}

// selectPeople returns people who have machines, in their order: those after one.
func selectPeople(ctx context.Context, tx pgx.Tx, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `select distinct person from fleet.machine where person > $1 order by person limit $2`, after, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

func deleteOf(ctx context.Context, tx pgx.Tx, people []uuid.UUID) (int64, error) {
	tag, err := tx.Exec(ctx, `delete from fleet.machine where person = any($1)`, people)
	return tag.RowsAffected(), err
}

// countMachines counts what a summary has, all at once: rows are narrow.
func countMachines(ctx context.Context, tx pgx.Tx, s *api.MachineSummary, now, silent time.Time) error {
	return tx.QueryRow(ctx, `select count(*), count(*) filter (where reported_at is null), count(*) filter (where last_at < $2), count(*) filter (where failure <> ''),
			count(*) filter (where ends_at > $1 and ends_at < $3 and last_at < $4), count(*) filter (where ends_at <= $1 and last_at >= $2)
		from fleet.machine`,
		now, silent, now.Add(soon), now.Add(-quiet)).Scan(&s.Machines, &s.Unreported, &s.Silent, &s.Failing, &s.Ending, &s.Ended)
}

func countFailures(ctx context.Context, tx pgx.Tx, most int) ([]api.MachineCount, error) {
	return counts(tx.Query(ctx, `select failure, count(*) from fleet.machine where failure <> '' group by failure order by 2 desc, 1`))(most)
}

func countVersions(ctx context.Context, tx pgx.Tx, most int) ([]api.MachineCount, error) {
	return counts(tx.Query(ctx, `select version, count(*) from fleet.machine where version <> '' group by version order by 2 desc, 1`))(most)
}

func countSystems(ctx context.Context, tx pgx.Tx, most int) ([]api.MachineCount, error) {
	return counts(tx.Query(ctx, `select system, count(*) from fleet.machine where system <> '' group by system order by 2 desc, 1`))(most)
}

// counts reads counts in their order: the first so many, and the sum of the others under the empty value.
func counts(rows pgx.Rows, err error) func(most int) ([]api.MachineCount, error) {
	return func(most int) ([]api.MachineCount, error) {
		if err != nil {
			return nil, err
		}
		out, rest := []api.MachineCount{}, int64(0)
		var c api.MachineCount
		_, err = pgx.ForEachRow(rows, []any{&c.Value, &c.Machines}, func() error {
			if len(out) < most {
				out = append(out, c)
			} else {
				rest += c.Machines
			}
			return nil
		})
		if rest > 0 {
			out = append(out, api.MachineCount{Machines: rest})
		}
		return out, err
	}
}
