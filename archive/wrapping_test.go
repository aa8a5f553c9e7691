package archive_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
)

// Records of several wrapping keys are counted, and a key that is needed and not configured is named.
func TestWrappingInUse(t *testing.T) {
	b := setup(t)
	none, err := archive.WrappingInUse(t.Context(), b.db)
	if err != nil || len(none) != 0 {
		t.Fatalf("an empty archive needs %v, %v", none, err)
	}
	if err := b.CheckWrapping(t.Context()); err != nil {
		t.Errorf("an empty archive: %v", err)
	}
	begin := time.Now().Add(-time.Minute)
	b.deposits(t, 2)
	fresh := newWrappingKey(t)
	rotated := b.with(t, fresh, b.wrapping)
	if _, err := rotated.Deposit(t.Context(), by, newDeposit(t)); err != nil {
		t.Fatal(err)
	}
	used, err := archive.WrappingInUse(t.Context(), b.db)
	if err != nil || len(used) != 2 || used[0].Key != b.wrapping.ID() || used[0].Records != 2 || used[1].Key != fresh.ID() || used[1].Records != 1 ||
		used[0].First.Before(begin) || used[0].Last.Before(used[0].First) {
		t.Errorf("in use: %+v, %v", used, err)
	}
	if err := rotated.CheckWrapping(t.Context()); err != nil {
		t.Errorf("both keys are there: %v", err)
	}
	for _, c := range []struct{ has, lacks *record.WrappingKey }{{fresh, b.wrapping}, {b.wrapping, fresh}} {
		err := b.with(t, c.has).CheckWrapping(t.Context())
		if !errors.Is(err, archive.ErrWrappingMissing) || !strings.Contains(err.Error(), c.lacks.ID().String()) || strings.Contains(err.Error(), c.has.ID().String()) {
			t.Errorf("without %s: %v", c.lacks.ID(), err)
		}
	}
	if err := b.with(t, newWrappingKey(t)).CheckWrapping(t.Context()); err == nil || !strings.Contains(err.Error(), " and ") {
		t.Errorf("without both: %v", err)
	}
	// Whoever writes to the database cannot make the server fall over.
	id := fresh.ID()
	b.database.Exec(t, `update archive.record set wrapping_id = 'x' where wrapping_id = $1`, id[:])
	if err := rotated.CheckWrapping(t.Context()); err == nil || !strings.Contains(err.Error(), "has 1 bytes") {
		t.Errorf("a wrapping id of one byte: %v", err)
	}
}

func TestWrappingKeyTwiceIsRefused(t *testing.T) {
	b := setup(t)
	config := b.config
	config.Wrapping = []*record.WrappingKey{b.wrapping, newWrappingKey(t), b.wrapping}
	if _, err := archive.New(config); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("one key twice: %v", err)
	}
}

func TestWhatHappensToWrappingKeysIsWrittenDown(t *testing.T) {
	b := setup(t)
	for _, what := range []archive.WrappingEvent{archive.WrappingMade, archive.WrappingRestored} {
		if err := archive.RecordWrapping(t.Context(), b.db, by, time.Now(), what, b.wrapping.ID()); err != nil {
			t.Fatal(err)
		}
		if n := b.database.Count(t, `select count(*) from audit.event where kind = $1`, string(what)); n != 1 {
			t.Errorf("%d events %s", n, what)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := archive.RecordWrapping(ended, b.db, by, time.Now(), archive.WrappingMade, b.wrapping.ID()); err == nil {
		t.Error("nothing was written down, and no error")
	}
}

func (b *bundle) deposits(t *testing.T, n int) {
	t.Helper()
	for range n {
		if _, err := b.Deposit(t.Context(), by, newDeposit(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// with is the archive with other wrapping keys.
func (b *bundle) with(t *testing.T, keys ...*record.WrappingKey) *archive.Archive {
	t.Helper()
	config := b.config
	config.Wrapping = keys
	a, err := archive.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newWrappingKey(t *testing.T) *record.WrappingKey {
	t.Helper()
	k, err := record.GenerateWrappingKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}
