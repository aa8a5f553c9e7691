package jobs

import (
	"context"
	"log/slog"
	"slices"
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
//
// Further directories have lists of their own, so that one that is away holds up no other: an act adds one row, whatever
// directories there are, and a loop of its own copies it to each further one's list before the first one's turn.

// QueuePublication puts a person on the list, in the caller's transaction.
func QueuePublication(b *pgx.Batch, now time.Time, person uuid.UUID) {
	b.Queue(`insert into publication.due (person, not_before) values ($1, $2)`, person, now)
}

const (
	publishAtOnce = 256                    // people of one pass
	copyAtOnce    = 1000                   // rows that are copied to further directories' lists in one transaction
	forgetAfter   = 24 * time.Hour         // rows of directories that nobody works for any more
	publishPause  = 200 * time.Millisecond // between passes that found nobody
	publishLimit  = 30 * time.Second       // for the people of one pass; who is not reached is tried again later, behind others
	passTimeout   = 50 * time.Second       // less than the database lets a transaction idle
)

// Publications is what HandlePublications needs.
type Publications struct {
	// Directory is the name of a further directory; "" is the one that people are looked up in.
	Directory string
	// Publish brings people's entries up to date and returns, in their order, what failed: a nil error settles the person.
	Publish func(context.Context, []uuid.UUID) []error
	Now     func() time.Time
	Log     *slog.Logger
}

// HandlePublications registers what is done for the people on a directory's list. It is called before Start, once for each
// directory.
func (q *Queue) HandlePublications(p Publications) {
	q.publications = append(q.publications, &publisher{Publications: p, db: q.db, list: publishList})
}

// startPublications begins to work on all lists.
func (q *Queue) startPublications(ctx context.Context) {
	var further []string
	for _, p := range q.publications {
		if p.Directory != "" {
			p.list = listOf(p.Directory)
			further = append(further, p.Directory)
		}
	}
	for _, p := range q.publications {
		if p.Directory == "" {
			if len(further) > 0 {
				p.list = copiedList
			}
			p.forget(ctx, further)
		}
		p.start(ctx, p.pass)
	}
	if len(further) > 0 && len(q.publications) > len(further) {
		first := q.publications[slices.IndexFunc(q.publications, func(p *publisher) bool { return p.Directory == "" })]
		c := &publisher{Publications: first.Publications, db: q.db}
		q.publications = append(q.publications, c)
		c.start(ctx, func(ctx context.Context) (int, error) { return c.copy(ctx, further) })
	}
}

// list is where the rows of a directory are.
type list struct {
	lock  string // held by the one server that works on it
	table string
	where string // which rows; $1 is the directory
}

var (
	publishList = list{lock: "publications", table: "publication.due", where: "$1 = ''"}
	// copiedList holds the rows that are on the further directories' lists already.
	copiedList = list{lock: "publications", table: "publication.due", where: "copied and $1 = ''"}
)

func listOf(directory string) list {
	return list{lock: "publications of " + directory, table: "publication.due_further", where: "directory = $1"}
}

// publisher works on a list.
type publisher struct {
	Publications
	list   list
	db     *pg.DB
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// start runs pass again and again: at once when it was full.
func (p *publisher) start(ctx context.Context, pass func(context.Context) (int, error)) {
	ctx, p.cancel = context.WithCancel(ctx)
	p.ended.Go(func() {
		for ctx.Err() == nil {
			n, err := pass(ctx)
			pause := publishPause
			if err != nil && ctx.Err() == nil {
				p.Log.Error("publications are not worked on", "directory", p.Directory, "error", err)
				pause = 5 * time.Second
			}
			if err == nil && n >= publishAtOnce {
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

// copy puts new rows on the further directories' lists too. Several servers may do so at once: who comes second finds the
// row marked.
func (p *publisher) copy(ctx context.Context, further []string) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	err = p.db.InTx(ctx, pg.IdleRole, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `with new as (
				update publication.due set copied = true where not copied and id in (select id from publication.due where not copied order by id limit $2)
				returning person, not_before)
			insert into publication.due_further (directory, person, not_before)
			select d, person, not_before from new cross join unnest($1::text[]) as d`, further, copyAtOnce)
		n = int(tag.RowsAffected())
		return err
	})
	return n, err
}

// forget takes rows off the list of directories that have not been worked for in a long time, and are not known here: their
// configuration is gone.
func (p *publisher) forget(ctx context.Context, further []string) {
	err := p.db.InTx(ctx, pg.IdleRole, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `delete from publication.due_further where directory <> all($1) and not_before < $2`, append([]string{}, further...), p.Now().Add(-forgetAfter))
		return err
	})
	if err != nil {
		p.Log.Warn("publications of directories that are no more are not taken off the list", "error", err)
	}
}

// Waiting returns how many people were tried to be published in a directory in vain so far, and are tried again. "" is the one
// that people are looked up in.
func Waiting(ctx context.Context, db *pg.DB, directory string) (n int, err error) {
	l := publishList
	if directory != "" {
		l = listOf(directory)
	}
	err = db.InTx(ctx, pg.IdleRole, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `select count(distinct person) from `+l.table+` where attempts > 0 and `+l.where, directory).Scan(&n)
	})
	return n, err
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
		ok, err := pg.TryLock(ctx, tx, p.list.lock)
		if err != nil || !ok {
			return err
		}
		rows, err := p.selectDue(ctx, tx)
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
		p.Log.Warn("person not published", "directory", p.Directory, "person", r.Person, "attempts", r.Attempts+1, "again", again, "error", err)
		b.Queue(`update `+p.list.table+` set attempts = attempts + 1, not_before = $2 where id = $1`, r.ID, again)
	}
	b.Queue(`delete from `+p.list.table+` where id = any($1)`, done)
	return tx.SendBatch(ctx, b).Close()
}

func (p *publisher) selectDue(ctx context.Context, tx pgx.Tx) ([]due, error) {
	rows, err := tx.Query(ctx, `select id, person, attempts from `+p.list.table+` where not_before <= $2 and `+p.list.where+` order by not_before, id limit $3`,
		p.Directory, p.Now(), publishAtOnce)
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
