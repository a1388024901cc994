// Verify-go checks the evidence of the hotline offline: that an audit bundle, the export of a log, a receipt or a checkpoint is what
// was signed, whole and in order, and of the history that the reader already holds a head of.
//
// It is the second opinion: it shares no code with the service or with `hotline verify`, and is built on the packages behind Go's own
// checksum database, golang.org/x/mod/sumdb/note and tlog. See docs/verifier-go.md.
//
// Exit codes: 0 nothing was found; 1 a finding; 2 wrong call.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hotline111.example/verify-go/verify"
)

const (
	clean = iota
	finding
	wrongCall
)

const usage = "verify-go --policy FILE... [--held FILE]... [--case UUID] [--max-age DURATION] [--expect ORIGIN]... [--state FILE]\n" +
	"          [--now TIME] [--json] [--quiet] PATH\n\n" +
	"PATH is an audit bundle (folder or tar), the export of a log, a receipt or a checkpoint.\n\n"

// maxHeld bounds a file given beside the evidence, in bytes.
const maxHeld = 16 << 20

type call struct {
	path, state, now string
	policy, held     []string
	json, quiet      bool
	options          verify.Options
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, log io.Writer) int {
	c, err := parse(args, log)
	if errors.Is(err, flag.ErrHelp) {
		return clean
	}
	if err != nil {
		return refuse(log, err)
	}
	report, err := c.verify(log)
	if err != nil {
		return refuse(log, err)
	}
	lines := bufio.NewWriter(out)
	for _, line := range report.Lines {
		c.print(lines, line)
	}
	if err := lines.Flush(); err != nil {
		return refuse(log, err)
	}
	if report.Clean() {
		return clean
	}
	return finding
}

func refuse(log io.Writer, err error) int {
	fmt.Fprintln(log, err)
	return wrongCall
}

// parse the call. Flags may also stand behind PATH.
func parse(args []string, log io.Writer) (*call, error) {
	c := &call{}
	flags := flag.NewFlagSet("verify-go", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Usage = func() {
		fmt.Fprint(log, usage)
		flags.PrintDefaults()
	}
	flags.Func("policy", "your own tlog-policy `file`, or a folder of such files, one an epoch; may be repeated", func(path string) error {
		c.policy = append(c.policy, path)
		return nil
	})
	flags.Func("held", "a `file` with a checkpoint or receipt that you hold; may be repeated", func(file string) error {
		c.held = append(c.held, file)
		return nil
	})
	flags.StringVar(&c.options.Case, "case", "", "the `id` of a case that must be shown whole")
	flags.Func("max-age", "how old the newest entry of a log may be, an `age` as 30m, 36h or 7d; nothing is fresh enough for 0h", func(text string) error {
		age, err := parseAge(text)
		c.options.MaxAge = age
		return err
	})
	flags.Func("expect", "the `origin` of a log: no other may be shown; may be repeated; default all of the policy", func(origin string) error {
		c.options.Expect = append(c.options.Expect, origin)
		return nil
	})
	flags.StringVar(&c.state, "state", "", "of a receipt: a `file` with the state bytes it shall stand for")
	flags.StringVar(&c.now, "now", "", "the `time` to judge ages by, as 2026-11-23T03:00:00Z; default the clock")
	flags.BoolVar(&c.json, "json", false, "print a JSON object a line")
	flags.BoolVar(&c.quiet, "quiet", false, "neither progress nor remarks nor times")
	var paths []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			break
		}
		paths, args = append(paths, flags.Arg(0)), flags.Args()[1:]
	}
	if len(paths) != 1 || len(c.policy) == 0 {
		flags.Usage()
		return nil, errors.New("one PATH and a --policy of your own are needed")
	}
	c.path = paths[0]
	return c, c.read()
}

var (
	agePattern = regexp.MustCompile(`^([0-9]{1,6})([smhd])$`)
	ageUnits   = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
)

