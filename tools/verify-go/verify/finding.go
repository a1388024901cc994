// Package verify checks the evidence of the hotline: checkpoints, whole logs, receipts and audit bundles, offline, against a policy
// and heads that the reader holds.
//
// The formats are C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof, tlog-policy and tlog-cosignature over the tree of
// RFC 6962. Notes, hashes, tree arithmetic and proofs are those of golang.org/x/mod/sumdb; what that overlooks, because its own
// logs cannot have it, is checked here: surplus entries and files, repeated signature lines, keys listed twice, a foreign key's note.
package verify

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// The codes of findings. Scripts rely on them; docs/verifier-go.md says what each means.
const (
	Malformed  = "malformed"  // not a bundle, export, receipt or checkpoint at all, or not read to its end
	Signature  = "signature"  // not a signed note, no key of the policy signed it, a signature is wrong, or too few witnesses did
	Origin     = "origin"     // another log than expected
	BadNote    = "checkpoint" // signed, yet no checkpoint, or not the one of the instant
	BadBundle  = "bundle"     // a bundle of entries that is cut, or holds too many
	Missing    = "missing"    // a bundle, state, stream or log that must be there
	Extra      = "extra"      // a file that must not be there
	Root       = "root"       // the entries are not those that were signed
	BadTile    = "tile"       // a tile of other hashes than the entries have
	Shape      = "shape"      // an entry that is not one of format v1, in its place and time
	Versions   = "versions"   // a stream whose versions are not 1, 2, 3 …
	BadState   = "state"      // state bytes that are not those of their name
	Rollback   = "rollback"   // older than a head that is held
	Fork       = "fork"       // another history than that of a head that is held
	BadCause   = "cause"      // a state whose cause lies after the instant
	Stale      = "stale"      // too old, or stamped in the future
	stepWhole  = 1            // the steps of the check: of several findings the one of the earliest step is told
	stepNote   = 2
	stepFiles  = 3
	stepRoot   = 4
	stepTiles  = 5
	stepShape  = 6
	stepStream = 7
	stepStates = 8
	stepHeld   = 9
	stepCause  = 10
	stepAge    = 11
)

// Finding is what is wrong. Position counts from 1 in the log; 0 stands for none.
type Finding struct {
	step     int
	Code     string
	Position int64
	Reason   string
}

func found(step int, code string, position int64, reason string, about ...any) *Finding {
	return &Finding{step, code, position, fmt.Sprintf(reason, about...)}
}

// earliest of two findings by step, then position; either may be nil.
func earliest(a, b *Finding) *Finding {
	if a == nil || b != nil && cmp.Or(cmp.Compare(b.step, a.step), cmp.Compare(b.Position, a.Position)) < 0 {
		return b
	}
	return a
}

// Line is the judgement of one log: its head, or the first finding. Origin is empty where the finding is about the whole input.
type Line struct {
	Origin  string
	Size    int64
	Root    tlog.Hash
	Finding *Finding
}

func (l Line) String() string {
	if l.Finding == nil {
		return fmt.Sprintf("OK %s %d %s", l.Origin, l.Size, l.Root)
	}
	position := "-"
	if l.Finding.Position > 0 {
		position = strconv.FormatInt(l.Finding.Position, 10)
	}
	return fmt.Sprintf("FAIL %s %s %s %s", l.Finding.Code, cmp.Or(l.Origin, "-"), position, l.Finding.Reason)
}

// shown makes text of a stranger fit for a line on a terminal: short, printable, quoted.
func shown(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.QuoteToASCII(strings.ToValidUTF8(text, string(utf8.RuneError)))
}
