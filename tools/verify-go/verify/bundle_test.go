package verify_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"hotline111.example/verify-go/made"
)

func TestAnUnalteredBundleIsCleanAsAWholeAsOneCaseAndAsTheExportOfALog(t *testing.T) {
	w := newWorld(t)
	wantsClean(t, w.judge(t, w.whole()), 2)
	wantsClean(t, w.judge(t, w.export()), 1)
	w.options.Case = made.Stream(3)
	wantsClean(t, w.judge(t, w.oneCase()), 2)
}

func TestEverySizeAroundTheEdgesOfTilesIsClean(t *testing.T) {
	for _, size := range []int{1, 2, 255, 256, 257, 511, 512, 65536, 65793} {
		w := newWorld(t, size, 3)
		w.hold(t, w.cases.Checkpoint(int64(size)))
		w.hold(t, w.cases.Checkpoint(int64(size+1)/2))
		w.hold(t, w.cases.Checkpoint(max(1, int64(size)/256*256)))
		files := made.Bundle("cases "+made.Stream(0)+"\n", w.cases, w.intake)
		for _, row := range w.rows["cases"] {
			if row.Stream == made.Stream(0) {
				files.AddState(row.State)
			}
		}
		wantsClean(t, w.judge(t, files.AddSums()), 2)
	}
}

func stateName(state []byte) string {
	sum := sha256.Sum256(state)
	return "states/" + hex.EncodeToString(sum[:])
}