func parseAge(text string) (time.Duration, error) {
	words := agePattern.FindStringSubmatch(text)
	if words == nil {
		return 0, errors.New("an age is a number and s, m, h or d: 36h")
	}
	count, err := strconv.ParseInt(words[1], 10, 64)
	if count == 0 {
		return verify.NoneFresh, err
	}
	if count > int64(math.MaxInt64/ageUnits[words[2]]) {
		return math.MaxInt64, err // 292 years
	}
	return time.Duration(count) * ageUnits[words[2]], err
}

// read the files and values of the call: they are the reader's own, so what is wrong with them makes the call wrong.
func (c *call) read() error {
	policies, err := readPolicies(c.policy)
	if err != nil {
		return err
	}
	if c.options.Policy, err = verify.ParsePolicies(policies...); err != nil {
		return err
	}
	if err := c.options.Validate(); err != nil {
		return err
	}
	if c.state != "" {
		if c.options.State, err = readFile(c.state, maxHeld); err != nil {
			return err
		}
	}
	if c.options.Now = time.Now(); c.now != "" {
		c.options.Now, err = time.Parse(time.RFC3339Nano, c.now)
	}
	return err
}

// readPolicies reads files, and the files of folders but for hidden ones.
func readPolicies(paths []string) (policies [][]byte, err error) {
	for _, path := range paths {
		names := []string{path}
		if entries, err := os.ReadDir(path); err == nil {
			names = nil
			for _, entry := range entries {
				if !strings.HasPrefix(entry.Name(), ".") {
					names = append(names, filepath.Join(path, entry.Name()))
				}
			}
		}
		for _, name := range names {
			raw, err := readFile(name, verify.MaxPolicy)
			if err != nil {
				return nil, err
			}
			policies = append(policies, raw)
		}
	}
	return policies, nil
}

// readFile of the reader's own: a regular file, for nobody knows when a pipe ends.
func readFile(name string, limit int64) ([]byte, error) {
	if info, err := os.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return raw, err
}

// verify PATH, telling progress; a bug that hostile input met is a finding, not a trace.
func (c *call) verify(log io.Writer) (report verify.Report, err error) {
	defer func() {
		if bug := recover(); bug != nil {
			report.Lines = append(report.Lines, verify.Bug(bug))
		}
	}()
	if c.quiet {
		log = io.Discard
	}
	var wrong []verify.Line
	for _, name := range c.held {
		raw, err := readFile(name, maxHeld)
		if err != nil {
			return report, err
		}
		held, problem := verify.ReadHeld(c.options.Policy, fmt.Sprintf("held head %d", len(c.options.Held)+len(wrong)+1), raw)
		if problem != nil {
			wrong = append(wrong, verify.Line{Finding: problem})
			continue
		}
		c.options.Held = append(c.options.Held, held)
	}
	watched := watch(log)
	c.options.Progress = &watched.Progress
	report, err = verify.Verify(c.path, c.options)
	watched.stop()
	report.Lines = append(wrong, report.Lines...)
	if err != nil {
		return report, err
	}
	for _, remark := range append(c.options.Policy.Remarks, report.Remarks...) {
		fmt.Fprintln(log, "note:", remark)
	}
	watched.sum(log)
	return report, nil
}

func (c *call) print(out io.Writer, line verify.Line) {
	if !c.json {
		fmt.Fprintln(out, line)
		return
	}
	told := map[string]any{"ok": line.Finding == nil, "origin": orNull(line.Origin)}
	if line.Finding == nil {
		told["size"], told["root"] = line.Size, line.Root.String()
	} else {
		told["code"], told["position"], told["reason"] = line.Finding.Code, orNull(line.Finding.Position), line.Finding.Reason
	}
	text, err := json.Marshal(told)
	if err != nil {
		panic(err) // strings and numbers are always JSON
	}
	fmt.Fprintf(out, "%s\n", text)
}

func orNull[T comparable](value T) any {
	if value == *new(T) {
		return nil
	}
	return value
}
