package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

// Many rooms append at once, some change their minds, and several servers sequence at the same time: in the end the
// indexes are dense, every committed event has exactly one, and no other has any.
func TestManyWritersSeveralSequencers(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	var mu sync.Mutex
	var committed []audit.Leaf
	var rolledBack int
	ctx, cancel := context.WithCancel(t.Context())
	var servers sync.WaitGroup
	var logs []*audit.Log
	for range 3 {
		l := newLog(t, pgtest.Open(t, d))
		logs = append(logs, l)
		servers.Go(func() { l.Run(ctx) })
	}
	db := pgtest.Open(t, d)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range 60 {
				stop := r.IntN(4) == 0
				var leaves []audit.Leaf
				err := db.InTx(t.Context(), appenders[w], func(tx pgx.Tx) error {
					for range 1 + r.IntN(3) {
						ls, err := audit.Append(t.Context(), tx, noon, registrar, events(1+r.IntN(5))...)
						if err != nil {
							return err
						}
						leaves = append(leaves, ls...)
						time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
					}
					if stop {
						return context.Canceled
					}
					return nil
				})
				mu.Lock()
				if err == nil {
					committed = append(committed, leaves...)
				} else if stop {
					rolledBack++
				} else {
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	deadline := time.Now().Add(20 * time.Second)
	for d.Count(t, `select count(*) from audit.pending`) > 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	servers.Wait()
	if rolledBack == 0 {
		t.Fatal("nothing was rolled back: the test tests less than it should")
	}
	var ids []int64
	var hashes [][]byte
	for _, c := range committed {
		ids, hashes = append(ids, c.Event), append(hashes, c.Hash[:])
	}
	n := int64(len(committed))
	for what, sql := range map[string]string{
		"leaves": `select count(*) from audit.leaf`, "highest index": `select max(idx) + 1 from audit.leaf`,
		"newest checkpoint": `select max(size) from audit.checkpoint`, "events": `select count(*) from audit.event`,
	} {
		if got := d.Count(t, sql); got != n {
			t.Errorf("%s: %d, want %d", what, got, n)
		}
	}
	if got := d.Count(t, `select count(*) from unnest($1::bigint[], $2::bytea[]) u (event, hash) join audit.leaf using (event, hash)`, ids, hashes); got != n {
		t.Errorf("%d of %d committed events have their index", got, n)
	}
	for _, l := range logs {
		s, err := l.Status(t.Context())
		if err != nil || s.Failures != 0 || s.Pending != 0 || s.Size != n {
			t.Errorf("status %+v, %v", s, err)
		}
	}
	clean(t, db, audit.VerifyConfig{Verifiers: known(t)}, n)
}

// A pass that is cut off at any moment leaves all or nothing.
func TestPassCutOff(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	l := newLog(t, db)
	r := rand.New(rand.NewPCG(1, 1))
	var done, cut int
	var total int64
	usual := 20 * time.Millisecond // what a pass takes here and now
	for round := 0; round < 100 && (done < 8 || cut < 8); round++ {
		total += int64(len(add(t, db, "ca", registrar, events(300)...)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.Int64N(int64(3*usual/2))))
		start := time.Now()
		if _, err := l.Sequence(ctx); err == nil {
			done++
			usual = time.Since(start)
		} else {
			cut++
			usual += usual / 10
		}
		cancel()
		whole(t, d, total)
	}
	if done == 0 || cut == 0 {
		t.Errorf("%d passes done, %d cut off: the test tests less than it should", done, cut)
	}
	if _, err := l.Sequence(t.Context()); err != nil {
		t.Error(err)
	}
	clean(t, db, audit.VerifyConfig{Verifiers: known(t)}, -1)
}

// A pass whose server process dies is rolled back, and the next one does its work, from another server too.
func TestBackendKilled(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	other := newLog(t, pgtest.Open(t, d))
	l := newLog(t, db)
	add(t, db, "ca", registrar, events(10)...)
	sequence(t, l, 10)
	add(t, db, "ca", registrar, events(20)...)
	// The last statement of a pass ends its own session.
	d.Exec(t, `create function public.die() returns trigger language plpgsql security definer as
		$$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$`)
	d.Exec(t, `create trigger die before insert on audit.checkpoint for each row execute function public.die()`)
	if n, err := l.Sequence(t.Context()); !errors.Is(err, pg.ErrUnavailable) {
		t.Fatalf("sequenced %d, %v; want ErrUnavailable", n, err)
	}
	whole(t, d, 30)
	d.Exec(t, `drop trigger die on audit.checkpoint`)
	sequence(t, other, 20)
	add(t, db, "ca", registrar, events(5)...)
	sequence(t, l, 5)
	clean(t, db, audit.VerifyConfig{Verifiers: known(t)}, 35)
}

// whole checks that every event either waits or has an index that the newest checkpoint covers.
func whole(t *testing.T, d pgtest.Database, total int64) {
	t.Helper()
	if n := d.Count(t, `select count(*) from audit.event e
		where exists (select from audit.pending p where p.event = e.id) <> exists (select from audit.leaf l where l.event = e.id)`); n != total {
		t.Fatalf("%d of %d events have exactly one place", n, total)
	}
	if n := d.Count(t, `select (select count(*) from audit.leaf) - coalesce((select max(size) from audit.checkpoint), 0)`); n != 0 {
		t.Fatalf("%d indexes are covered by no checkpoint", n)
	}
}

// A sequencer refuses to sign on top of what it did not sign itself, or what does not continue what it saw last.
func TestSequencerRefusesATamperedTree(t *testing.T) {
	t.Parallel()
	for what, sql := range map[string]string{
		"leaf of the last tile": `update audit.leaf set hash = decode(repeat('ab', 32), 'hex') where idx = 290`,
		"leaf taken away":       `delete from audit.leaf where idx = 299`,
		"node":                  `update audit.node set hash = decode(repeat('ab', 32), 'hex') where n = 0`,
		"checkpoint":            `update audit.checkpoint set note = replace(note, '300', '301') where size = 300`,
		"size":                  `update audit.checkpoint set size = 299 where size = 300`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d := pgtest.NewDatabase(t)
			db := pgtest.Open(t, d)
			add(t, db, "ca", registrar, events(300)...)
			sequence(t, newLog(t, db), 300)
			d.Exec(t, sql)
			add(t, db, "ca", registrar, events(1)...)
			if _, err := newLog(t, db).Sequence(t.Context()); !errors.Is(err, audit.ErrTampered) {
				t.Errorf("a server that starts now: got %v, want ErrTampered", err)
			}
			if d.Count(t, `select count(*) from audit.pending`) != 1 {
				t.Error("the event was taken")
			}
		})
	}
}

