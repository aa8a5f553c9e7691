package audit_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/audit/proof"
	"github.com/sealpost/sealpost/internal/pgtest"
)

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
