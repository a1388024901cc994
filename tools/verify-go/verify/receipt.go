package verify

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	receiptLine = "c2sp.org/tlog-proof@v1\n"
	maxReceipt  = maxNote + 1<<18 // an entry in base64, 63 hashes, and the checkpoint
)

// receipt is a tlog-proof taken apart; nothing of it is proven yet.
type receipt struct {
	entry []byte // nil where there is no extra line
	index int64
	proof tlog.RecordProof
	note  []byte
}

func parseReceipt(raw []byte) (r receipt, err error) {
	top, checkpoint, ok := strings.Cut(string(raw), "\n\n")
	lines := strings.Split(top, "\n")
	if !ok || lines[0]+"\n" != receiptLine || len(lines) < 2 {
		return r, errors.New("not a proof, an empty line and a checkpoint")
	}
	r.note, lines = []byte(checkpoint), lines[1:]
	if extra, ok := strings.CutPrefix(lines[0], "extra "); ok {
		if r.entry, err = base64.StdEncoding.Strict().DecodeString(extra); err != nil {
			return r, errors.New("its extra line is not base64")
		}
		lines = lines[1:]
	}
	index, ok := "", false
	if len(lines) > 0 {
		index, ok = strings.CutPrefix(lines[0], "index ")
	}
	if r.index, err = decimal(index); err != nil || !ok {
		return r, errors.New("its index line is missing or no plain decimal number")
	}
	if lines = lines[1:]; len(lines) > 63 {
		return r, errors.New("it has more hashes than any tree is high")
	}
	for _, line := range lines {
		hash, err := parseHash(line)
		if err != nil {
			return r, err
		}
		r.proof = append(r.proof, hash)
	}
	return r, nil
}

// prove the receipt: its checkpoint, that the entry lies in it at the index, and that the entry says the same place.
func (p *Policy) prove(raw []byte, cosigned bool) (head Checkpoint, e entry, problem *Finding) {
	r, err := parseReceipt(raw)
	if err != nil {
		return head, e, found(stepWhole, Malformed, 0, "not a receipt: %v", err)
	}
	if head, problem = p.open(r.note, cosigned); problem != nil {
		return head, e, problem
	}
	if r.entry == nil {
		return head, e, found(stepFiles, Missing, r.index+1, "the receipt has no entry in its extra line")
	}
	if r.index >= head.Size { // else a proof for an index that is not there may be made
		return head, e, found(stepRoot, Root, r.index+1, "index %d is not below the size %d", r.index, head.Size)
	}
	if tlog.CheckRecord(r.proof, head.Size, head.Root, r.index, tlog.RecordHash(r.entry)) != nil {
		return head, e, found(stepRoot, Root, r.index+1, "the hashes do not lead from this entry to the root of the checkpoint")
	}
	if e, err = parseEntry(r.entry, head.Origin, r.index+1, stamp{}); err != nil {
		return head, e, found(stepShape, Shape, r.index+1, "%v", err)
	}
	return head, e, nil
}

func (c *check) receipt(raw []byte) error {
	if c.MaxAge != 0 && c.Policy.quorum == nil {
		return fmt.Errorf("%w: a receipt is not to be new; a greatest age is for logs", ErrCall)
	}
	if c.Case != "" {
		return fmt.Errorf("%w: a case is shown by a bundle or an export; a receipt shows none", ErrCall)
	}
	head, e, problem := c.Policy.prove(raw, true)
	if problem == nil && c.State != nil && digest(sha256.Sum256(c.State)) != e.state {
		problem = found(stepStates, BadState, e.position, "the state given is not the one that was recorded")
	}
	if problem == nil && e.at.time().After(c.Now.Add(tolerance)) {
		problem = found(stepAge, Stale, e.position, "the entry is stamped %s, in the future", e.at[:])
	}
	c.single(head, problem, false)
	return nil
}

// checkpoint checks a head alone.
func (c *check) checkpoint(raw []byte) error {
	if c.MaxAge != 0 && c.Policy.quorum == nil {
		return fmt.Errorf("%w: a checkpoint has no time; without witnesses its age cannot be told", ErrCall)
	}
	if c.Case != "" || c.State != nil {
		return fmt.Errorf("%w: a checkpoint shows no case and no state", ErrCall)
	}
	head, problem := c.Policy.open(raw, true)
	c.single(head, problem, true)
	return nil
}

// single judges a head that came without its entries: against held heads of the same size, and as the current one, against any.
func (c *check) single(head Checkpoint, problem *Finding, current bool) {
	if problem == nil && !slices.Contains(c.expected(), head.Origin) {
		problem = found(stepNote, Origin, 0, "a log that was not expected")
	}
	for _, held := range c.Held {
		if problem != nil || held.Origin != head.Origin {
			continue
		}
		switch {
		case held.Size == head.Size && held.Root != head.Root:
			problem = found(stepHeld, Fork, 0, "%s, of the same size %d, is of another history", held.Source, held.Size)
		case held.Size > head.Size && current:
			problem = found(stepHeld, Rollback, head.Size+1, "%s is of size %d: this head is older", held.Source, held.Size)
		case held.Size != head.Size && held.Size > 0:
			c.remark("%s is of size %d, this of %d: without the entries nobody can tell whether one grew out of the other",
				held.Source, held.Size, head.Size)
		}
	}
	switch {
	case problem != nil:
	case head.Seen.IsZero() && c.MaxAge != 0:
		problem = found(stepAge, Stale, 0, "no witness says when it was seen: it may be old")
	case !head.Seen.IsZero():
		if head.Seen.After(c.Now.Add(tolerance)) {
			problem = found(stepAge, Stale, 0, "the witnesses' time is in the future")
		} else if c.MaxAge != 0 && c.Now.Sub(head.Seen) > c.MaxAge {
			problem = found(stepAge, Stale, 0, "the witnesses saw it %s, and none since", head.Seen.Format(stampLayout))
		}
	}
	c.Lines = append(c.Lines, Line{Origin: head.Origin, Size: head.Size, Root: head.Root, Finding: problem})
}

// Held is a head that the reader got earlier, or elsewhere.
type Held struct {
	Checkpoint
	Source string
}

// ReadHeld reads a checkpoint, or a receipt, which holds one. Source names it in findings.
func ReadHeld(policy *Policy, source string, raw []byte) (Held, *Finding) {
	var head Checkpoint
	var problem *Finding
	if strings.HasPrefix(string(raw), receiptLine) {
		head, _, problem = policy.prove(raw, false)
	} else {
		head, problem = policy.open(raw, false)
	}
	if problem != nil {
		return Held{}, found(stepHeld, problem.Code, problem.Position, "%s: %s", source, problem.Reason)
	}
	return Held{head, source}, nil
}