// Whoever has the files only: what the fourteen rows of the tamper matrix do to a bundle that stays signed as it was.
func TestWhoeverAltersFilesOnlyIsFound(t *testing.T) {
	w := newWorld(t)
	whole := w.whole()
	rows := w.rows["cases"]
	// reEntered is the bundle with other entries, its tiles built anew, and the checkpoint and size that were signed.
	reEntered := func(entries [][]byte) made.Files {
		forged := made.New(cases, [32]byte{1})
		forged.Entries = entries
		files := clone(whole)
		for name := range files {
			if strings.HasPrefix(name, "logs/cases/tile/") {
				delete(files, name)
			}
		}
		for name, content := range forged.Export() {
			if name != "checkpoint" {
				files["logs/cases/"+name] = content
			}
		}
		return files
	}
	entries := func() [][]byte { return append([][]byte{}, w.cases.Entries...) }
	edit := func(position int, change func(row *made.Row)) [][]byte {
		all, row := entries(), rows[position-1]
		change(&row)
		all[position-1] = made.Entry(cases, int64(position), row)
		return all
	}
	const bundle0, bundle1 = "logs/cases/tile/entries/000", "logs/cases/tile/entries/001"
	for what, broken := range map[string]struct {
		files func() made.Files
		found string
	}{
		"1 a byte of a state": {func() made.Files {
			files := clone(whole)
			files[stateName(rows[41].State)][10] ^= 1
			return files
		}, "FAIL state " + cases + " 42 "},
		"2 an entry edited, tiles too": {func() made.Files {
			return reEntered(edit(300, func(row *made.Row) { row.Type = "cases.NoteHidden" }))
		}, "FAIL root " + cases + " - "},
		"2 an entry edited, tiles not": {func() made.Files {
			files := clone(whole)
			files[bundle1] = bytes.Replace(files[bundle1], []byte("\n300\n"), []byte("\n301\n"), 1)
			return files
		}, "FAIL root " + cases + " 300 "},
		"3 one dropped from the middle": {func() made.Files {
			return reEntered(append(entries()[:99], entries()[100:]...))
		}, "FAIL missing " + cases + " 513 "},
		"3 one dropped, another added at the end": {func() made.Files {
			return reEntered(append(append(entries()[:99], entries()[100:]...), entries()[0]))
		}, "FAIL root " + cases + " - "},
		"5 two swapped": {func() made.Files {
			all := entries()
			all[10], all[11] = all[11], all[10]
			return reEntered(all)
		}, "FAIL root " + cases + " - "},
		"6 a forged one in between": {func() made.Files {
			all := append(entries()[:50], append([][]byte{made.Entry(cases, 51, rows[60])}, entries()[50:699]...)...)
			return reEntered(all)
		}, "FAIL root " + cases + " - "},
		"7 one twice": {func() made.Files {
			return reEntered(append(entries()[:50], append([][]byte{entries()[49]}, entries()[50:699]...)...))
		}, "FAIL root " + cases + " - "},
		"8 states of a case left out": {func() made.Files {
			files := clone(whole)
			for _, row := range rows {
				if row.Stream == made.Stream(5) {
					delete(files, stateName(row.State))
				}
			}
			return files
		}, "FAIL missing " + cases + " 6 "},
		"9 versions renumbered": {func() made.Files {
			return reEntered(edit(20, func(row *made.Row) { row.Version++ }))
		}, "FAIL root " + cases + " - "},
		"10 a state moved to another event": {func() made.Files {
			files := clone(whole)
			files[stateName(rows[7].State)] = rows[8].State
			return files
		}, "FAIL state " + cases + " 8 "},
		"11 back-dated": {func() made.Files {
			return reEntered(edit(400, func(row *made.Row) { row.At = row.At.Add(-time.Hour) }))
		}, "FAIL root " + cases + " - "},
		"12 a view signed by a stranger's key": {func() made.Files {
			stranger := made.New(cases, [32]byte{9})
			stranger.Entries = w.cases.Entries
			files := clone(whole)
			files["logs/cases/checkpoint"] = stranger.Checkpoint(700)
			return files
		}, "FAIL signature " + cases + " - "},
		"14 the rule exchanged within a state": {func() made.Files {
			files := clone(whole)
			name := stateName(rows[0].State)
			files[name] = bytes.Replace(files[name], []byte(`"kind":"note"`), []byte(`"kind":"rule"`), 1)
			return files
		}, "FAIL state " + cases + " 1 "},
		"a tile": {func() made.Files {
			files := clone(whole)
			files["logs/cases/tile/0/001"][32*3+5] ^= 1
			return files
		}, "FAIL tile " + cases + " 260 "},
		"an upper tile": {func() made.Files {
			files := clone(whole)
			files["logs/cases/tile/1/000.p/2"][40] ^= 1
			return files
		}, "FAIL tile " + cases + " 257 "},
		"a tile that is too long": {func() made.Files {
			files := clone(whole)
			files["logs/cases/tile/0/002.p/188"] = append(files["logs/cases/tile/0/002.p/188"], make([]byte, 32)...)
			return files
		}, "FAIL tile " + cases + " 700 "},
		"a bundle cut": {func() made.Files {
			files := clone(whole)
			files[bundle0] = files[bundle0][:len(files[bundle0])-1]
			return files
		}, "FAIL bundle " + cases + " 256 "},
		"a surplus entry in a bundle": {func() made.Files {
			files := clone(whole)
			files[bundle0] = append(files[bundle0], files[bundle1][:202]...)
			return files
		}, "FAIL bundle " + cases + " 256 "},
		"a bundle away": {func() made.Files {
			files := clone(whole)
			delete(files, bundle1)
			return files
		}, "FAIL missing " + cases + " 257 "},
		"a stale partial tile": {func() made.Files {
			files := clone(whole)
			files["logs/cases/tile/0/001.p/9"] = files["logs/cases/tile/0/001"][:9*32]
			return files
		}, "FAIL extra " + cases + " - "},
		"a stray file of a log": {func() made.Files {
			files := clone(whole)
			files["logs/cases/notes.txt"] = nil
			return files
		}, "FAIL extra " + cases + " - "},
		"a stray file": {func() made.Files {
			files := clone(whole)
			files["read-me"] = nil
			return files
		}, "FAIL extra - - "},
		"a state that nobody names": {func() made.Files { return clone(whole).AddState([]byte("{}")) }, "FAIL extra - - "},
		"no checkpoint": {func() made.Files {
			files := clone(whole)
			delete(files, "logs/cases/checkpoint")
			return files
		}, "FAIL missing " + cases + " - "},
		"another size in the instant": {func() made.Files {
			files := clone(whole)
			files["instant"] = []byte("cases 699\nintake 300\n")
			return files
		}, "FAIL checkpoint " + cases + " - "},
		"a log left out": {func() made.Files {
			files := clone(made.Bundle("cases *\n", w.cases))
			for _, row := range rows {
				files.AddState(row.State)
			}
			files["instant"] = []byte("cases 700\n")
			return files
		}, "FAIL missing " + intake + " - "},
		"the checkpoint of another log": {func() made.Files {
			files := clone(whole)
			files["logs/cases/checkpoint"] = w.intake.Checkpoint(300)
			return files
		}, "FAIL origin " + cases + " - "},
		"sums of other states": {func() made.Files {
			files := clone(whole)
			files["states/SHA256SUMS"] = []byte("x\n")
			return files
		}, "FAIL state - - "},
		"no sums": {func() made.Files {
			files := clone(whole)
			delete(files, "states/SHA256SUMS")
			return files
		}, "FAIL missing - - "},
	} {
		t.Run(what, func(t *testing.T) { wants(t, w.judge(t, broken.files()), broken.found) })
	}
}

