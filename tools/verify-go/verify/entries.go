package verify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// maxBundle is the longest bundle that the format allows, in bytes.
const maxBundle = tileWidth * (2 + 65535)

// block is a bundle of entries, read. Its first finding stands in first, those of later steps are not looked for.
type block struct {
	raw, tile  []byte
	first      *Finding
	leaves     []tlog.Hash
	rows       []row
	begin, end stamp
	differs    int64 // the first position whose leaf is another in the tile of level 0; 0 for none
}

// row is what is checked of an entry in order, after the blocks were read side by side.
type row struct {
	stream  uuid
	version int64
	state   int32 // its number, -1 where it is not shown
	adopts  bool
}

// inOrder reads all bundles on every core and gives them to take one after the other. It stops when take says so.
func (l *logCheck) inOrder(take func(n int64, b *block) bool) {
	type job struct {
		n    int64
		done chan *block
	}
	jobs, order, stop := make(chan job), make(chan job, 4*workers()), make(chan struct{})
	pool := sync.Pool{New: func() any { return new(block) }}
	go func() {
		defer close(order)
		defer close(jobs)
		for n := range (l.head.Size + tileWidth - 1) / tileWidth {
			next := job{n, make(chan *block, 1)}
			select {
			case order <- next:
			case <-stop:
				return
			}
			jobs <- next
		}
	}()
	for range workers() {
		go func() {
			for next := range jobs {
				b := pool.Get().(*block)
				l.read(next.n, b)
				next.done <- b
			}
		}()
	}
	going := true
	for next := range order {
		b := <-next.done
		if going && !take(next.n, b) {
			going = false
			close(stop)
		}
		pool.Put(b)
	}
}

// read and check all of a bundle that needs no other bundle.
func (l *logCheck) read(n int64, b *block) {
	b.first, b.leaves, b.rows, b.differs, b.begin, b.end = nil, b.leaves[:0], b.rows[:0], 0, stamp{}, stamp{}
	defer guarded(&b.first)
	tile, _ := tileAt(-1, n, l.head.Size)
	position := n*tileWidth + 1
	at, ok := l.files.tiles[tile]
	if !ok {
		b.first = found(stepFiles, Missing, position, "the bundle of this entry, %s, is not there", tileName(tile))
		return
	}
	var err error
	b.raw, err = l.from.read(l.files.prefix+tileName(tile), at, maxBundle, b.raw[:0])
	if errors.Is(err, errTooLong) {
		b.first = found(stepFiles, BadBundle, position, "%s is longer than any bundle", tileName(tile))
		return
	} else if err != nil {
		b.first = found(stepFiles, Malformed, position, "%s cannot be read: %v", tileName(tile), err)
		return
	}
	l.Progress.Bytes.Add(int64(len(b.raw)))
	l.split(b, tile, position)
	l.Progress.Entries.Add(int64(len(b.leaves)))
	l.tileZero(b, n)
}

// split a bundle into its entries: each a length of two bytes and as many bytes, nothing over.
func (l *logCheck) split(b *block, tile tlog.Tile, position int64) {
	rest := b.raw
	for i := range tile.W {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			b.first = found(stepFiles, BadBundle, position+int64(i), "%s ends before its entry %d of %d", tileName(tile), i+1, tile.W)
			return
		}
		length := int(binary.BigEndian.Uint16(rest))
		record := rest[2 : 2+length]
		rest = rest[2+length:]
		b.leaves = append(b.leaves, tlog.RecordHash(record))
		l.row(b, record, position+int64(i))
	}
	if len(rest) > 0 {
		last := position + int64(tile.W) - 1
		b.first = found(stepFiles, BadBundle, last, "%s has %d bytes after its %d entries", tileName(tile), len(rest), tile.W)
	}
}

// row checks an entry and its state. After an entry of a wrong shape only leaves are hashed: what follows it is told by nobody.
func (l *logCheck) row(b *block, record []byte, position int64) {
	if b.first != nil && b.first.step == stepShape {
		return
	}
	e, err := parseEntry(record, l.origin, position, b.end)
	if err != nil {
		b.first = found(stepShape, Shape, position, "%v", err)
		return
	}
	if bytes.Compare(e.at[:], b.end[:]) < 0 {
		b.first = found(stepShape, Shape, position, "recorded_at runs back")
		return
	}
	if len(b.rows) == 0 {
		b.begin = e.at
	}
	b.end = e.at
	number, isShown := l.shown.states[e.state]
	if !isShown {
		number = -1
		if l.all || l.streams[e.stream] {
			b.first = earliest(b.first, found(stepStates, Missing, position, "the state of this entry is not there"))
		}
	} else if problem := l.verdicts[number]; problem != sound {
		b.first = earliest(b.first, problem.finding(position))
	} else if cause := l.causes[number]; cause.log == l.name && cause.position >= position {
		b.first = earliest(b.first, found(stepCause, BadCause, position, "the cause of this entry is not before it"))
	}
	b.rows = append(b.rows, row{e.stream, e.version, int32(number), e.adopts})
}

// tileZero compares the tile of the leaves, where there is one.
func (l *logCheck) tileZero(b *block, n int64) {
	tile, _ := tileAt(0, n, l.head.Size)
	at, ok := l.files.tiles[tile]
	if !ok || len(b.leaves) < tile.W {
		return
	}
	differs, problem := l.compare(tile, at, b.leaves, &b.tile)
	if problem != nil {
		b.differs = n*tileWidth + int64(differs) + 1
		problem.Position = b.differs
		b.first = earliest(b.first, problem)
	}
}

// compare a tile file with the hashes that it must hold; differs is the first that is another.
func (l *logCheck) compare(tile tlog.Tile, at location, hashes []tlog.Hash, into *[]byte) (differs int, problem *Finding) {
	raw, err := l.from.read(l.files.prefix+tileName(tile), at, tileWidth*tlog.HashSize, (*into)[:0])
	*into = raw
	if errors.Is(err, errTooLong) {
		return 0, found(stepTiles, BadTile, 0, "%s is longer than any tile", tileName(tile))
	} else if err != nil {
		return 0, found(stepFiles, Malformed, 0, "%s cannot be read: %v", tileName(tile), err)
	}
	for i, hash := range hashes {
		if end := (i + 1) * tlog.HashSize; len(raw) < end || !bytes.Equal(hash[:], raw[end-tlog.HashSize:end]) {
			return i, found(stepTiles, BadTile, 0, "%s holds another hash than the entries have", tileName(tile))
		}
	}
	if len(raw) > len(hashes)*tlog.HashSize {
		return len(hashes) - 1, found(stepTiles, BadTile, 0, "%s has bytes after its %d hashes", tileName(tile), len(hashes))
	}
	return 0, nil
}
