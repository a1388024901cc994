package verify_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"hotline111.example/verify-go/made"
	"hotline111.example/verify-go/verify"
)

// rotation of the key of the cases: epoch 1 has the old key, epoch 2 both, epoch 3 the new one, from the size 650 on.
func rotation(w *world) (newer *made.Log, files [][]byte) {
	newer = made.New(cases, [32]byte{8})
	newer.Entries = w.cases.Entries
	old, young := "log "+w.cases.Vkey+"\n", "log "+newer.Vkey+"\n"
	rest := "log " + w.intake.Vkey + "\nquorum none\n"
	return newer, [][]byte{
		[]byte("# epoch 1 from 2026-11-01\n" + old + rest),
		[]byte("#epoch 2\n" + old + young + rest),
		[]byte("# an invented line\n# epoch 3 from 2027-01-01\n# after " + cases + " 650\n" + young + rest),
	}
}

func epochsOf(t *testing.T, files ...[]byte) *verify.Policy {
	t.Helper()
	policy, err := verify.ParsePolicies(files...)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestAKeyCountsForTheSizesOfItsEpochsOnly(t *testing.T) {
	w := newWorld(t)
	newer, files := rotation(w)
	w.options.Policy = epochsOf(t, files[2], files[0], files[1])
	for size, want := range map[int64][2]string{ // the old key, the new one
		640: {"OK " + cases + " 640", "OK " + cases + " 640"},
		650: {"OK " + cases + " 650", "OK " + cases + " 650"},
		651: {"FAIL signature " + cases, "OK " + cases + " 651"},
	} {
		wants(t, w.file(t, w.cases.Checkpoint(size)), want[0])
		wants(t, w.file(t, newer.Checkpoint(size)), want[1])
	}
	wants(t, w.file(t, w.cases.Receipt(3, 700)), "FAIL signature "+cases)
	wantsClean(t, w.file(t, w.cases.Receipt(3, 600)), 1)
	w.options.Policy = epochsOf(t, files[2])
	wants(t, w.file(t, newer.Checkpoint(650)), "FAIL signature "+cases)
	wantsClean(t, w.file(t, newer.Checkpoint(651)), 1)
}

func TestABundleSignedByTheNewKeyShowsArchivedNotesOfTheOldOne(t *testing.T) {
	w := newWorld(t)
	newer, files := rotation(w)
	bundle := w.whole()
	bundle["logs/cases/checkpoint"] = newer.Checkpoint(700)
	bundle["logs/cases/checkpoints/600"] = w.cases.Checkpoint(600)
	w.options.Policy = epochsOf(t, files...)
	wantsClean(t, w.judge(t, bundle), 2)
	bundle["logs/cases/checkpoints/660"] = w.cases.Checkpoint(660)
	wants(t, w.judge(t, bundle), "FAIL signature "+cases)
}

func TestPoliciesOfWhichNobodyCanTellWhatTheySayAreRefused(t *testing.T) {
	w := newWorld(t)
	_, files := rotation(w)
	first, third := string(files[0]), string(files[2])
	for what, texts := range map[string][]string{
		"one epoch twice":          {first, first},
		"a file without its epoch": {first, string(made.Policy(w.cases, w.intake))},
		"two numbers":              {first + "# epoch 2\n"},
		"a slip in the number":     {strings.Replace(first, "epoch 1", "epoch one", 1)},
		"a slip in the size":       {strings.Replace(third, " 650", " 0650", 1)},
		"two sizes":                {third + "# after " + cases + " 651\n"},
		"a size of another log":    {third + "# after hotline111.example/test/none 651\n"},
		"a size without an epoch":  {strings.Replace(third, "# epoch 3 from 2027-01-01\n", "", 1)},
		"sizes that run back":      {third, fmt.Sprintf("# epoch 4\n# after %s 649\nlog %s\nquorum none\n", cases, w.cases.Vkey)},
		"a key dropped in silence": {string(files[1]), strings.Replace(third, "# after "+cases+" 650\n", "", 1)},
		"nothing":                  {},
	} {
		var raw [][]byte
		for _, text := range texts {
			raw = append(raw, []byte(text))
		}
		if _, err := verify.ParsePolicies(raw...); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if policy, err := verify.ParsePolicies(bytes.Replace(files[0], []byte("# epoch 1"), []byte("# epoch 7, and more\n# x"), 1)); err == nil {
		t.Error("taken", policy)
	}
}
