package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/archive/record"
)

// selectSubjects adds to cases the first of those whose keys they ask for, under the names of their newest records.
func selectSubjects(ctx context.Context, tx pgx.Tx, ids []uuid.UUID, at map[uuid.UUID]*Reported) error {
	rows, err := tx.Query(ctx, `select s.case_id, s.person, s.n, s.total, k.capsule from (
			select case_id, person, row_number() over (partition by case_id order by person) as n, count(*) over (partition by case_id) as total
			from archive.case_party where case_id = any($1) and part = 'subject') s
		left join lateral (select `+capsuleOf+` as capsule from archive.record where person = s.person order by deposited_at desc limit 1) k on true
		where s.n <= $2 order by s.case_id, s.n`, ids, maxNamed)
	if err != nil {
		return err
	}
	var id, person uuid.UUID
	var n, total int
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &person, &n, &total, &raw}, func() error {
		s := ReportedSubject{Person: person}
		if raw != nil {
			capsule, err := record.ParseCapsule(raw)
			if err != nil {
				return fmt.Errorf("record of %s: %w", person, err)
			}
			s.Name, s.Mail, raw = capsule.Header.Name, capsule.Header.Mail, nil
		}
		at[id].Subjects, at[id].Further = append(at[id].Subjects, s), max(total-maxNamed, 0)
		return nil
	})
	return err
}

// selectReportedAnswers adds to cases what officers said, with the names that they had in the roster of the case.
func selectReportedAnswers(ctx context.Context, tx pgx.Tx, ids []uuid.UUID, at map[uuid.UUID]*Reported) error {
	rows, err := tx.Query(ctx, `select a.case_id, c.roster, a.approval, a.received_at, a.dispute is not null
		from archive.case_answer a join archive.recovery_case c on c.id = a.case_id where a.case_id = any($1) order by a.case_id, a.received_at, a.agent`, ids)
	if err != nil {
		return err
	}
	type answer struct {
		id       uuid.UUID
		roster   record.Hash
		agent    uint16
		reported ReportedAnswer
	}
	var all []answer
	var id uuid.UUID
	var roster, approval []byte
	var received time.Time
	var disputed bool
	_, err = pgx.ForEachRow(rows, []any{&id, &roster, &approval, &received, &disputed}, func() error {
		a, err := record.ParseApproval(approval)
		if err != nil {
			return fmt.Errorf("answer to %s: %w", id, err)
		}
		all = append(all, answer{id, record.Hash(roster), a.Agent, ReportedAnswer{Decision: a.Decision.String(), Comment: a.Comment, Received: received, Disputed: disputed}})
		roster, approval = nil, nil
		return nil
	})
	if err != nil {
		return err
	}
	names := map[record.Hash]map[uint16]string{} // there are few rosters
	for _, a := range all {
		if names[a.roster] == nil {
			if names[a.roster], err = officerNames(ctx, tx, a.roster); err != nil {
				return err
			}
		}
		a.reported.Officer = names[a.roster][a.agent]
		at[a.id].Answers = append(at[a.id].Answers, a.reported)
	}
	return nil
}

func selectSums(ctx context.Context, tx pgx.Tx, reader uuid.UUID, in Span, now time.Time) ([]ReportSum, error) {
	rows, err := tx.Query(ctx, `select c.kind, c.state, count(*), coalesce(sum(d.records), 0)
		from archive.recovery_case c left join lateral (select sum(records) as records from archive.case_delivery where case_id = c.id) d on true
		where `+visible+` and ($4 = '' or c.state = $4) and ($5::timestamptz is null or c.opened_at >= $5) and ($6::timestamptz is null or c.opened_at < $6)
		group by c.kind, c.state order by c.kind, c.state`, reader, true, now, string(in.State), orNull(in.From), orNull(in.To))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[ReportSum])
}

func selectSilentAbout(ctx context.Context, tx pgx.Tx, person uuid.UUID, now time.Time) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `select c.id from archive.case_party p join archive.recovery_case c on c.id = p.case_id
		where p.person = $1 and p.part = 'subject' and c.silent_until > $2`, person, now)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}
