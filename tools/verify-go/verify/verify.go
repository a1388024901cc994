package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// tolerance for clocks that differ, in "not stamped in the future".
const tolerance = time.Minute

// NoneFresh is an age that nothing is young enough for.
const NoneFresh = time.Duration(math.MinInt64)

// Options of a check. Policy is needed, all else may be zero.
type Options struct {
	Policy   *Policy
	Held     []Held
	Expect   []string      // origins: no other log, and in a bundle each of these; empty for all of the policy
	Case     string        // the stream of a case that must be shown whole
	MaxAge   time.Duration // how old the newest entry (with witnesses: the newest quorum) of a log may be; 0 for any age; NoneFresh
	Now      time.Time
	State    []byte // of a receipt: the state bytes that it shall stand for; nil for none
	Progress *Progress
}

// Progress may be read while a check runs.
type Progress struct {
	Entries, States, Bytes atomic.Int64
	Log                    atomic.Pointer[string]
}

// Report is the judgement: a line a log, and remarks on what was not, or could not be, checked.
type Report struct {
	Lines   []Line
	Remarks []string
}

// Clean tells whether nothing at all was found.
func (r Report) Clean() bool {
	return len(r.Lines) > 0 && !slices.ContainsFunc(r.Lines, func(l Line) bool { return l.Finding != nil })
}

func (r *Report) fail(origin string, finding *Finding) {
	r.Lines = append(r.Lines, Line{Origin: origin, Finding: finding})
}

func (r *Report) remark(text string, about ...any) {
	r.Remarks = append(r.Remarks, fmt.Sprintf(text, about...))
}

// ErrCall marks a call that cannot be answered; all that is wrong with the evidence is a finding instead.
var ErrCall = errors.New("wrong call")

// check is one run.
type check struct {
	Options
	Report
}

// Verify checks what lies at path: a bundle (folder or tar), the export of a log, a receipt or a checkpoint.
func Verify(path string, options Options) (Report, error) {
	c := &check{Options: options}
	info, err := os.Stat(path)
	if err != nil {
		return c.Report, fmt.Errorf("%w: %w", ErrCall, err)
	}
	switch {
	case info.IsDir():
		err = c.folder(path)
	case info.Mode().IsRegular():
		err = c.file(path, info.Size())
	default:
		err = fmt.Errorf("%w: %s is neither a file nor a folder", ErrCall, path)
	}
	if err != nil && !errors.Is(err, ErrCall) {
		c.fail("", found(stepWhole, Malformed, 0, "it cannot be read: %v", err))
		err = nil
	}
	c.contradictions()
	return c.Report, err
}

// contradictions between heads that are held: two of one size with two roots prove a fork without any entry.
func (c *check) contradictions() {
	type place struct {
		origin string
		size   int64
	}
	held := map[place]Held{}
	for _, one := range c.Held {
		other, twice := held[place{one.Origin, one.Size}]
		held[place{one.Origin, one.Size}] = one
		isKnown := slices.ContainsFunc(c.Lines, func(l Line) bool { return l.Origin == one.Origin && l.Finding != nil })
		if twice && other.Root != one.Root && !isKnown {
			c.fail(one.Origin, found(stepHeld, Fork, 0, "%s and %s, both of size %d, are of two histories", other.Source, one.Source, one.Size))
		}
	}
}

func (c *check) folder(path string) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	return c.bundle(&folder{root: root})
}

func (c *check) file(path string, size int64) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCall, err)
	}
	defer file.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if n == len(head) && string(head[257:262]) == "ustar" {
		return c.bundle(tarball{file, size})
	}
	if packed(head[:n]) {
		c.fail("", found(stepWhole, Malformed, 0, "it is compressed; bundles are not: unpack it yourself"))
		return nil
	}
	raw, err := readAll(file, maxReceipt, nil)
	switch {
	case errors.Is(err, errTooLong):
		c.fail("", found(stepWhole, Malformed, 0, "neither a tar, nor a receipt or checkpoint, which are shorter than %d bytes", maxReceipt))
	case err != nil:
		return err
	case bytes.HasPrefix(raw, []byte(receiptLine)):
		return c.receipt(raw)
	case bytes.Contains(raw, []byte("\n\n— ")):
		return c.checkpoint(raw)
	default:
		c.fail("", found(stepWhole, Malformed, 0, "neither a tar, nor a receipt, nor a checkpoint"))
	}
	return nil
}

func packed(head []byte) bool {
	for _, magic := range []string{"\x1f\x8b", "BZh", "\xfd7zXZ", "\x28\xb5\x2f\xfd", "PK\x03\x04", "\x1f\x9d"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

// expected origins: those asked for, else all of the policy.
func (c *check) expected() []string {
	if len(c.Expect) > 0 {
		return c.Expect
	}
	return c.Policy.Origins()
}

// guarded turns a bug, which hostile input may find, into a finding of the log that it was met in.
func guarded(finding **Finding) {
	if bug := recover(); bug != nil {
		*finding = earliest(*finding, found(stepWhole, Malformed, 0, "the verifier cannot take this: %s", shown(fmt.Sprint(bug))))
	}
}

func workers() int { return max(2, runtime.GOMAXPROCS(0)) }

// Validate refuses options that no evidence can answer.
func (o Options) Validate() error {
	if o.Case != "" {
		if _, err := parseUUID([]byte(o.Case)); err != nil {
			return fmt.Errorf("%w: the case must be a UUID in lower case", ErrCall)
		}
	}
	for _, origin := range o.Expect {
		if !o.Policy.knows(origin) {
			return fmt.Errorf("%w: the policy does not list %s", ErrCall, shown(origin))
		}
	}
	if o.MaxAge < 0 && o.MaxAge != NoneFresh {
		return fmt.Errorf("%w: an age is not negative", ErrCall)
	}
	return nil
}

// Bug is the line for a panic outside of any log.
func Bug(bug any) Line {
	return Line{Finding: found(stepWhole, Malformed, 0, "the verifier cannot take this: %s", shown(fmt.Sprint(bug)))}
}
