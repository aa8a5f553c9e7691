package audit

import (
	"context"
	"math/bits"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight is the height of the tiles in which tlog reads the tree: the hashes of 256 subtrees that stand beside each
// other. audit.leaf is the tiles' level 0, audit.node the levels above, where only complete subtrees have a row: nothing
// stored is ever changed, and there is one more row for every 255 events.
const tileHeight = 8

// node is one row of audit.node: the root of a complete subtree of 256^level leaves.
type node struct {
	level int
	n     int64
	hash  tlog.Hash
}

// edge is a tree that grows at the right: its size, and the roots of the complete subtrees that it consists of, largest
// first (one for each bit of size). It is all that is needed to add leaves and to know the root.
type edge struct {
	size  int64
	roots []tlog.Hash
}

// add appends a leaf and passes every node that it completes to emit.
func (e *edge) add(h tlog.Hash, emit func(node)) {
	for level := 0; ; level++ {
		if level > 0 && level%tileHeight == 0 {
			emit(node{level: level / tileHeight, n: e.size >> level, hash: h})
		}
		if e.size>>level&1 == 0 {
			break
		}
		last := len(e.roots) - 1
		h = tlog.NodeHash(e.roots[last], h)
		e.roots = e.roots[:last]
	}
	e.roots = append(e.roots, h)
	e.size++
}

// root returns the tree's root. The tree must not be empty.
func (e *edge) root() tlog.Hash {
	h := e.roots[len(e.roots)-1]
	for i := len(e.roots) - 2; i >= 0; i-- {
		h = tlog.NodeHash(e.roots[i], h)
	}
	return h
}

func (e *edge) tree() tlog.Tree { return tlog.Tree{N: e.size, Hash: e.root()} }

func (e *edge) clone() edge { return edge{size: e.size, roots: append([]tlog.Hash(nil), e.roots...)} }

// readEdge reads the edge of a tree. The reader says whether what is stored agrees with the tree's root.
func readEdge(size int64, r tlog.HashReader) (edge, error) {
	var indexes []int64
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, size>>level-1))
		}
	}
	roots, err := r.ReadHashes(indexes)
	return edge{size: size, roots: roots}, err
}

// readTree returns a reader of the hashes of a tree whose root is known. Every hash it returns is proven to belong to
// that tree; if what is stored does not agree with the root it returns ErrTampered.
func readTree(ctx context.Context, tx pgx.Tx, tree tlog.Tree) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		if len(indexes) == 0 {
			return nil, nil
		}
		t := &tiles{read: func(list []tlog.Tile) ([][]byte, error) { return selectTiles(ctx, tx, list) }}
		hashes, err := tlog.TileHashReader(tree, t).ReadHashes(indexes)
		if t.failed != nil {
			return nil, t.failed
		}
		if err != nil {
			return nil, ErrTampered.Because(err)
		}
		return hashes, nil
	})
}

// tiles is a tlog.TileReader. It remembers whether reading failed, which says nothing about what is stored.
type tiles struct {
	read   func([]tlog.Tile) ([][]byte, error)
	failed error
}

func (t *tiles) Height() int { return tileHeight }

func (t *tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	data, err := t.read(list)
	t.failed = err
	return data, err
}

// SaveTiles has nothing to do: there is no cache.
func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}
