package verify

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// reference is the tree as tlog stores it, with all hashes in memory.
func reference(t *testing.T, size int) (leaves []tlog.Hash, read tlog.HashReader) {
	t.Helper()
	var stored []tlog.Hash
	read = tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for i := range size {
		record := fmt.Appendf(nil, "entry %d", i)
		leaves = append(leaves, tlog.RecordHash(record))
		hashes, err := tlog.StoredHashes(int64(i), record, read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
	}
	return leaves, read
}

func TestTheRootAtEverySizeAndEveryTileAreThoseOfTlog(t *testing.T) {
	const size = 66_000 // into level 2
	leaves, read := reference(t, size)
	tiles := map[tlog.Tile]bool{}
	grown := tree{tile: func(level int, n int64, hashes []tlog.Hash) {
		tile := tlog.Tile{H: tileHeight, L: level, N: n, W: len(hashes)}
		want, err := tlog.ReadTileData(tile, read)
		if got := bytes.Join(rows(hashes), nil); err != nil || !bytes.Equal(want, got) {
			t.Errorf("%v is another: %v", tile, err)
		}
		tiles[tile] = true
	}}
	for start := 0; start < size; start += tileWidth {
		block := leaves[start:min(start+tileWidth, size)]
		for more := range len(block) {
			if at := start + more; at < 600 || at%997 == 0 || at%tileWidth < 2 {
				same(t, &grown, block[:more], read)
			}
		}
		grown.add(0, block)
	}
	same(t, &grown, nil, read)
	grown.finish()
	for _, tile := range tlog.NewTiles(tileHeight, 0, size) {
		if !tiles[tile] {
			t.Errorf("%v was not told", tile)
		}
		if own, ok := tileAt(tile.L, tile.N, size); !ok || own != tile {
			t.Errorf("a log of this size has %v, not %v", tile, own)
		}
	}
}

func rows(hashes []tlog.Hash) (all [][]byte) {
	for _, hash := range hashes {
		all = append(all, hash[:])
	}
	return all
}

func same(t *testing.T, grown *tree, more []tlog.Hash, read tlog.HashReader) {
	t.Helper()
	size := grown.size() + int64(len(more))
	want, err := tlog.TreeHash(size, read)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := grown.root(more); err != nil || got != want {
		t.Errorf("root at %d: %v %v", size, got, err)
	}
}

func TestNamesOfTilesAreReadInOneSpellingOnly(t *testing.T) {
	for name, want := range map[string]tlog.Tile{
		"tile/0/000":                 {H: 8, L: 0, N: 0, W: 256},
		"tile/7/x001/x234/067.p/255": {H: 8, L: 7, N: 1234067, W: 255},
		"tile/entries/x001/000.p/1":  {H: 8, L: -1, N: 1000, W: 1},
		"tile/8/000":                 {},
		"tile/00/000":                {},
		"tile/0/0":                   {},
		"tile/0/x000/001":            {},
		"tile/0/000.p/256":           {},
		"tile/0/000.p/0":             {},
		"tile/0/000.p/01":            {},
		"tile/data/000":              {},
		"tile/8/0/000":               {},
		"tile/-1/000":                {},
		"tile/0/../0/000":            {},
		"tile/entries/entries/000":   {},
		"tile/0/x999/x999/x999/x999/x999/x999/x999/999": {},
	} {
		if tile, ok := parseTile(name); ok != (want.H > 0) || ok && tile != want {
			t.Errorf("%s: %v %v", name, tile, ok)
		}
	}
}

func TestAStampIsWrittenInOneWayOnly(t *testing.T) {
	for text, good := range map[string]bool{
		"2026-11-23T03:00:00.000000Z":      true,
		"2024-02-29T23:59:59.999999Z":      true,
		"2026-02-29T03:00:00.000000Z":      false,
		"2026-11-23T24:00:00.000000Z":      false,
		"2026-11-23T03:00:60.000000Z":      false,
		"2026-11-23T03:00:00,000000Z":      false,
		"2026-11-23T3:00:00.0000000Z":      false,
		"2026-11-23T03:00:00Z":             false,
		"2026-11-23T03:00:00.000000+00:00": false,
		"2026-11-23 03:00:00.000000Z":      false,
	} {
		if _, err := parseStamp([]byte(text), stamp{}); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}
