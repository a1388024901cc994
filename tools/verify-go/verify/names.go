package verify

import (
	"encoding/hex"
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// The names a bundle may have. Whatever does not match is told as extra and never opened: no "..", no other spelling of a name.
var (
	logName = regexp.MustCompile(`^[a-z]{1,40}$`)
)

const (
	checkpointFile = "checkpoint"
	archiveFolder  = "checkpoints/"
	statesFolder   = "states/"
	sumsFile       = statesFolder + "SHA256SUMS"
	instantFile    = "instant"
	streamsFile    = "streams"
	policyFile     = "policy"
	longestName    = 200
)

// splitLog cuts logs/<log>/ off a name of a bundle.
func splitLog(name string) (log, rest string, ok bool) {
	after, ok := strings.CutPrefix(name, "logs/")
	if !ok {
		return "", "", false
	}
	log, rest, ok = strings.Cut(after, "/")
	return log, rest, ok && logName.MatchString(log)
}

// parseTile reads tile/<L>/<N>[.p/<W>] and tile/entries/<N>[.p/<W>]; bundles of entries have level -1, as in tlog.
func parseTile(name string) (tlog.Tile, bool) {
	rest, ok := strings.CutPrefix(name, "tile/")
	if !ok {
		return tlog.Tile{}, false
	}
	if entries, ok := strings.CutPrefix(rest, "entries/"); ok {
		rest = "data/" + entries
	}
	// tlog's own tiles differ in two things: they name the height first, and call a bundle data
	tile, err := tlog.ParseTilePath("tile/8/" + rest)
	return tile, err == nil && tile.L <= maxLevel && tileName(tile) == name
}

func tileName(tile tlog.Tile) string {
	rest := strings.TrimPrefix(tile.Path(), "tile/8/")
	if data, ok := strings.CutPrefix(rest, "data/"); ok {
		rest = "entries/" + data
	}
	return "tile/" + rest
}

// tileAt is the tile or bundle (level -1) that a log of this size has at n: full, partial, or none.
func tileAt(level int, n, size int64) (tlog.Tile, bool) {
	hashes := size >> (tileHeight * max(level, 0))
	if n < 0 || n > hashes/tileWidth {
		return tlog.Tile{}, false
	}
	width := min(hashes-n*tileWidth, tileWidth)
	return tlog.Tile{H: tileHeight, L: level, N: n, W: int(width)}, width > 0
}

func parseDigest(text string) (state digest, ok bool) {
	ok = lowerHex([]byte(text), state[:])
	return state, ok
}

func stateName(state digest) string { return statesFolder + hex.EncodeToString(state[:]) }

// parseOpened reads opened/<sha256>.json.
func parseOpened(name string) (state digest, ok bool) {
	text, ok := strings.CutPrefix(name, "opened/")
	if !ok {
		return state, false
	}
	if text, ok = strings.CutSuffix(text, ".json"); !ok {
		return state, false
	}
	return parseDigest(text)
}
