package audit_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

// clean checks that the log is whole and has n events (-1: any number).
func clean(t testing.TB, db *pg.DB, c audit.VerifyConfig, n int64) audit.Report {
	t.Helper()
	c.Now = func() time.Time { return noon }
	r, err := audit.Verify(t.Context(), db, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Finding != nil {
		t.Errorf("finding in a log that is whole: %v", r.Finding)
	}
	if n >= 0 && r.Events != n {
		t.Errorf("verified %d events, want %d", r.Events, n)
	}
	return r
}

// batches are the sizes of the batches in which the logs of these tests are sequenced: 600 events in all, that is two
// whole tiles and the beginning of a third.
var batches = []int{10, 20, 300, 1, 269}

// keptLog is a log of 600 indexed events and two that wait, and its checkpoints as an outsider has them.
type keptLog struct {
	database pgtest.Database
	db       *pg.DB
	outside  [][]byte
}

func kept(t *testing.T) keptLog {
	t.Helper()
	d := pgtest.NewDatabase(t)
	k := keptLog{database: d, db: pgtest.Open(t, d)}
	l := newLog(t, k.db)
	for _, n := range batches {
		add(t, k.db, "ca", registrar, events(n)...)
		sequence(t, l, n)
		msg, err := l.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		k.outside = append(k.outside, msg)
	}
	add(t, k.db, "ca", registrar, events(2)...)
	return k
}

// copies returns n copies of the log, to be tampered with.
func (k keptLog) copies(t *testing.T, n int) []keptLog {
	t.Helper()
	k.db.Close() // PostgreSQL copies only what nobody uses
	cluster := pgtest.Database{Cluster: k.database.Cluster, Name: "postgres"}
	var out []keptLog
	for i := range n {
		c := pgtest.Database{Cluster: k.database.Cluster, Name: fmt.Sprintf("%s_copy_%d", k.database.Name, i)}
		cluster.Exec(t, "create database "+c.Name+" template "+k.database.Name+" strategy file_copy")
		out = append(out, keptLog{database: c, outside: k.outside})
	}
	return out
}

func TestVerifyAWholeLog(t *testing.T) {
	t.Parallel()
	k := kept(t)
	var last int64
	r := clean(t, k.db, audit.VerifyConfig{Verifiers: known(t), Outside: append(k.outside, k.outside...),
		Progress: func(n, of int64) {
			if of != 600 || n < last {
				t.Errorf("progress %d of %d", n, of)
			}
			last = n
		}}, 600)
	if r.Checkpoints != 5 || r.Outside != 10 || r.Waiting != 2 || last != 600 {
		t.Errorf("report %+v, progress %d", r, last)
	}
	empty := pgtest.New(t)
	clean(t, empty, audit.VerifyConfig{Verifiers: known(t)}, 0)
}

// Whatever an intruder does to the tables, the first row concerned is named. Event ids are index+1 here: nothing was
// rolled back. Those who recompute hashes are in the tests below.
func TestVerifyNamesTheFirstFault(t *testing.T) {
	t.Parallel()
	const zeros = `decode(repeat('00', 32), 'hex')`
	cases := []struct {
		what  string
		sql   string
		want  audit.What
		index int64
		last  int64
		event int64
		text  string
	}{
		{"body altered", `update audit.event set body = replace(body, 'thing:', 'thing:9') where id = 406`, audit.Altered, 405, 405, 406, "body"},
		{"two bodies altered", `update audit.event set body = body || ' ' where id in (500, 27)`, audit.Altered, 26, 26, 27, "body"},
		{"body emptied", `update audit.event set body = '{}' where id = 1`, audit.Altered, 0, 0, 1, "body"},
		{"kind altered", `update audit.event set kind = 'test.kind-9' where id = 300`, audit.Altered, 299, 299, 300, "column kind"},
		{"subject altered", `update audit.event set subject = '' where id = 300`, audit.Altered, 299, 299, 300, "column subject"},
		{"person altered", `update audit.event set person = gen_random_uuid() where id = 300`, audit.Altered, 299, 299, 300, "column person"},
		{"actor altered", `update audit.event set actor = person where id = 300`, audit.Altered, 299, 299, 300, "column actor"},
		{"time altered", `update audit.event set at = at + interval '1 microsecond' where id = 300`, audit.Altered, 299, 299, 300, "column at"},
		{"recorded hash altered", `update audit.leaf set hash = ` + zeros + ` where idx = 8`, audit.Altered, 8, 8, 9, "body"},
		{"event deleted", `delete from audit.event where id = 200`, audit.Missing, 199, 199, 200, "event 200"},
		{"index deleted", `delete from audit.leaf where idx = 199`, audit.Missing, 199, 199, 0, "index 199"},
		{"some indexes deleted", `delete from audit.leaf where idx between 100 and 119`, audit.Missing, 100, 119, 0, "index 100"},
		{"event and index deleted", `delete from audit.event where id = 200; delete from audit.leaf where idx = 199`, audit.Missing, 199, 199, 0, "index 199"},
		{"first event and index deleted", `delete from audit.event where id = 1; delete from audit.leaf where idx = 0`, audit.Missing, 0, 0, 0, "index 0"},
		{"bodies swapped", `update audit.event a set body = b.body, kind = b.kind, subject = b.subject, person = b.person
			from audit.event b where a.id + b.id = 41 and a.id in (20, 21)`, audit.Moved, 19, 19, 20, "event 21 (index 20)"},
		{"indexes swapped", `alter table audit.leaf drop constraint leaf_event; update audit.leaf a set event = b.event, hash = b.hash
			from audit.leaf b where a.idx + b.idx = 900 and a.idx in (440, 460)`, audit.Moved, 441, 441, 442, "after event 461"},
		{"event moved to another batch", `alter table audit.leaf drop constraint leaf_event; update audit.leaf a set event = b.event, hash = b.hash
			from audit.leaf b where a.idx + b.idx = 35 and a.idx in (5, 30)`, audit.Moved, 6, 6, 7, "after event 31"},
		{"event added", `insert into audit.event select 9999, body, at, kind, subject, person, actor from audit.event where id = 7`,
			audit.Inserted, -1, -1, 9999, "no index"},
		{"event added before the first", `alter table audit.event drop constraint event_id_check;
			insert into audit.event select -7, body, at, kind, subject, person, actor from audit.event where id = 7`, audit.Inserted, -1, -1, -7, "no index"},
		{"event twice in the log", `alter table audit.leaf drop constraint leaf_event; insert into audit.leaf select 600, event, hash from audit.leaf where idx = 7`,
			audit.Inserted, 600, 600, 8, "no checkpoint covers index 600"},
		{"index before the first", `alter table audit.leaf drop constraint leaf_idx_check; insert into audit.leaf values (-1, 9999, ` + zeros + `)`,
			audit.Inserted, -1, -1, 0, "1 index, 0 tree"},
		{"tree row altered", `update audit.node set hash = ` + zeros + ` where n = 1`, audit.BadTree, 256, 511, 0, "level 1"},
		{"tree row cut", `alter table audit.node drop constraint node_hash_check; update audit.node set hash = 'x' where n = 0`, audit.BadTree, 0, 255, 0, "level 1"},
		{"tree row deleted", `delete from audit.node where n = 0`, audit.BadTree, 0, 255, 0, "level 1"},
		{"tree row added", `insert into audit.node values (2, 0, ` + zeros + `)`, audit.Inserted, -1, -1, 0, "1 tree"},
		{"checkpoint altered", `update audit.checkpoint set note = replace(note, E'\n330\n', E'\n331\n') where size = 330`, audit.BadNote, 329, 329, 0, "not signed"},
		{"checkpoint broken", `update audit.checkpoint set note = 'x' where size = 330`, audit.BadNote, 329, 329, 0, "size 330"},
		{"checkpoint copied", `insert into audit.checkpoint select 331 - 1 - 200, note, signed_at from audit.checkpoint where size = 330`, audit.BadNote, 129, 129, 0, "size 130"},
		{"checkpoint deleted", `delete from audit.checkpoint where size = 330`, audit.BadNote, 329, 329, 0, "kept outside"},
		{"last checkpoint deleted", `delete from audit.checkpoint where size = 600`, audit.BadNote, 599, 599, 0, "kept outside"},
		{"end cut off", `delete from audit.event where id > 590; delete from audit.leaf where idx >= 590; delete from audit.pending`,
			audit.Truncated, 590, 599, 0, "proves that it had 600"},
		{"end cut off at a checkpoint", `delete from audit.event where id > 331; delete from audit.leaf where idx >= 331; delete from audit.node where n = 1;
			delete from audit.checkpoint where size > 331; delete from audit.pending`, audit.Truncated, 331, 599, 0, "ends with 331"},
		{"everything deleted", `truncate audit.event, audit.leaf, audit.node, audit.checkpoint, audit.pending`, audit.Truncated, 0, 599, 0, "ends with 0"},
		{"waiting event altered", `update audit.event set body = replace(body, 'thing', 'thong') where id = 602`, audit.Altered, -1, -1, 602, "without index"},
		{"waiting event's kind altered", `update audit.event set kind = 'x' where id = 602`, audit.Altered, -1, -1, 602, "column kind"},
		{"waiting event deleted", `delete from audit.event where id = 602`, audit.Missing, -1, -1, 602, "event 602"},
		{"waiting event forgotten", `delete from audit.pending where event = 602`, audit.Inserted, -1, -1, 602, "waits for none"},
		{"waits again", `insert into audit.pending select event, hash from audit.leaf where idx = 3`, audit.Inserted, -1, -1, 4, "pending"},
	}
	logs := kept(t).copies(t, len(cases))
	for i, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			k := logs[i]
			script(t, k.database, c.sql)
			db := pgtest.Open(t, k.database)
			r, err := audit.Verify(t.Context(), db, audit.VerifyConfig{Verifiers: known(t), Outside: k.outside, Now: func() time.Time { return noon }})
			if err != nil {
				t.Fatal(err)
			}
			f := r.Finding
			if f == nil {
				t.Fatal("nothing was found")
			}
			if f.What != c.want || f.Index != c.index || f.Last != c.last || f.Event != c.event || !strings.Contains(f.Text, c.text) {
				t.Errorf("got %+v", *f)
			}
			if f.Event != 0 && f.Event <= 602 && f.What != audit.Missing && f.Kind == "" {
				t.Error("the kind is not named")
			}
		})
	}
}

