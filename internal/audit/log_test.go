package audit_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

const logName = "pki.example.test/audit"

// newKey returns a key that is the same in every run.
func newKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(slices.Repeat([]byte{seed}, ed25519.SeedSize))
}

func newLog(t testing.TB, db *pg.DB, sinks ...audit.Sink) *audit.Log {
	t.Helper()
	l, err := audit.New(audit.Config{DB: db, Name: logName, Signer: newKey(1), Sinks: sinks, Interval: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func known(t testing.TB) note.Verifiers {
	t.Helper()
	vkey, err := proof.VerifierKey(logName, newKey(1).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	v, err := proof.Verifiers(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// events returns n events of mixed kinds.
func events(n int) []audit.Event {
	var es []audit.Event
	for i := range n {
		es = append(es, audit.Event{Kind: fmt.Sprintf("test.kind-%d", i%3), Subject: fmt.Sprintf("thing:%d", i),
			Person: []uuid.UUID{alice, bob, uuid.Nil}[i%3], Data: map[string]int{"i": i}})
	}
	return es
}

func sequence(t testing.TB, l *audit.Log, want int) {
	t.Helper()
	if n, err := l.Sequence(t.Context()); err != nil || n != want {
		t.Fatalf("sequenced %d, %v; want %d", n, err, want)
	}
}

func latest(t testing.TB, l *audit.Log) proof.Checkpoint {
	t.Helper()
	msg, err := l.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := proof.Open(msg, known(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The tree that grows batch by batch has the roots that tlog computes from all leaves at once, whatever the batches, and
// every event and every older checkpoint can be proven, across the borders of tiles.
func TestProofs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	l := newLog(t, db)
	var leaves []audit.Leaf
	var all memory
	var checkpoints []proof.Checkpoint
	for _, n := range []int{1, 1, 3, 250, 1, 255, 1, 513, 70000 - 1025, 7} {
		added := 0
		for added < n {
			m := min(n-added, 5000)
			leaves = append(leaves, add(t, db, "ca", registrar, events(m)...)...)
			added += m
		}
		for {
			k, err := l.Sequence(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if k == 0 {
				break
			}
			checkpoints = append(checkpoints, latest(t, l))
		}
		all.grow(t, leaves)
		c := checkpoints[len(checkpoints)-1]
		if want, err := tlog.TreeHash(int64(len(leaves)), &all); err != nil || c.Root != want || c.Size != int64(len(leaves)) || c.Origin != logName {
			t.Fatalf("checkpoint %+v, want size %d root %v (%v)", c, len(leaves), want, err)
		}
	}
	v := known(t)
	some := []int{0, 1, 2, 255, 256, 257, 511, 512, 65535, 65536, 69999, len(leaves) - 1}
	for range 50 {
		some = append(some, rand.IntN(len(leaves)))
	}
	for _, i := range some {
		p, err := l.Inclusion(t.Context(), leaves[i])
		if err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		if c, err := p.Check(leaves[i].Hash, v); err != nil || p.Index != int64(i) || c.Size != int64(len(leaves)) {
			t.Errorf("event %d: index %d in %+v: %v", i, p.Index, c, err)
		}
		byHash, err := l.Inclusion(t.Context(), audit.Leaf{Hash: leaves[i].Hash})
		if err != nil {
			t.Fatal(err)
		}
		byEvent, err := l.Inclusion(t.Context(), audit.Leaf{Event: leaves[i].Event})
		if diff := cmp.Diff(p, byEvent) + cmp.Diff(p, byHash); err != nil || diff != "" {
			t.Errorf("event %d, by event or by hash alone: %v %s", i, err, diff)
		}
	}
	for i, old := range checkpoints {
		for _, newer := range checkpoints[i:] {
			p, err := l.Consistency(t.Context(), old.Size, newer.Size)
			if err != nil {
				t.Fatal(err)
			}
			if c, err := p.Check(old, v); err != nil || c != newer {
				t.Errorf("%d to %d: got %+v, %v", old.Size, newer.Size, c, err)
			}
		}
	}
	newest, err := l.Consistency(t.Context(), 300, 0) // of a size that has no checkpoint
	if root, _ := tlog.TreeHash(300, &all); err != nil {
		t.Error(err)
	} else if _, err := newest.Check(proof.Checkpoint{Origin: logName, Size: 300, Root: root}, v); err != nil {
		t.Error(err)
	}
}

// memory is a tlog.HashReader of all hashes of a tree, computed by tlog itself.
type memory struct {
	hashes []tlog.Hash
	leaves int
}

func (m *memory) grow(t *testing.T, leaves []audit.Leaf) {
	for ; m.leaves < len(leaves); m.leaves++ {
		hs, err := tlog.StoredHashesForRecordHash(int64(m.leaves), leaves[m.leaves].Hash, m)
		if err != nil {
			t.Fatal(err)
		}
		m.hashes = append(m.hashes, hs...)
	}
}

func (m *memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, m.hashes[i])
	}
	return out, nil
}

func TestProofsThatThereAreNot(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	l := newLog(t, db)
	if _, err := l.Latest(t.Context()); !errors.Is(err, audit.ErrEmpty) {
		t.Errorf("Latest of an empty log: %v", err)
	}
	if _, err := l.Consistency(t.Context(), 1, 0); !errors.Is(err, audit.ErrEmpty) {
		t.Errorf("Consistency of an empty log: %v", err)
	}
	first := add(t, db, "ca", registrar, events(3)...)
	sequence(t, l, 3)
	sequence(t, l, 0)
	add(t, db, "ca", registrar, events(3)...)
	sequence(t, l, 3)
	fresh := add(t, db, "ca", registrar, events(1)...)[0]
	for _, c := range []struct {
		what string
		leaf audit.Leaf
		want error
	}{
		{"not indexed", fresh, audit.ErrNotIndexed},
		{"not indexed, by hash", audit.Leaf{Hash: fresh.Hash}, audit.ErrNotIndexed},
		{"unknown event", audit.Leaf{Event: 12345}, audit.ErrUnknown},
		{"unknown hash", audit.Leaf{Hash: [32]byte{1}}, audit.ErrUnknown},
		{"event and hash of two", audit.Leaf{Event: first[0].Event, Hash: first[1].Hash}, audit.ErrUnknown},
	} {
		if _, err := l.Inclusion(t.Context(), c.leaf); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
	for _, c := range [][2]int64{{0, 0}, {-1, 0}, {7, 0}, {4, 3}, {1, 5}, {1, 8}} {
		if _, err := l.Consistency(t.Context(), c[0], c[1]); !errors.Is(err, audit.ErrUnknown) {
			t.Errorf("Consistency of %v: %v", c, err)
		}
	}
}

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
	for round := 0; round < 200 && (done < 10 || cut < 10); round++ {
		total += int64(len(add(t, db, "ca", registrar, events(300)...)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(20000))*time.Microsecond)
		if _, err := l.Sequence(ctx); err == nil {
			done++
		} else {
			cut++
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

// Another key takes over; the old one is known for what it signed.
func TestNewKey(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	old := newLog(t, db)
	add(t, db, "ca", registrar, events(3)...)
	sequence(t, old, 3)
	add(t, db, "ca", registrar, events(3)...)
	c := audit.Config{DB: db, Name: logName, Signer: newKey(2)}
	stranger, err := audit.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Sequence(t.Context()); !errors.Is(err, audit.ErrTampered) {
		t.Errorf("unknown key: got %v", err)
	}
	c.Known = []string{old.VerifierKey()}
	l, err := audit.New(c)
	if err != nil {
		t.Fatal(err)
	}
	sequence(t, l, 3)
	v, err := proof.Verifiers(old.VerifierKey(), l.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	clean(t, db, audit.VerifyConfig{Verifiers: v}, 6)
	reader, err := audit.New(audit.Config{DB: db, Name: logName, Known: []string{l.VerifierKey()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Sequence(t.Context()); err == nil {
		t.Error("a process without a key sequences")
	}
	if _, err := reader.Consistency(t.Context(), 3, 0); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []audit.Config{
		{}, {Name: logName}, {Name: "two words", Signer: newKey(1)}, {Name: "a+b", Signer: newKey(1)},
		{Name: logName, Known: []string{"nonsense"}}, {Name: logName, Signer: rsaKey(t)},
	} {
		if _, err := audit.New(c); err == nil {
			t.Errorf("accepted: %+v", c)
		}
	}
}

func TestRecordAndEvents(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	l, err := audit.New(audit.Config{DB: db, Name: logName, Signer: newKey(1), Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := l.Record(t.Context(), registrar, events(9)...)
	if err != nil {
		t.Fatal(err)
	}
	sequence(t, l, 9)
	nobody := audit.Actor{Method: audit.MethodNone}
	late, err := l.Record(t.Context(), nobody, audit.Event{Kind: "test.kind-1", Subject: "thing:4", Person: bob})
	if err != nil {
		t.Fatal(err)
	}
	leaves = append(leaves, late...)
	ask := func(q audit.Query) string {
		t.Helper()
		es, err := l.Events(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range es {
			i := slices.IndexFunc(leaves, func(l audit.Leaf) bool { return l.Event == e.ID })
			if e.Index != int64(i) && !(i == 9 && e.Index == -1) {
				t.Errorf("event %d has index %d", i, e.Index)
			}
			if proof.LeafHash(e.Body) != tlog.Hash(leaves[i].Hash) {
				t.Errorf("event %d has another body", i)
			}
			out = append(out, fmt.Sprint(i))
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		what string
		q    audit.Query
		want string
	}{
		{"all", audit.Query{}, "0 1 2 3 4 5 6 7 8 9"},
		{"first page", audit.Query{Limit: 3}, "0 1 2"},
		{"second page", audit.Query{Limit: 3, After: leaves[2].Event}, "3 4 5"},
		{"newest", audit.Query{Limit: 2, Before: math.MaxInt64}, "9 8"},
		{"before", audit.Query{Limit: 2, Before: leaves[8].Event}, "7 6"},
		{"subject", audit.Query{Subject: "thing:4"}, "4 9"},
		{"person", audit.Query{Person: bob}, "1 4 7 9"},
		{"kind", audit.Query{Kind: "test.kind-2"}, "2 5 8"},
		{"kind and person", audit.Query{Kind: "test.kind-1", Person: bob, Before: math.MaxInt64}, "9 7 4 1"},
		{"nothing", audit.Query{Kind: "x' or true"}, ""},
		{"too many", audit.Query{Limit: 1 << 30}, "0 1 2 3 4 5 6 7 8 9"},
	} {
		if got := ask(c.q); got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
	es, err := l.Events(t.Context(), audit.Query{After: leaves[3].Event, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	e := es[0]
	e.Body = nil
	want := audit.Entry{ID: leaves[4].Event, Index: 4, At: at, Kind: "test.kind-1", Subject: "thing:4", Person: bob, By: registrar, Data: []byte(`{"i":4}`)}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	es, err = l.Events(t.Context(), audit.Query{After: leaves[8].Event})
	if err != nil || cmp.Diff(nobody, es[0].By) != "" || es[0].Data != nil {
		t.Errorf("%+v, %v", es, err)
	}
	s, err := l.Status(t.Context())
	if err != nil || s.Pending != 1 || !s.Oldest.Equal(at) || s.Size != 9 {
		t.Errorf("status %+v, %v", s, err)
	}
}
