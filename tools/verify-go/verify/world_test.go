package verify_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotline111.example/verify-go/made"
	"hotline111.example/verify-go/verify"
)

const (
	cases  = "hotline111.example/test/cases"
	intake = "hotline111.example/test/intake"
)

// world is two signed logs with all their states, the policy of a reader, and a day after the last fact.
type world struct {
	cases, intake *made.Log
	rows          map[string][]made.Row
	options       verify.Options
}

func newWorld(t testing.TB, sizes ...int) *world {
	t.Helper()
	sizes = append(sizes, 700, 300)
	w := &world{cases: made.New(cases, [32]byte{1}), intake: made.New(intake, [32]byte{2}), rows: map[string][]made.Row{}}
	for log, name, n := w.cases, "cases", sizes[0]; log != nil; log, name, n = w.next(log), "intake", sizes[1] {
		w.rows[name] = made.History(name, n)
		log.Add(w.rows[name]...)
	}
	w.options = verify.Options{Policy: policyOf(t, made.Policy(w.cases, w.intake)), Now: made.Start.Add(24 * time.Hour)}
	return w
}

func (w *world) next(log *made.Log) *made.Log {
	if log == w.cases {
		return w.intake
	}
	return nil
}

func policyOf(t testing.TB, text []byte) *verify.Policy {
	t.Helper()
	policy, err := verify.ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// whole bundle: every state of both logs.
func (w *world) whole() made.Files {
	files := made.Bundle("cases *\nintake *\n", w.cases, w.intake)
	for _, rows := range w.rows {
		for _, row := range rows {
			files.AddState(row.State)
		}
	}
	return files.AddSums()
}

// oneCase is the bundle of one case: all entries, the states of one stream of each log.
func (w *world) oneCase() made.Files {
	files := made.Bundle("cases "+made.Stream(3)+"\nintake "+made.Stream(3)+"\n", w.cases, w.intake)
	for _, rows := range w.rows {
		for _, row := range rows {
			if row.Stream == made.Stream(3) {
				files.AddState(row.State)
			}
		}
	}
	return files.AddSums()
}

func (w *world) export() made.Files {
	files := w.cases.Export()
	for _, row := range w.rows["cases"] {
		files.AddState(row.State)
	}
	return files.AddSums()
}

// hold a checkpoint or receipt.
func (w *world) hold(t testing.TB, raw []byte) {
	t.Helper()
	held, problem := verify.ReadHeld(w.options.Policy, "a held head", raw)
	if problem != nil {
		t.Fatal(problem)
	}
	w.options.Held = append(w.options.Held, held)
}

// judge files as a folder and as a tar; both must be judged alike.
func (w *world) judge(t testing.TB, files made.Files) string {
	t.Helper()
	folder := filepath.Join(fast(t), "bundle")
	if err := files.WriteFolder(folder); err != nil {
		t.Fatal(err)
	}
	tarred := folder + ".tar"
	var packed bytes.Buffer
	if err := files.WriteTar(&packed); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tarred, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	said := w.said(t, folder)
	if again := w.said(t, tarred); said != again {
		t.Errorf("as a folder:\n%s\nas a tar:\n%s", said, again)
	}
	return said
}

// fast is a temporary folder in memory, where there is one: bundles are many small files.
func fast(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "verify-go-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// said of what lies at a path: the lines, each with its end.
func (w *world) said(t testing.TB, path string) string {
	t.Helper()
	w.options.Progress = &verify.Progress{}
	report, err := verify.Verify(path, w.options)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, line := range report.Lines {
		text.WriteString(line.String() + "\n")
	}
	if report.Clean() == strings.Contains(text.String(), "FAIL") {
		t.Errorf("clean is %v, yet it says\n%s", report.Clean(), text.String())
	}
	return text.String()
}

// file judged alone: a receipt or a checkpoint.
func (w *world) file(t testing.TB, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return w.said(t, path)
}

// wants that a line begins so, and that all other lines are OK.
func wants(t testing.TB, said, begins string) {
	t.Helper()
	fails := 0
	isThere := false
	for line := range strings.Lines(said) {
		isThere = isThere || strings.HasPrefix(line, begins)
		if strings.HasPrefix(line, "FAIL") {
			fails++
		}
	}
	if !isThere || fails > 1 {
		t.Errorf("want one finding %q, and it says\n%s", begins, said)
	}
}

func wantsClean(t testing.TB, said string, lines int) {
	t.Helper()
	if strings.Contains(said, "FAIL") || strings.Count(said, "OK ") != lines {
		t.Errorf("want %d lines OK, and it says\n%s", lines, said)
	}
}

func clone(files made.Files) made.Files {
	copied := maps.Clone(files)
	for name, content := range copied {
		copied[name] = bytes.Clone(content)
	}
	return copied
}