func TestVerifyWaitingTooLong(t *testing.T) {
	t.Parallel()
	r, err := audit.Verify(t.Context(), kept(t).db, audit.VerifyConfig{Verifiers: known(t), Now: func() time.Time { return noon.Add(61 * time.Second) }})
	if err != nil || r.Finding == nil || r.Finding.What != audit.Stuck || r.Finding.Event != 601 {
		t.Errorf("%+v, %v", r.Finding, err)
	}
}

// An intruder who puts an event into the middle and recomputes every hash is caught by the signed checkpoints; one who
// also takes those away, or has the log's key and signs new ones, by those kept outside.
func TestVerifyARewrittenLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what    string
		resign  byte // with which key, 0: not at all
		outside bool
		want    audit.What
		index   int64
		last    int64
		text    string
	}{
		{"stored checkpoints left", 0, false, audit.Moved, 300, 300, "after event 9999"},
		{"stored checkpoints signed with another key", 2, false, audit.BadNote, 9, 9, "not signed"},
		{"signed with the log's key", 1, true, audit.Rewritten, 30, 329, "kept outside"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			k := kept(t)
			rewrite(t, k.database, c.resign)
			config := audit.VerifyConfig{Verifiers: known(t), Now: func() time.Time { return noon }}
			if c.outside {
				// Without the outside view nothing is wrong: that is what it is for.
				if r, err := audit.Verify(t.Context(), k.db, config); err != nil || r.Finding != nil {
					t.Fatalf("without outside checkpoints: %v, %v", r.Finding, err)
				}
				config.Outside = k.outside
			}
			r, err := audit.Verify(t.Context(), k.db, config)
			if err != nil || r.Finding == nil {
				t.Fatalf("%v, %v", r.Finding, err)
			}
			if f := r.Finding; f.What != c.want || f.Index != c.index || f.Last != c.last || !strings.Contains(f.Text, c.text) {
				t.Errorf("got %+v", *f)
			}
		})
	}
}