func TestSequencerNoticesARewoundLog(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	l := newLog(t, db)
	add(t, db, "ca", registrar, events(10)...)
	sequence(t, l, 10)
	add(t, db, "ca", registrar, events(10)...)
	sequence(t, l, 10)
	truncate := func(size int) {
		d.Exec(t, fmt.Sprintf(`with gone as (delete from audit.leaf where idx >= %d returning event)
			delete from audit.event where id in (select event from gone)`, size))
		d.Exec(t, fmt.Sprintf(`delete from audit.checkpoint where size > %d`, size))
	}
	truncate(10)
	add(t, db, "ca", registrar, events(1)...)
	if _, err := l.Sequence(t.Context()); !errors.Is(err, audit.ErrTampered) {
		t.Errorf("truncated: got %v", err)
	}
	// A server that has seen nothing goes on from there, and signs another history; the first one sees that too.
	fork := newLog(t, pgtest.Open(t, d))
	sequence(t, fork, 1)
	add(t, db, "ca", registrar, events(30)...)
	sequence(t, fork, 30)
	if _, err := l.Sequence(t.Context()); !errors.Is(err, audit.ErrTampered) {
		t.Errorf("forked: got %v", err)
	}
	truncate(0)
	if _, err := l.Sequence(t.Context()); !errors.Is(err, audit.ErrTampered) {
		t.Errorf("emptied: got %v", err)
	}
}
