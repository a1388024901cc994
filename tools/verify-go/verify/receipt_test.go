package verify_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotline111.example/verify-go/made"
	"hotline111.example/verify-go/verify"
)

func TestEveryReceiptOfALogIsCleanAndNamesItsState(t *testing.T) {
	w := newWorld(t, 70, 1)
	for index := range int64(70) {
		w.options.State = w.rows["cases"][index].State
		wantsClean(t, w.file(t, w.cases.Receipt(index, 70)), 1)
	}
	w.options.State = []byte("{}")
	wants(t, w.file(t, w.cases.Receipt(3, 70)), "FAIL state "+cases)
}

func TestAReceiptThatProvesNothingIsFound(t *testing.T) {
	w := newWorld(t)
	genuine := string(w.cases.Receipt(4, 700))
	lines := strings.SplitN(genuine, "\n", 5)
	replaced := func(old, by string) string { return strings.Replace(genuine, old, by, 1) }
	renumbered := made.New(cases, [32]byte{1})
	renumbered.Entries = append([][]byte{}, w.cases.Entries...)
	renumbered.Entries[4] = made.Entry(cases, 6, w.rows["cases"][4])
	for what, broken := range map[string]struct{ raw, found string }{
		"another index":        {replaced("index 4\n", "index 5\n"), "FAIL root " + cases + " 6 "},
		"an index at the size": {replaced("index 4\n", "index 700\n"), "FAIL root " + cases + " 701 "},
		"an index with a zero": {replaced("index 4\n", "index 04\n"), "FAIL malformed "},
		"a hash less":          {replaced(lines[3]+"\n", ""), "FAIL root " + cases + " 5 "},
		"a hash more":          {replaced(lines[3]+"\n", lines[3]+"\n"+lines[3]+"\n"), "FAIL root " + cases + " 5 "},
		"no entry":             {replaced(lines[1]+"\n", ""), "FAIL missing " + cases + " 5 "},
		"the entry of another": {replaced(lines[1], strings.Split(string(w.cases.Receipt(5, 700)), "\n")[1]), "FAIL root " + cases + " 5 "},
		"an entry elsewhere":   {string(renumbered.Receipt(4, 700)), "FAIL shape " + cases + " 5 "},
		"no checkpoint":        {genuine[:strings.Index(genuine, "\n\n")+1], "FAIL malformed - - "},
		"only its first line":  {"c2sp.org/tlog-proof@v1\n", "FAIL malformed - - "},
		"the head of a stranger": {strings.Replace(genuine, string(w.cases.Checkpoint(700)),
			string(w.intake.Checkpoint(300)), 1), "FAIL root " + intake},
	} {
		t.Run(what, func(t *testing.T) { wants(t, w.file(t, []byte(broken.raw)), broken.found) })
	}
}

func TestAReceiptIsAHeldHead(t *testing.T) {
	w := newWorld(t)
	w.hold(t, w.cases.Receipt(4, 333))
	wantsClean(t, w.judge(t, w.whole()), 2)
	w.cases.Entries[200] = w.cases.Entries[201]
	wants(t, w.file(t, w.cases.Checkpoint(333)), "FAIL fork "+cases)
}

func TestWhatNoEvidenceCanAnswerIsAWrongCall(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "checkpoint")
	if err := os.WriteFile(path, w.cases.Checkpoint(700), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(o *verify.Options){
		"the age of a head without witnesses": func(o *verify.Options) { o.MaxAge = 1 },
		"a case in a checkpoint":              func(o *verify.Options) { o.Case = made.Stream(1) },
		"state bytes for a checkpoint":        func(o *verify.Options) { o.State = []byte("{}") },
	} {
		options := w.options
		change(&options)
		if _, err := verify.Verify(path, options); !errors.Is(err, verify.ErrCall) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := verify.Verify(path+".not", w.options); !errors.Is(err, verify.ErrCall) {
		t.Error(err)
	}
	if problem := held(w, bytes.Replace(w.cases.Checkpoint(7), []byte("\n7\n"), []byte("\n8\n"), 1)); problem == nil {
		t.Error("a held head that nobody signed is taken")
	}
}

func held(w *world, raw []byte) error {
	if _, problem := verify.ReadHeld(w.options.Policy, "held", raw); problem != nil {
		return problem
	}
	return nil
}