// rewrite puts event 9999 at index 299 and recomputes all that follows; with a key it signs all checkpoints again, with
// the same sizes, and covers the last index too.
func rewrite(t *testing.T, d pgtest.Database, key byte) {
	t.Helper()
	body := `{"v":1,"at":"2026-03-04T11:00:00.000000Z","kind":"forged","actor":{"method":"system","strength":"none"}}`
	hash := tlog.RecordHash([]byte(body))
	d.Exec(t, `insert into audit.event values (9999, $1, '2026-03-04T11:00:00Z', 'forged', '', $2, $2)`, body, [16]byte{})
	script(t, d, `create table moved as select case when idx < 299 then idx else idx + 1 end as idx, event, hash from audit.leaf; delete from audit.leaf`)
	d.Exec(t, `insert into audit.leaf select idx, event, hash from moved`)
	d.Exec(t, `insert into audit.leaf values (299, 9999, $1)`, hash[:])
	conn, err := pgx.Connect(t.Context(), d.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, err := conn.Query(t.Context(), `select hash from audit.leaf order by idx`)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	var all memory
	var leaves []audit.Leaf
	for _, h := range hashes {
		leaves = append(leaves, audit.Leaf{Hash: [32]byte(h)})
	}
	all.grow(t, leaves)
	for n := range int64(2) {
		h := all.hashes[tlog.StoredHashIndex(8, n)]
		d.Exec(t, `update audit.node set hash = $1 where level = 1 and n = $2`, h[:], n)
	}
	if key == 0 {
		return
	}
	signer, err := proof.NewSigner(logName, newKey(key))
	if err != nil {
		t.Fatal(err)
	}
	d.Exec(t, `delete from audit.checkpoint`)
	for _, size := range []int64{10, 30, 330, 331, 600, 601} {
		root, err := tlog.TreeHash(size, &all)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := proof.Checkpoint{Origin: logName, Size: size, Root: root}.Sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		d.Exec(t, `insert into audit.checkpoint values ($1, $2, now())`, size, string(msg))
	}
}

// A checkpoint of the outside that nobody signed, or that another log did, is a finding too, before anything is read.
func TestVerifyDoubtfulOutside(t *testing.T) {
	t.Parallel()
	k := kept(t)
	other, err := proof.NewSigner("other.example.test", newKey(3))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := proof.Checkpoint{Origin: "other.example.test", Size: 10}.Sign(other)
	if err != nil {
		t.Fatal(err)
	}
	both, err := proof.Verifiers(other.VerifierKey(), newLog(t, k.db).VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]audit.VerifyConfig{
		"unknown key":           {Verifiers: known(t), Outside: [][]byte{k.outside[0], foreign}},
		"another log":           {Verifiers: both, Outside: [][]byte{k.outside[0], foreign}},
		"no checkpoint":         {Verifiers: known(t), Outside: [][]byte{k.outside[0], []byte("x")}},
		"no verifiers":          {Outside: k.outside},
		"no verifiers, nothing": {},
	} {
		r, err := audit.Verify(t.Context(), k.db, c)
		if err != nil || r.Finding == nil || r.Finding.What != audit.BadNote {
			t.Errorf("%s: %+v, %v", what, r.Finding, err)
		}
	}
}

// Verify finds nothing wrong while servers append and sequence.
func TestVerifyWhileServersWork(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	file := audit.FileSink{Path: t.TempDir() + "/checkpoints"}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		l := newLog(t, pgtest.Open(t, d), file)
		wg.Go(func() { l.Run(ctx) })
	}
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			role := appenders[i%len(appenders)]
			err := db.InTx(ctx, role, func(tx pgx.Tx) error {
				_, err := audit.Append(ctx, tx, noon, registrar, events(1+i%50)...)
				return err
			})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); {
		clean(t, db, audit.VerifyConfig{Verifiers: known(t), Outside: readFile(t, file.Path)}, -1)
	}
	cancel()
	wg.Wait()
	r := clean(t, db, audit.VerifyConfig{Verifiers: known(t), Outside: readFile(t, file.Path)}, -1)
	if r.Events < 1000 || r.Outside < 10 {
		t.Errorf("the test tests less than it should: %+v", r)
	}
}

func TestVerifyWithoutDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := audit.Verify(ctx, db, audit.VerifyConfig{Verifiers: known(t)}); err == nil || r.Finding != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

// script runs several statements as the cluster's owner.
func script(t *testing.T, d pgtest.Database, sql string) {
	t.Helper()
	for _, s := range strings.Split(sql, ";") {
		d.Exec(t, s)
	}
}
