package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/pg"
)

// Publications are many and small: after each enrolment a person's directory entry is to be looked at. A job of River's
// for each would cost more than the enrolment's own rows, and each would look alone. So they have a list of their own,
// with the same promises as Insert and Handle: an act adds the person in its transaction; whoever is on the list is
// worked on until that has succeeded, by one server at a time, many at once.
//
// A row is never changed by who adds it, and only the rows that were read before the work are taken off after it. So
// somebody who is added while their entry is being looked at is looked at again.

// QueuePublication puts a person on the list, in the caller's transaction.
func QueuePublication(b *pgx.Batch, now time.Time, person uuid.UUID) {
	b.Queue(`insert into publication.due (person, not_before) values ($1, $2)`, person, now)
}

const (
	publishAtOnce = 256                    // people of one pass
	publishPause  = 200 * time.Millisecond // between passes that found nobody
	publishLimit  = 30 * time.Second       // for the people of one pass; who is not reached is tried again later, behind others
	passTimeout   = 50 * time.Second       // less than the database lets a transaction idle
)

// Publications is what HandlePublications needs.
type Publications struct {
	// Publish brings people's entries up to date and returns, in their order, what failed: a nil error settles the person.
	Publish func(context.Context, []uuid.UUID) []error
	Now     func() time.Time
	Log     *slog.Logger
}

// HandlePublications registers what is done for the people on the list. It is called before Start.
func (q *Queue) HandlePublications(p Publications) {
	q.publications = &publisher{Publications: p, db: q.db}
}

// publisher works on the list.
type publisher struct {
	Publications
	db     *pg.DB
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

func (p *publisher) start(ctx context.Context) {
	ctx, p.cancel = context.WithCancel(ctx)
	p.ended.Go(func() {
		for ctx.Err() == nil {
			n, err := p.pass(ctx)
			pause := publishPause
			if err != nil && ctx.Err() == nil {
				p.Log.Error("publications are not worked on", "error", err)
				pause = 5 * time.Second
			}
			if err == nil && n == publishAtOnce {
				continue // there are probably more
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	})
}

// stop ends the work. What is cut off is done again by whoever comes next.
func (p *publisher) stop() {
	if p.cancel != nil {
		p.cancel()
		p.ended.Wait()
	}
}

// due is a row of the list.
type due struct {
	ID       int64
	Person   uuid.UUID
	Attempts int
}

// pass works on those who are due and returns how many rows there were; none when another server is at it.
func (p *publisher) pass(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	err = p.db.InTx(ctx, pg.IdleRole, func(tx pgx.Tx) error {
		ok, err := pg.TryLock(ctx, tx, "publications")
		if err != nil || !ok {
			return err
		}
		rows, err := selectDue(ctx, tx, p.Now())
		if err != nil || len(rows) == 0 {
			return err
		}
		n = len(rows)
		return p.work(ctx, tx, rows)
	})
	return n, err
}

func (p *publisher) work(ctx context.Context, tx pgx.Tx, rows []due) error {
	people := make([]uuid.UUID, 0, len(rows))
	place := make(map[uuid.UUID]int, len(rows))
	for _, r := range rows {
		if _, twice := place[r.Person]; !twice {
			place[r.Person] = len(people)
			people = append(people, r.Person)
		}
	}
	limited, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	failed := p.Publish(limited, people)
	b := &pgx.Batch{}
	var done []int64
	for _, r := range rows {
		err := failed[place[r.Person]]
		if err == nil {
			done = append(done, r.ID)
			continue
		}
		again := nextTry(p.Now(), r.Attempts+1)
		p.Log.Warn("person not published", "person", r.Person, "attempts", r.Attempts+1, "again", again, "error", err)
		b.Queue(`update publication.due set attempts = attempts + 1, not_before = $2 where id = $1`, r.ID, again)
	}
	b.Queue(`delete from publication.due where id = any($1)`, done)
	return tx.SendBatch(ctx, b).Close()
}

func selectDue(ctx context.Context, tx pgx.Tx, now time.Time) ([]due, error) {
	rows, err := tx.Query(ctx, `select id, person, attempts from publication.due where not_before <= $1 order by not_before, id limit $2`, now, publishAtOnce)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[due])
}

// nextTry doubles the delay up to ten minutes.
func nextTry(now time.Time, attempts int) time.Time {
	const longest = 10 * time.Minute
	if attempts >= 10 {
		return now.Add(longest)
	}
	return now.Add(min(longest, time.Second<<attempts))
}
