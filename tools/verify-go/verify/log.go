package verify

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// logCheck is the check of one whole log.
type logCheck struct {
	*check
	name, origin string
	from         container
	files        *logFiles
	shown        *catalog
	verdicts     []verdict // of each state by its number
	causes       []place   // of each state
	named        []bool    // of each state: whether an entry names it
	streams      map[uuid]bool
	all          bool // every stream must be shown
	held         []Held

	head     Checkpoint
	first    *Finding
	tree     tree
	versions map[uuid]int64
	newest   stamp
	differs  int64
	adopted  adoption
}

func (l *logCheck) note(problem *Finding) { l.first = earliest(l.first, problem) }

// open the checkpoint of the log; false if there is none that counts.
func (l *logCheck) open() bool {
	if l.files == nil || l.files.checkpoint == nil {
		l.note(found(stepNote, Missing, 0, "there is no checkpoint"))
		return false
	}
	raw, err := l.from.read(l.files.prefix+checkpointFile, *l.files.checkpoint, maxNote, nil)
	if err != nil {
		l.note(found(stepNote, BadNote, 0, "the checkpoint cannot be read: %v", err))
		return false
	}
	var problem *Finding
	if l.head, problem = l.Policy.open(raw, true); problem != nil {
		l.note(problem)
		return false
	}
	return true
}

// run all steps on the log of a checkpoint that was opened.
func (l *logCheck) run() {
	defer guarded(&l.first)
	l.Progress.Log.Store(&l.name)
	if l.head.Origin != l.origin {
		l.note(found(stepNote, Origin, 0, "the checkpoint is of %s", shown(l.head.Origin)))
		return
	}
	if l.note(cmp.Or(l.files.lacks(l.head.Size), l.files.strangers(l.head.Size))); l.first != nil {
		return
	}
	l.archive()
	l.entries()
	if l.first != nil && l.first.step <= stepFiles {
		return
	}
	l.roots()
	for stream := range l.streams {
		if l.versions[stream] == 0 && (l.first == nil || l.first.step > stepShape) {
			l.note(found(stepStates, Missing, 0, "the stream %s is claimed to be complete and has no entry", stream))
		}
	}
	l.age()
}

// archive opens the notes in checkpoints/: each is a head that the log signed, so it is held against the entries like those given.
func (l *logCheck) archive() {
	for _, size := range slices.Sorted(maps.Keys(l.files.archived)) {
		name := archiveFolder + formatted(size)
		raw, err := l.from.read(l.files.prefix+name, l.files.archived[size], maxNote, nil)
		if err != nil {
			l.note(found(stepHeld, Signature, 0, "%s cannot be read: %v", name, err))
			continue
		}
		head, problem := l.Policy.open(raw, false)
		if problem == nil && head.Origin != l.origin {
			problem = found(stepHeld, Origin, 0, "a checkpoint of %s", shown(head.Origin))
		} else if problem == nil && head.Size != size {
			problem = found(stepHeld, BadNote, 0, "a checkpoint of size %d", head.Size)
		}
		if problem != nil {
			l.note(found(stepHeld, problem.Code, 0, "%s: %s", name, problem.Reason))
			continue
		}
		l.held = append(l.held, Held{head, name})
	}
}

// entries reads all of them, in order: roots at the sizes that are held, versions, time, tiles.
func (l *logCheck) entries() {
	slices.SortStableFunc(l.held, func(a, b Held) int { return int(min(1, max(-1, a.Size-b.Size))) })
	held := l.held
	l.versions = map[uuid]int64{}
	l.tree.tile = l.upperTile
	l.inOrder(func(n int64, b *block) bool {
		l.note(b.first)
		if b.first != nil && b.first.step <= stepFiles {
			return false
		}
		if l.differs == 0 {
			l.differs = b.differs
		}
		start := n * tileWidth
		for len(held) > 0 && held[0].Size < start+int64(len(b.leaves)) {
			l.compareHeld(held[0], b.leaves[:held[0].Size-start])
			held = held[1:]
		}
		l.tree.add(0, b.leaves)
		l.order(start, b)
		return true
	})
	for _, one := range held {
		if one.Size > l.head.Size {
			l.note(found(stepHeld, Rollback, l.head.Size+1, "%s is of size %d: this log is cut, or older", one.Source, one.Size))
		} else if l.tree.size() == l.head.Size {
			l.compareHeld(one, nil)
		}
	}
	l.tree.finish()
}

func (l *logCheck) compareHeld(one Held, more []tlog.Hash) {
	root, err := l.tree.root(more)
	if err != nil {
		l.note(found(stepWhole, Malformed, 0, "%v", err))
	} else if root != one.Root {
		l.note(found(stepHeld, Fork, 0, "%s, of size %d, is of another history", one.Source, one.Size))
	}
}

// order checks what hangs on the entries before: time between bundles, and the versions of each stream.
func (l *logCheck) order(start int64, b *block) {
	if l.first != nil && l.first.step <= stepShape {
		return
	}
	if len(b.rows) > 0 && bytes.Compare(b.begin[:], l.newest[:]) < 0 {
		l.note(found(stepShape, Shape, start+1, "recorded_at runs back"))
	}
	l.newest = b.end
	for i, r := range b.rows {
		last := l.versions[r.stream]
		if r.version != last+1 {
			l.note(found(stepStream, Versions, start+int64(i)+1, "stream %s goes from version %d to %d", r.stream, last, r.version))
		}
		l.versions[r.stream] = r.version
		if r.state >= 0 {
			l.named[r.state] = true
		}
		if r.adopts {
			l.adopted = adoption{start + int64(i) + 1, r.state}
		}
	}
}

// upperTile compares tiles of level 1 and up; level 0 was compared where it was read.
func (l *logCheck) upperTile(level int, n int64, hashes []tlog.Hash) {
	tile, _ := tileAt(level, n, l.head.Size)
	at, ok := l.files.tiles[tile]
	if level == 0 || !ok {
		return
	}
	var into []byte
	if differs, problem := l.compare(tile, at, hashes, &into); problem != nil {
		problem.Position = (n*tileWidth+int64(differs))<<(tileHeight*level) + 1
		l.note(problem)
	}
}

func (l *logCheck) roots() {
	root, err := l.tree.root(nil)
	if err != nil {
		l.note(found(stepWhole, Malformed, 0, "%v", err))
	} else if root != l.head.Root {
		reason := "the entries do not have the root of the checkpoint"
		if l.differs > 0 {
			reason += "; this is the first that differs from its tile"
		}
		l.note(found(stepRoot, Root, l.differs, "%s", reason))
	}
}

// age of the newest that is known: of the last entry, or with witnesses of their newest quorum.
func (l *logCheck) age() {
	if l.newest == (stamp{}) || l.first != nil && l.first.step <= stepShape {
		return
	}
	newest := l.newest.time()
	if newest.After(l.Now.Add(tolerance)) {
		l.note(found(stepAge, Stale, l.head.Size, "the newest entry is stamped %s, in the future", l.newest[:]))
	}
	if seen := l.head.Seen; !seen.IsZero() {
		newest = seen
		if seen.After(l.Now.Add(tolerance)) {
			l.note(found(stepAge, Stale, 0, "the witnesses' time is in the future"))
		}
	}
	if l.MaxAge != 0 && l.Now.Sub(newest) > l.MaxAge {
		l.note(found(stepAge, Stale, l.head.Size, "nothing is newer than %s", newest.Format(stampLayout)))
	}
}

func (l *logCheck) line() Line {
	return Line{Origin: l.origin, Size: l.head.Size, Root: l.head.Root, Finding: l.first}
}
