package audit_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
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
		{"actor", audit.Query{Actor: registrar.Person, Limit: 4}, "0 1 2 3"},
		{"another actor", audit.Query{Actor: alice}, ""},
		{"since", audit.Query{Since: at}, "0 1 2 3 4 5 6 7 8 9"},
		{"since later", audit.Query{Since: at.Add(time.Microsecond)}, ""},
		{"since much later", audit.Query{Since: at.AddDate(1, 0, 0), Before: math.MaxInt64}, ""},
		{"until", audit.Query{Until: at}, ""},
		{"until later", audit.Query{Until: at.Add(time.Microsecond), Before: math.MaxInt64, Limit: 2}, "9 8"},
		{"until much later, of a kind", audit.Query{Until: at.AddDate(1, 0, 0), Since: at.AddDate(-1, 0, 0), Kind: "test.kind-2"}, "2 5 8"},
		{"hidden", audit.Query{Hidden: []audit.Hidden{{"", `"thing:4"`}, {"test.kind-0", bob.String()}, {"test.kind-1", bob.String()}}}, "2 5 8"},
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
	one, err := l.Event(t.Context(), 4)
	if err != nil || one.ID != leaves[4].Event || one.Index != 4 {
		t.Errorf("event 4: %+v, %v", one, err)
	}
	for _, index := range []int64{-1, 9, math.MaxInt64} {
		if _, err := l.Event(t.Context(), index); !errors.Is(err, audit.ErrUnknown) {
			t.Errorf("event %d: %v", index, err)
		}
	}
	if _, err := l.Event(t.Context(), 4, audit.Hidden{Text: bob.String()}); !errors.Is(err, audit.ErrUnknown) {
		t.Errorf("a hidden event: %v", err)
	}
	kinds, err := l.Kinds(t.Context())
	if err != nil || !slices.Equal(kinds, []string{"test.kind-0", "test.kind-1", "test.kind-2"}) {
		t.Errorf("%v, %v", kinds, err)
	}
	s, err := l.Status(t.Context())
	if err != nil || s.Pending != 1 || !s.Oldest.Equal(at) || s.Size != 9 {
		t.Errorf("status %+v, %v", s, err)
	}
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