// Whoever has the key signs a rewritten history: a careless one is found by order and time, a careful one by a head that is held.
func TestWhoeverRewritesAndSignsIsFoundByShapeVersionsOrAHeldHead(t *testing.T) {
	for what, forge := range map[string]struct {
		entries func(rows []made.Row, log *made.Log)
		found   string
	}{
		"a version skipped": {func(rows []made.Row, log *made.Log) {
			rows[20].Version++
			log.Add(rows...)
		}, "versions " + cases + " 21 "},
		"one dropped, positions renumbered": {func(rows []made.Row, log *made.Log) {
			log.Add(append(rows[:8:8], rows[9:]...)...)
		}, "versions " + cases + " 16 "},
		"a position kept": {func(rows []made.Row, log *made.Log) {
			log.Add(rows...)
			log.Entries[9] = made.Entry(cases, 11, rows[9])
		}, "shape " + cases + " 10 "},
		"time running back in a bundle": {func(rows []made.Row, log *made.Log) {
			rows[100].At = rows[100].At.Add(-time.Hour)
			log.Add(rows...)
		}, "shape " + cases + " 101 "},
		"time running back between bundles": {func(rows []made.Row, log *made.Log) {
			for i := range rows[256:] {
				rows[256+i].At = rows[256+i].At.Add(-time.Hour)
			}
			log.Add(rows...)
		}, "shape " + cases + " 257 "},
		"a tail cut": {func(rows []made.Row, log *made.Log) { log.Add(rows[:699]...) }, "rollback " + cases + " 700 "},
		"a state rewritten with its entry": {func(rows []made.Row, log *made.Log) {
			rows[500].State = []byte(`{"v":1,"meta":{}}`)
			log.Add(rows...)
		}, "fork " + cases + " - "},
		"a foreign entry": {func(rows []made.Row, log *made.Log) {
			log.Add(rows...)
			log.Entries[4] = made.Entry(intake, 5, rows[4])
		}, "shape " + cases + " 5 "},
		"a ninth line": {func(rows []made.Row, log *made.Log) {
			log.Add(rows...)
			log.Entries[4] = append(log.Entries[4], '\n')
		}, "shape " + cases + " 5 "},
		"a cause after the instant": {func(rows []made.Row, log *made.Log) {
			rows[600].State = made.State("intake:301", 600)
			log.Add(rows...)
		}, "cause " + cases + " 601 "},
		"a cause that is itself": {func(rows []made.Row, log *made.Log) {
			rows[600].State = made.State("cases:601", 600)
			log.Add(rows...)
		}, "cause " + cases + " 601 "},
		"a cause named twice": {func(rows []made.Row, log *made.Log) {
			rows[600].State = []byte(`{"meta":{"cause":"intake:301","cause":"intake:1"}}`)
			log.Add(rows...)
		}, "cause " + cases + " 601 "},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			genuine := w.cases
			w.cases = made.New(cases, [32]byte{1})
			forge.entries(w.rows["cases"], w.cases)
			if strings.HasPrefix(forge.found, "rollback") || strings.HasPrefix(forge.found, "fork") {
				w.hold(t, genuine.Receipt(3, 700))
			}
			if strings.HasPrefix(forge.found, "rollback") || strings.Contains(what, "dropped") {
				w.rows["cases"] = w.rows["cases"][:699]
			}
			said := w.judge(t, w.whole())
			wants(t, onlyOf(said, cases), "FAIL "+forge.found)
		})
	}
}

