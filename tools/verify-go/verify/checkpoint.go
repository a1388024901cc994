package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxNote bounds a checkpoint in bytes: one with a hundred signatures has 15,000.
const maxNote = 64 << 10

// Checkpoint is a signed head: the first Size entries of the log Origin have the root Root.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
	Seen   time.Time // when the last witness of the newest quorum saw it; zero without witnesses
}

var emptyTree = func() tlog.Hash { root, _ := tlog.TreeHash(0, nil); return root }()

// parseCheckpoint reads the text of a note: exactly three lines.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" || lines[0] == "" {
		return Checkpoint{}, errors.New("not exactly three lines")
	}
	size, err := decimal(lines[1])
	if err != nil {
		return Checkpoint{}, errors.New("the size is no plain decimal number")
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return Checkpoint{}, errors.New("the root is not 32 bytes of base64")
	}
	if size == 0 && root != emptyTree {
		return Checkpoint{}, errors.New("size 0, yet not the root of the empty tree")
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// decimal reads a number of at least 0 without sign or leading zero.
func decimal(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (n < 0 || strconv.FormatInt(n, 10) != text) {
		err = errors.New("not a plain decimal number")
	}
	return n, err
}

func parseHash(text string) (hash tlog.Hash, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != tlog.HashSize || len(text) != 44 {
		return hash, errors.New("not a hash in base64")
	}
	return tlog.Hash(raw), nil
}

// openAlone opens a checkpoint by this one epoch: signed by the key of its own origin, every line of a known key right, no line twice; cosigned if asked for.
// With a finding, of the checkpoint only the origin is told, if it claims one of the policy.
func (p *Policy) openAlone(raw []byte, cosigned bool) (Checkpoint, *Finding) {
	claimed, _, _ := strings.Cut(string(raw[:min(len(raw), 1024)]), "\n")
	if !p.origins[claimed] {
		claimed = ""
	}
	text, lines, problem := p.signed(raw)
	if problem != nil {
		return Checkpoint{Origin: claimed}, problem
	}
	head, err := parseCheckpoint(text)
	if err != nil {
		return Checkpoint{Origin: claimed}, found(stepNote, BadNote, 0, "not a checkpoint: %v", err)
	}
	if !p.covers(head) {
		return Checkpoint{Origin: claimed}, found(stepNote, Signature, 0, "a checkpoint of size %d signed by a key that is not of its epoch", head.Size)
	}
	if p.quorum != nil {
		head.Seen, err = p.reached(lines)
		if err != nil || head.Seen.IsZero() && cosigned {
			return Checkpoint{Origin: claimed}, found(stepNote, Signature, 0, "too few witnesses cosigned the checkpoint")
		}
	}
	return head, nil
}

// signed opens a note and tells its text and the lines of known keys, one of which is the origin's own.
func (p *Policy) signed(raw []byte) (text string, lines []note.Signature, problem *Finding) {
	if len(raw) > maxNote {
		return "", nil, found(stepNote, BadNote, 0, "the checkpoint is longer than %d bytes", maxNote)
	}
	if err := plainLines(raw); err != nil {
		return "", nil, found(stepNote, BadNote, 0, "not a signed note: %v", err)
	}
	opened, err := note.Open(raw, note.VerifierList(p.keys...))
	if unknown := (*note.UnverifiedNoteError)(nil); errors.As(err, &unknown) {
		return "", nil, found(stepNote, Signature, 0, "no key of the policy signed the checkpoint")
	} else if wrong := (*note.InvalidSignatureError)(nil); errors.As(err, &wrong) {
		return "", nil, found(stepNote, Signature, 0, "the signature of %s is wrong", shown(wrong.Name))
	} else if err != nil {
		return "", nil, found(stepNote, BadNote, 0, "not a signed note: %v", err)
	}
	origin, _, _ := strings.Cut(opened.Text, "\n")
	if !p.origins[origin] {
		return "", nil, found(stepNote, Origin, 0, "a checkpoint of %s, which the policy does not list", shown(origin))
	}
	if !slices.ContainsFunc(opened.Sigs, func(line note.Signature) bool {
		witness, known := p.signers[signer{line.Name, line.Hash}]
		return line.Name == origin && known && witness == nil
	}) {
		return "", nil, found(stepNote, Signature, 0, "the checkpoint is not signed by a key of its own log")
	}
	return opened.Text, opened.Sigs, nil
}

// reached tells since when the newest cosignatures make a quorum; zero if they do not.
func (p *Policy) reached(lines []note.Signature) (time.Time, error) {
	type seen struct {
		by *member
		at time.Time
	}
	var all []seen
	for _, line := range lines {
		if witness := p.signers[signer{line.Name, line.Hash}]; witness != nil {
			at, err := cosignedAt(line)
			if err != nil {
				return time.Time{}, err
			}
			all = append(all, seen{witness, at})
		}
	}
	slices.SortFunc(all, func(a, b seen) int { return b.at.Compare(a.at) })
	by := map[*member]bool{}
	for _, one := range all {
		if by[one.by] = true; p.quorum.satisfied(by) {
			return one.at, nil
		}
	}
	return time.Time{}, nil
}

// plainLines refuses what note.Open passes over: a repeated (name, id), of which only the first is verified there, and base64 with
// bits to spare, which lets one signature be written in several ways.
func plainLines(raw []byte) error {
	split := bytes.LastIndex(raw, []byte("\n\n"))
	if split < 0 {
		return errors.New("no empty line before the signatures")
	}
	seen := map[signer]bool{}
	for line := range strings.Lines(string(raw[split+2:])) {
		name, text, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, "— "), "\n"), " ")
		signature, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(signature) < 5 {
			return errors.New("a line that is no signature")
		}
		key := signer{name, binary.BigEndian.Uint32(signature)}
		if seen[key] {
			return errors.New("two signatures of one key")
		}
		seen[key] = true
	}
	return nil
}
