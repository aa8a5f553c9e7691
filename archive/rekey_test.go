package archive_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/internal/rostertest"
)

// rekeyed moves a capsule as two agents at a ceremony machine do.
func rekeyed(t testing.TB, from, to rostertest.Roster, c *record.Capsule) *record.Capsule {
	t.Helper()
	var ids []uint16
	var ds []threshold.Point
	for _, id := range []uint16{1, 2} {
		s, err := from.OpenShare(id, from.Agents[id-1].Key)
		if err != nil {
			t.Fatal(err)
		}
		d, err := threshold.Decrypt(s, []threshold.Point{c.R})
		if err != nil {
			t.Fatal(err)
		}
		ids, ds = append(ids, id), append(ds, d[0])
	}
	q, err := threshold.NewQuorum(2, ids)
	if err != nil {
		t.Fatal(err)
	}
	z, err := q.Combine(ds)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Rekey(z, from.Key(), to.Key())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func all(list []*record.Capsule) iter.Seq2[*record.Capsule, error] {
	return func(yield func(*record.Capsule, error) bool) {
		for _, c := range list {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// After a rekeying the new agents open every record, and the old ones none.
func TestRekey(t *testing.T) {
	b := setup(t)
	deposits := []archive.Deposit{newDeposit(t), newDeposit(t), newDeposit(t)}
	for _, d := range deposits {
		if _, err := b.Deposit(t.Context(), by, d); err != nil {
			t.Fatal(err)
		}
	}
	next := rostertest.New(t, 2, 3)
	c := b.config
	c.Pins = []record.Hash{next.Hash(), b.roster.Hash()}
	after, err := archive.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.AddRoster(t.Context(), by, next.Bytes()); err != nil {
		t.Fatal(err)
	}
	var old, moved []*record.Capsule
	for k, err := range after.CapsulesUnder(t.Context(), b.roster.KeyID()) {
		if err != nil {
			t.Fatal(err)
		}
		old, moved = append(old, k), append(moved, rekeyed(t, b.roster, next, k))
	}
	if len(old) != len(deposits) {
		t.Fatalf("%d capsules of %d", len(old), len(deposits))
	}
	for name, tt := range map[string]struct {
		capsules []*record.Capsule
		want     error
	}{
		"under the old key":    {old, archive.ErrAdopt},
		"of an unknown record": {[]*record.Capsule{stranger(t, next)}, archive.ErrAdopt},
	} {
		if n, err := after.Adopt(t.Context(), by, all(tt.capsules), nil); n != 0 || !errors.Is(err, tt.want) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	// A capsule of the same key, made by somebody who sealed another one into it.
	forged := newDeposit(t)
	wrapping := newWrappingKey(t)
	r, err := record.Seal(next.Key(), wrapping.Public(), old[0].Header, forged.Key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.Adopt(t.Context(), by, all([]*record.Capsule{r.Capsule}), nil); !errors.Is(err, record.ErrRecord) {
		t.Errorf("another key under the same header: %v", err)
	}
	for range 2 { // again, it changes nothing
		n, err := after.Adopt(t.Context(), by, all(moved), nil)
		if n != len(deposits) || err != nil {
			t.Fatalf("%d moved, %v", n, err)
		}
	}
	for _, d := range deposits {
		inner, err := b.sealed(t, d.Request).UnwrapOuter(b.wrapping)
		if err != nil {
			t.Fatal(err)
		}
		if key, err := next.Open(t, inner, 2, 3); err != nil || !bytes.Equal(key, d.Key) {
			t.Errorf("the new agents: %v", err)
		}
		if _, err := b.roster.Open(t, inner, 1, 2); err == nil {
			t.Error("the old agents still open")
		}
	}
	use, err := after.KeysInUse(t.Context())
	if err != nil || len(use) != 1 || use[0].Key != next.KeyID() || use[0].Records != 3 {
		t.Errorf("%+v, %v", use, err)
	}
	if n := b.database.Count(t, `select count(*) from audit.event where kind = 'archive.rekeyed'`); n != 1 {
		t.Errorf("%d events", n)
	}
}

// stranger is a capsule of a key that the archive never had.
func stranger(t *testing.T, r rostertest.Roster) *record.Capsule {
	t.Helper()
	d := newDeposit(t)
	rec, err := record.Seal(r.Key(), newWrappingKey(t).Public(), record.Header{Purpose: record.PurposeKey, SPKI: sha256.Sum256(d.PublicKey), Algorithm: "ec-p256",
		Person: d.Person, Name: d.Name, Time: time.Now().UTC().Truncate(time.Second)}, d.Key)
	if err != nil {
		t.Fatal(err)
	}
	return rec.Capsule
}

func TestDrillIsRemembered(t *testing.T) {
	b := setup(t)
	if at, err := b.LastDrill(t.Context()); err != nil || !at.IsZero() {
		t.Errorf("before any drill: %v, %v", at, err)
	}
	first := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	for i, at := range slices.Repeat([]time.Time{first, first.Add(-time.Hour)}, 2) {
		if err := b.RecordDrill(t.Context(), by, b.roster.Hash(), record.Hash{byte(i%2 + 1)}, at); err != nil {
			t.Fatal(err)
		}
	}
	if at, err := b.LastDrill(t.Context()); err != nil || !at.Equal(first) {
		t.Errorf("the last drill was at %v, %v", at, err)
	}
	if err := b.RecordDrill(t.Context(), by, b.roster.Hash(), record.Hash{7}, time.Now().Add(time.Hour)); !errors.Is(err, archive.ErrDrill) {
		t.Errorf("from the future: %v", err)
	}
	if err := b.RecordDrill(t.Context(), by, record.Hash{3}, record.Hash{7}, first); !errors.Is(err, archive.ErrRosterPin) {
		t.Errorf("another roster's: %v", err)
	}
	if n := b.database.Count(t, `select count(*) from audit.event where kind = 'archive.drill-passed'`); n != 2 {
		t.Errorf("%d events", n)
	}
}