func onlyOf(said, origin string) string {
	var lines strings.Builder
	for line := range strings.Lines(said) {
		if strings.Contains(line, " "+origin+" ") {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

func TestAnOldBundleIsGenuineAndIsFoundByItsAgeOrAHeldHead(t *testing.T) {
	w := newWorld(t)
	later := w.cases.Checkpoint(700)
	w.cases.Entries, w.rows["cases"] = w.cases.Entries[:600], w.rows["cases"][:600]
	wantsClean(t, w.judge(t, w.whole()), 2)
	w.options.MaxAge = 36 * time.Hour
	wantsClean(t, w.judge(t, w.whole()), 2)
	w.options.MaxAge = time.Hour
	if said := w.judge(t, w.whole()); strings.Count(said, "FAIL stale ") != 2 {
		t.Error(said)
	}
	w.options.MaxAge = 0
	w.hold(t, later)
	wants(t, w.judge(t, w.whole()), "FAIL rollback "+cases+" 601 ")
}

func TestAnEntryFromTheFutureIsStale(t *testing.T) {
	w := newWorld(t)
	w.options.Now = made.Start.Add(-time.Hour)
	if said := w.judge(t, w.whole()); strings.Count(said, "FAIL stale ") != 2 {
		t.Error(said)
	}
}

func TestArchivedNotesAreHeldAgainstTheEntries(t *testing.T) {
	w := newWorld(t)
	files := w.whole()
	files["logs/cases/checkpoints/300"] = w.cases.Checkpoint(300)
	wantsClean(t, w.judge(t, files), 2)
	files["logs/cases/checkpoints/301"] = w.cases.Checkpoint(300)
	wants(t, w.judge(t, files), "FAIL checkpoint "+cases+" - ")
	delete(files, "logs/cases/checkpoints/301")
	other := made.New(cases, [32]byte{1})
	other.Add(made.History("cases", 1)...)
	other.Add(made.History("cases", 299)...)
	files["logs/cases/checkpoints/300"] = other.Checkpoint(300)
	wants(t, w.judge(t, files), "FAIL fork "+cases+" - ")
}

func TestACaseThatTheBundleDoesNotClaimIsMissing(t *testing.T) {
	w := newWorld(t)
	w.options.Case = made.Stream(4)
	wants(t, w.judge(t, w.oneCase()), "FAIL missing "+cases+" - ")
	w.options.Case = made.Stream(123456)
	wants(t, w.judge(t, w.whole()), "FAIL missing "+cases+" - ")
}

func TestAClaimedStreamWithoutEntriesIsMissing(t *testing.T) {
	w := newWorld(t)
	files := w.whole()
	files["streams"] = fmt.Appendf(nil, "cases *\nintake *\nintake %s\n", made.Stream(777))
	wants(t, w.judge(t, files), "FAIL missing "+intake+" - ")
}

func TestOnlyExpectedLogsAreTaken(t *testing.T) {
	w := newWorld(t)
	w.options.Expect = []string{intake}
	wants(t, w.judge(t, w.export()), "FAIL origin "+cases+" - ")
}

func TestTheExportOfALogNeedsEveryState(t *testing.T) {
	w := newWorld(t)
	files := w.export()
	delete(files, stateName(w.rows["cases"][122].State))
	wants(t, w.judge(t, files), "FAIL missing "+cases+" 123 ")
}
