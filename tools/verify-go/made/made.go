// Package made makes logs, bundles and receipts for tests and measurements, with nothing but golang.org/x/mod/sumdb and the standard
// library: the verifier is held against the tree of others. All data are invented.
package made

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Files of an export or bundle, by name.
type Files map[string][]byte

// Row of a log.
type Row struct {
	At      time.Time
	Stream  string
	Version int64
	Type    string
	State   []byte
}

// Log is a signed log in memory. Entries may be tampered with before Files are made: everything follows from them.
type Log struct {
	Origin  string
	Vkey    string
	Signer  note.Signer
	Entries [][]byte
	hashes  []tlog.Hash
}

// New makes a log whose key is the Ed25519 key of a seed.
func New(origin string, seed [32]byte) *Log {
	public := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
	vkey := must(note.NewEd25519VerifierKey(origin, public))
	id := strings.Split(vkey, "+")[1]
	private := base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...))
	return &Log{Origin: origin, Vkey: vkey, Signer: must(note.NewSigner("PRIVATE+KEY+" + origin + "+" + id + "+" + private))}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err) // the helper's own data are always right
	}
	return value
}

// Add rows at the end.
func (l *Log) Add(rows ...Row) {
	for _, row := range rows {
		l.Entries = append(l.Entries, Entry(l.Origin, int64(len(l.Entries))+1, row))
	}
}

// Entry is the text of a leaf.
func Entry(origin string, position int64, row Row) []byte {
	sum := sha256.Sum256(row.State)
	return fmt.Appendf(nil, "v1\n%s\n%d\n%s\n%s\n%d\n%s\n%x\n", origin, position,
		row.At.UTC().Format("2006-01-02T15:04:05.000000Z"), row.Stream, row.Version, row.Type, sum)
}

// Tree hashes the entries as they are now.
func (l *Log) Tree() tlog.HashReader {
	l.hashes = l.hashes[:0]
	for i, entry := range l.Entries {
		l.hashes = append(l.hashes, must(tlog.StoredHashes(int64(i), entry, tlog.HashReaderFunc(l.read)))...)
	}
	return tlog.HashReaderFunc(l.read)
}

func (l *Log) read(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = l.hashes[index]
	}
	return hashes, nil
}

// Checkpoint signs the head of the first size entries.
func (l *Log) Checkpoint(size int64) []byte {
	return l.Sign(fmt.Sprintf("%s\n%d\n%s\n", l.Origin, size, must(tlog.TreeHash(size, l.Tree()))))
}

// Sign any text as a note.
func (l *Log) Sign(text string) []byte { return must(note.Sign(&note.Note{Text: text}, l.Signer)) }

// Receipt is a tlog-proof of the entry at an index in the tree of a size.
func (l *Log) Receipt(index, size int64) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "c2sp.org/tlog-proof@v1\nextra %s\nindex %d\n", base64.StdEncoding.EncodeToString(l.Entries[index]), index)
	for _, hash := range must(tlog.ProveRecord(size, index, l.Tree())) {
		fmt.Fprintln(&text, hash)
	}
	text.WriteByte('\n')
	text.Write(l.Checkpoint(size))
	return []byte(text.String())
}

// Export is the log as files: checkpoint, tiles and bundles of entries.
func (l *Log) Export() Files {
	size := int64(len(l.Entries))
	files := Files{"checkpoint": l.Checkpoint(size)}
	for _, tile := range tlog.NewTiles(8, 0, size) {
		files[Name(tile)] = must(tlog.ReadTileData(tile, tlog.HashReaderFunc(l.read)))
		if tile.L == 0 {
			var bundle []byte
			for _, entry := range l.Entries[tile.N*256:][:tile.W] {
				bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(entry))), entry...)
			}
			tile.L = -1
			files[Name(tile)] = bundle
		}
	}
	return files
}

// Name of a tile, or of a bundle where its level is -1, as C2SP tlog-tiles has it.
func Name(tile tlog.Tile) string {
	return strings.Replace(strings.Replace(tile.Path(), "tile/8/", "tile/", 1), "tile/data/", "tile/entries/", 1)
}

// Policy lists logs.
func Policy(logs ...*Log) []byte {
	text := "# an invented line, epoch 1\n"
	for _, log := range logs {
		text += "log " + log.Vkey + "\n"
	}
	return []byte(text + "quorum none\n")
}

// Bundle of logs, without states.
func Bundle(streams string, logs ...*Log) Files {
	files := Files{"streams": []byte(streams), "policy": Policy(logs...)}
	at := ""
	for _, log := range logs {
		short := log.Origin[strings.LastIndexByte(log.Origin, '/')+1:]
		at += fmt.Sprintf("%s %d\n", short, len(log.Entries))
		for name, content := range log.Export() {
			files["logs/"+short+"/"+name] = content
		}
	}
	files["instant"] = []byte(at)
	return files
}

// AddState puts a state under its name.
func (f Files) AddState(state []byte) Files {
	sum := sha256.Sum256(state)
	f["states/"+hex.EncodeToString(sum[:])] = state
	return f
}

// AddSums lists the states that are there, for sha256sum.
func (f Files) AddSums() Files {
	var sums []byte
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if sum, ok := strings.CutPrefix(name, "states/"); ok {
			sums = fmt.Appendf(sums, "%s  %s\n", sum, sum)
		}
	}
	f["states/SHA256SUMS"] = sums
	return f
}
