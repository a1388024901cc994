package verify

import (
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Bounds of what a catalog holds in memory: about 220 bytes a state, 100 a tile.
const (
	maxStates = 1 << 24
	maxFiles  = 1 << 22 // of all else: a log of 5·10⁸ entries has as many
)

// catalog is what lies in a bundle or export, by meaning. Contents stay where they are.
type catalog struct {
	container
	logs    map[string]*logFiles // by the name in logs/<log>/; of an export one, named ""
	single  map[string]location  // instant, streams, policy, states/SHA256SUMS
	states  map[digest]int       // the number of each state
	digests []digest             // of each state by its number
	places  []location
	opened  []digest
	files   int
	problem *Finding // of the container as a whole
}

// logFiles is what lies in the folder of one log.
type logFiles struct {
	prefix     string
	checkpoint *location
	archived   map[int64]location // checkpoints/<size>
	tiles      map[tlog.Tile]location
	stray      *Finding
}

func newLogFiles(prefix string) *logFiles {
	return &logFiles{prefix: prefix, archived: map[int64]location{}, tiles: map[tlog.Tile]location{}}
}

// catalogue lists the container. What is wrong with it as a whole is the problem of the catalog; an error is one of reading.
func catalogue(from container) (*catalog, error) {
	c := &catalog{container: from, logs: map[string]*logFiles{}, single: map[string]location{}, states: map[digest]int{}}
	err := from.list(c.add)
	if problem, ok := err.(*Finding); ok {
		c.problem, err = problem, nil
	}
	if c.problem == nil {
		for _, state := range c.opened {
			if _, ok := c.states[state]; !ok {
				c.problem = found(stepFiles, Extra, 0, "opened/ has a file of a state that is not shown")
			}
		}
	}
	return c, err
}

func (c *catalog) add(name string, at location) error {
	if state, ok := parseDigest(strings.TrimPrefix(name, statesFolder)); ok && strings.HasPrefix(name, statesFolder) {
		if _, twice := c.states[state]; twice {
			return found(stepFiles, Extra, 0, "%s is there twice", shown(name))
		}
		if len(c.places) == maxStates {
			return found(stepWhole, Malformed, 0, "more than %d states", maxStates)
		}
		c.states[state] = len(c.places)
		c.digests = append(c.digests, state)
		c.places = append(c.places, at)
		return nil
	}
	if c.files++; c.files > maxFiles {
		return found(stepWhole, Malformed, 0, "more than %d files besides states", maxFiles)
	}
	switch name {
	case instantFile, streamsFile, policyFile, sumsFile:
		if _, twice := c.single[name]; twice {
			return found(stepFiles, Extra, 0, "%s is there twice", name)
		}
		c.single[name] = at
		return nil
	}
	if state, ok := parseOpened(name); ok {
		c.opened = append(c.opened, state)
		return nil
	}
	log, rest, inLogs := splitLog(name)
	prefix := ""
	if inLogs {
		prefix = "logs/" + log + "/"
	} else {
		rest = name
	}
	files := c.logs[log]
	if files == nil {
		files = newLogFiles(prefix)
	}
	if !files.add(rest, at) {
		stray := found(stepFiles, Extra, 0, "a file %s", shown(name))
		if !inLogs {
			return stray
		}
		files.stray = earliest(files.stray, stray)
	}
	c.logs[log] = files
	return nil
}

// add tells whether a file of this name belongs to a log, once.
func (l *logFiles) add(name string, at location) bool {
	if len(name) > longestName {
		return false
	}
	twice := true
	if name == checkpointFile {
		twice = l.checkpoint != nil
		l.checkpoint = &at
	} else if text, ok := strings.CutPrefix(name, archiveFolder); ok {
		size, err := decimal(text)
		if err != nil {
			return false
		}
		_, twice = l.archived[size]
		l.archived[size] = at
	} else if tile, ok := parseTile(name); ok {
		_, twice = l.tiles[tile]
		l.tiles[tile] = at
	}
	return !twice
}

// lacks tells the first bundle of entries that is not there: a checkpoint may claim any size.
func (l *logFiles) lacks(size int64) *Finding {
	for n := int64(0); n*tileWidth < size; n++ {
		tile, _ := tileAt(-1, n, size)
		if _, ok := l.tiles[tile]; !ok {
			return found(stepFiles, Missing, n*tileWidth+1, "the bundle of this entry, %s, is not there", tileName(tile))
		}
	}
	return nil
}

// strangers among the files: what a log of this size does not have, such as a stale partial tile.
func (l *logFiles) strangers(size int64) *Finding {
	if l.stray != nil {
		return l.stray
	}
	least := ""
	for tile := range l.tiles {
		own, ok := tileAt(tile.L, tile.N, size)
		if name := tileName(tile); (!ok || own != tile) && (least == "" || name < least) {
			least = name
		}
	}
	if least == "" {
		return nil
	}
	return found(stepFiles, Extra, 0, "%s is not of a log of size %d", shown(l.prefix+least), size)
}
