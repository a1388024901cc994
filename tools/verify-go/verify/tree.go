package verify

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	maxLevel   = 7 // sizes are below 2^63
)

// tree grows by whole tiles of leaves and keeps the hashes of the tiles at its right edge, a few kilobytes for any size.
type tree struct {
	edge [maxLevel + 1][]tlog.Hash // of each level: the hashes since its last full tile
	full [maxLevel + 1]int64       // of each level: how many tiles are full
	tile func(level int, n int64, hashes []tlog.Hash)
}

func (t *tree) size() int64 { return t.full[0]*tileWidth + int64(len(t.edge[0])) }

// add leaves, a full tile or the last. Complete tiles are told to t.tile.
func (t *tree) add(level int, hashes []tlog.Hash) {
	t.edge[level] = append(t.edge[level], hashes...)
	if edge := t.edge[level]; len(edge) == tileWidth {
		t.tile(level, t.full[level], edge)
		root := perfect(edge)
		t.full[level]++
		t.edge[level] = edge[:0]
		t.add(level+1, []tlog.Hash{root})
	}
}

// finish tells the partial tiles.
func (t *tree) finish() {
	for level, edge := range t.edge {
		if len(edge) > 0 {
			t.tile(level, t.full[level], edge)
		}
	}
}

// root of what was added, and of more leaves after it that do not fill the tile. The arithmetic is tlog's.
func (t *tree) root(more []tlog.Hash) (tlog.Hash, error) {
	edge := t.edge
	edge[0] = append(edge[0][:len(edge[0]):len(edge[0])], more...)
	size := t.size() + int64(len(more))
	return tlog.TreeHash(size, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			height, n := tlog.SplitStoredHashIndex(index)
			level, within := height/tileHeight, height%tileHeight
			from := n<<within - t.full[level]*tileWidth
			to := from + 1<<within
			if from < 0 || to > int64(len(edge[level])) {
				return nil, fmt.Errorf("no hash %d of height %d in a tree of %d", n, height, size)
			}
			hashes[i] = perfect(edge[level][from:to])
		}
		return hashes, nil
	}))
}

// perfect is the root over a power of two of hashes.
func perfect(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(perfect(hashes[:half]), perfect(hashes[half:]))
}
