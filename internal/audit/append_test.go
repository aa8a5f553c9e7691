package audit_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/pg"
	"github.com/sealpost/sealpost/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var (
	noon  = time.Date(2026, 3, 4, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))
	alice = uuid.MustParse("a11ce000-0000-4000-8000-000000000001")
	bob   = uuid.MustParse("b0b00000-0000-4000-8000-000000000002")

	registrar = audit.Actor{Person: bob, Name: "Bob <bob@example.test>", Roles: []audit.Role{audit.Subscriber, audit.Registrar},
		Method: audit.MethodCertificate, Strength: audit.StrengthHardware}
)

func add(t testing.TB, db *pg.DB, role pg.Role, by audit.Actor, events ...audit.Event) []audit.Leaf {
	t.Helper()
	var leaves []audit.Leaf
	err := db.InTx(t.Context(), role, func(tx pgx.Tx) (err error) {
		leaves, err = audit.Append(t.Context(), tx, noon, by, events...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return leaves
}

func TestAppendStoresExactlyTheHashedBytes(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	db := pgtest.Open(t, d)
	leaves := add(t, db, "ca", registrar,
		audit.Event{Kind: "certificate.prepared", Subject: "certificate:issuing/0a1b", Person: alice,
			Data: map[string]any{"profile": "smime-signing", "note": "<&>\u2028\x00\\u0000", "b": 1, "a": []int{1, 2}}},
		audit.Event{Kind: "crl.built"})
	want := []string{
		`{"v":1,"nonce":"NONCE","at":"2026-03-04T11:00:00.123456Z","kind":"certificate.prepared","subject":"certificate:issuing/0a1b",` +
			`"person":"a11ce000-0000-4000-8000-000000000001","actor":{"person":"b0b00000-0000-4000-8000-000000000002",` +
			`"name":"Bob <bob@example.test>","roles":["subscriber","registrar"],"method":"certificate","strength":"hardware"},` +
			`"data":{"a":[1,2],"b":1,"note":"<&>\u2028\ufffd\\u0000","profile":"smime-signing"}}`,
		`{"v":1,"nonce":"NONCE","at":"2026-03-04T11:00:00.123456Z","kind":"crl.built","actor":{"person":"b0b00000-0000-4000-8000-000000000002",` +
			`"name":"Bob <bob@example.test>","roles":["subscriber","registrar"],"method":"certificate","strength":"hardware"}}`}
	for i, l := range leaves {
		want[i] = strings.Replace(want[i], "NONCE", nonce(t, d, l.Event), 1)
		if l.Hash != tlog.RecordHash([]byte(want[i])) {
			t.Errorf("event %d: its hash is not that of its body", i)
		}
		if n := d.Count(t, `select count(*) from audit.event e join audit.pending p on p.event = e.id
			where e.id = $1 and e.body = $2 and p.hash = $3 and e.body::jsonb->>'v' = '1'`,
			l.Event, want[i], l.Hash[:]); n != 1 {
			t.Errorf("event %d: its row is not as expected:\n%s", i, want[i])
		}
	}
	if n := d.Count(t, `select count(*) from audit.event where id = $1 and at = '2026-03-04T11:00:00.123456Z' and
		kind = 'certificate.prepared' and subject = 'certificate:issuing/0a1b' and person = $2 and actor = $3`,
		leaves[0].Event, alice, bob); n != 1 {
		t.Error("the query columns do not repeat the body")
	}
}

// nonce returns the nonce of an event, and checks that it is one.
func nonce(t *testing.T, d pgtest.Database, event int64) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var s string
	if err := conn.QueryRow(t.Context(), `select body::jsonb->>'nonce' from audit.event where id = $1`, event).Scan(&s); err != nil {
		t.Fatal(err)
	}
	if b, err := base64.RawStdEncoding.DecodeString(s); err != nil || len(b) != 16 {
		t.Errorf("nonce %q", s)
	}
	return s
}

// Two events that say the same have different hashes: a proof of one is no proof of the other, and no hash can be guessed.
func TestEqualEventsDiffer(t *testing.T) {
	t.Parallel()
	same := audit.Event{Kind: "a"}
	l := add(t, pgtest.New(t), "ca", registrar, same, same)
	if l[0].Hash == l[1].Hash {
		t.Error("two events have one hash")
	}
}

// What is too long, or does not say what happened, when and by whom, is refused before it reaches the database; the
// transaction can still be used for something else.
func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	good := audit.Event{Kind: "a.b"}
	many := make([]audit.Event, audit.MaxEvents+1)
	for _, c := range []struct {
		what   string
		at     time.Time
		by     audit.Actor
		events []audit.Event
	}{
		{"no time", time.Time{}, registrar, []audit.Event{good}},
		{"no actor", noon, audit.Actor{}, []audit.Event{good}},
		{"no kind", noon, registrar, []audit.Event{good, {}}},
		{"kind in capitals", noon, registrar, []audit.Event{{Kind: "Certificate"}}},
		{"kind of two lines", noon, registrar, []audit.Event{{Kind: "a\nb"}}},
		{"long kind", noon, registrar, []audit.Event{{Kind: strings.Repeat("a", audit.MaxKind+1)}}},
		{"long subject", noon, registrar, []audit.Event{{Kind: "a", Subject: strings.Repeat("a", audit.MaxSubject+1)}}},
		{"subject with NUL", noon, registrar, []audit.Event{{Kind: "a", Subject: "x\x00"}}},
		{"subject not UTF-8", noon, registrar, []audit.Event{{Kind: "a", Subject: "\xff"}}},
		{"too large", noon, registrar, []audit.Event{{Kind: "a", Data: strings.Repeat("x", audit.MaxBody)}}},
		{"data that is no JSON", noon, registrar, []audit.Event{{Kind: "a", Data: func() {}}}},
		{"raw data that is no JSON", noon, registrar, []audit.Event{{Kind: "a", Data: json.RawMessage(`{"a":1}}`)}}},
		{"too many", noon, registrar, many},
	} {
		err := db.InTx(t.Context(), "ca", func(tx pgx.Tx) error {
			_, err := audit.Append(t.Context(), tx, c.at, c.by, c.events...)
			if !errors.Is(err, audit.ErrEvent) {
				t.Errorf("%s: got %v, want ErrEvent", c.what, err)
			}
			_, err = audit.Append(t.Context(), tx, noon, registrar, good)
			return err
		})
		if err != nil {
			t.Errorf("%s: afterwards: %v", c.what, err)
		}
	}
	if l, err := audit.Append(t.Context(), nil, noon, registrar); l != nil || err != nil {
		t.Errorf("nothing to append: %v, %v", l, err)
	}
}

func TestRolledBackEventsAreGone(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	stop := errors.New("stop")
	err := pgtest.Open(t, d).InTx(t.Context(), "archive", func(tx pgx.Tx) error {
		_, err := audit.Append(t.Context(), tx, noon, audit.System("test"), audit.Event{Kind: "a"}, audit.Event{Kind: "b"})
		return errors.Join(err, stop)
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if n := d.Count(t, `select (select count(*) from audit.event) + (select count(*) from audit.pending)`); n != 0 {
		t.Errorf("%d rows left", n)
	}
}

// Each event gets its own id back, in the order given, however many there are.
func TestIdsBelongToTheirEvents(t *testing.T) {
	t.Parallel()
	d := pgtest.NewDatabase(t)
	var events []audit.Event
	for i := range 1000 {
		events = append(events, audit.Event{Kind: "a", Data: i})
	}
	leaves := add(t, pgtest.Open(t, d), "enroll", audit.System("test"), events...)
	var ids []int64
	for _, l := range leaves {
		ids = append(ids, l.Event)
	}
	if n := d.Count(t, `select count(*) from unnest($1::bigint[]) with ordinality as u (id, n)
		join audit.event using (id) where (body::json->>'data')::int = n - 1`, ids); n != 1000 {
		t.Errorf("%d of 1000 ids belong to their event", n)
	}
}

// appenders are the rooms' roles that may add events.
var appenders = []pg.Role{"audit", "ca", "archive", "directory", "enroll", "crl", "gal", "web"}

func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	add(t, db, "ca", registrar, audit.Event{Kind: "a"})
	tables := []string{"event", "pending", "leaf", "node", "checkpoint"}
	may := func(role pg.Role, sql string) bool {
		err := db.InTx(t.Context(), role, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), sql)
			return err
		})
		if err != nil && !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("as %s: %s: %v", role, sql, err)
		}
		return err == nil
	}
	for _, role := range append([]pg.Role{"jobs", "sequencer"}, appenders...) {
		for _, table := range tables {
			reads := role == "audit" || role == "sequencer" && table != "event"
			if got := may(role, `select * from audit.`+table); got != reads {
				t.Errorf("role %s reads %s: %v, want %v", role, table, got, reads)
			}
			if may(role, `update audit.`+table+` set `+map[string]string{"event": "body = body", "pending": "hash = hash",
				"leaf": "hash = hash", "node": "hash = hash", "checkpoint": "note = note"}[table]) {
				t.Errorf("role %s updates %s", role, table)
			}
			if got := may(role, `delete from audit.`+table+` where false`); got != (role == "sequencer" && table == "pending") {
				t.Errorf("role %s deletes from %s: %v", role, table, got)
			}
			if may(role, `truncate audit.`+table) {
				t.Errorf("role %s truncates %s", role, table)
			}
		}
		for _, sql := range []string{`select setval('audit.event_id', 1)`, `alter table audit.event disable trigger all`,
			`drop table audit.event`, `create table audit.x (a int)`} {
			err := db.InTx(t.Context(), role, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), sql)
				return err
			})
			if err == nil {
				t.Errorf("role %s may: %s", role, sql)
			}
		}
	}
	for _, role := range appenders {
		add(t, db, role, audit.System("test"), audit.Event{Kind: "a"})
	}
	for _, role := range []pg.Role{"jobs", "sequencer"} {
		err := db.InTx(t.Context(), role, func(tx pgx.Tx) error {
			_, err := audit.Append(t.Context(), tx, noon, registrar, audit.Event{Kind: "a"})
			return err
		})
		if err == nil {
			t.Errorf("role %s appends", role)
		}
	}
}

func TestActor(t *testing.T) {
	t.Parallel()
	if !registrar.Has(audit.Registrar) || registrar.Has(audit.RecoveryAgent) || audit.System("crl").Has(audit.Operator) {
		t.Error("Has is wrong")
	}
	if err := registrar.Require(audit.Registrar); err != nil {
		t.Error(err)
	}
	err := registrar.Require(audit.RecoveryAgent)
	if !errors.Is(err, audit.ErrRoleRequired) || !errors.Is(err, fault.Denied) || !strings.Contains(fault.Of(err).Detail, "recovery agent") {
		t.Errorf("Require: %v", err)
	}
	if diff := cmp.Diff(audit.Actor{Name: "crl", Method: audit.MethodSystem}, audit.System("crl")); diff != "" {
		t.Error(diff)
	}
}
