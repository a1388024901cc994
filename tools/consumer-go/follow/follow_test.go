package follow

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func headers(changed ...string) map[string]string {
	found := map[string]string{
		"ce_specversion": "1.0",
		"ce_id":          "7",
		"ce_source":      "/hotline/cases",
		"ce_type":        "cases.PlanApproved",
		"ce_subject":     "0b7d4c1e-4f7e-4a35-9f0e-0f6a9f4c1a11",
		"ce_time":        "2026-03-03T02:35:00.000007Z",
		"version":        "2",
	}
	for n := 0; n < len(changed); n += 2 {
		found[changed[n]] = changed[n+1]
	}
	return found
}

const state = `{"v":1,"meta":{"actor":"TVV-01"},"fact":{"plan":9007199254740993,"a":"<b>"},"sealed":{"p2":"BOX2","p1":"BOX1"}}`

func TestARecordIsReadWithItsClearPartWholeAndOnlyTheNamesOfItsSealedParts(t *testing.T) {
	fact, err := Read(headers(), []byte(state), nil)
	want := Fact{
		Log: "cases", Position: 7, Stream: "0b7d4c1e-4f7e-4a35-9f0e-0f6a9f4c1a11", Version: 2, Type: "cases.PlanApproved",
		RecordedAt: "2026-03-03T02:35:00.000007Z", Fact: json.RawMessage(`{"plan":9007199254740993,"a":"<b>"}`), Sealed: []string{"p1", "p2"},
	}
	if err != nil || !reflect.DeepEqual(want, fact) {
		t.Fatalf("wanted %+v, got %+v, %v", want, fact, err)
	}
	line, _ := json.Marshal(fact)
	if strings.Contains(string(line), "BOX") {
		t.Fatalf("a box went on: %s", line)
	}
}

func TestARecordWithoutTheHeadersOfARelayIsAStrangers(t *testing.T) {
	for _, changed := range [][2]string{
		{"ce_source", "/elsewhere"}, {"ce_specversion", ""}, {"ce_id", "seven"}, {"ce_id", "0"}, {"ce_id", "-1"}, {"version", ""},
	} {
		if _, err := Read(headers(changed[0], changed[1]), []byte(state), nil); !errors.Is(err, ErrStranger) {
			t.Errorf("%v was taken for a relay's: %v", changed, err)
		}
	}
}

func TestWhatIsNotKnownIsPassedOnWithAMark(t *testing.T) {
	known := Known{"cases.PlanApproved": 1}
	for _, one := range []struct{ kind, body, mark, fact string }{
		{"cases.PlanApproved", state, "", `{"plan":9007199254740993,"a":"<b>"}`},
		{"cases.PlanApproved", `{"v":2,"fact":{}}`, "newer version", `{}`},
		{"cases.PlanTorn", `{"v":1,"fact":{}}`, "unknown type", `{}`},
		{"cases.PlanApproved", `{"v":`, "unreadable", `null`},
		{"cases.PlanApproved", `[]`, "unreadable", `null`},
	} {
		fact, err := Read(headers("ce_type", one.kind), []byte(one.body), known)
		if err != nil || fact.Mark != one.mark || string(fact.Fact) != one.fact {
			t.Errorf("%s: got mark %q, fact %s, %v", one.body, fact.Mark, fact.Fact, err)
		}
	}
}

func TestAReleaseTeachesTheNewestVersionOfEveryFact(t *testing.T) {
	folder := t.TempDir()
	if _, err := Learn(folder); err == nil {
		t.Fatal("an empty folder taught something")
	}
	place := filepath.Join(folder, "schemas", "cases")
	if err := os.MkdirAll(place, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"PlanApproved.v2.json", "PlanApproved.v10.json", "CaseOpened.v1.json"} {
		if err := os.WriteFile(filepath.Join(place, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	known, err := Learn(folder)
	if want := (Known{"cases.PlanApproved": 10, "cases.CaseOpened": 1}); err != nil || !reflect.DeepEqual(want, known) {
		t.Fatalf("wanted %v, got %v, %v", want, known, err)
	}
}

func TestOnlyTheNextPositionIsActedOn(t *testing.T) {
	last, acted := int64(0), []int64{}
	for _, position := range []int64{1, 2, 2, 1, 4, 5, 3, 4, 5, 6} {
		if TurnOf(position, last) == Next {
			last, acted = position, append(acted, position)
		}
	}
	if want := []int64{1, 2, 3, 4, 5, 6}; !reflect.DeepEqual(want, acted) {
		t.Fatalf("wanted %v, got %v", want, acted)
	}
	if Gap != TurnOf(8, 6) || Repeat != TurnOf(6, 6) {
		t.Fatal("a gap is ahead, a repeat is not")
	}
}

func TestAPlaceIsKeptWholeAndAnOutputIsCutBackToIt(t *testing.T) {
	folder := t.TempDir()
	file, output := filepath.Join(folder, "place.json"), filepath.Join(folder, "facts.jsonl")
	if place, err := Load(file); err != nil || place != (Place{}) {
		t.Fatalf("without a file: %v, %v", place, err)
	}
	kept := Place{Position: 2, Offset: 5, Written: 4}
	if err := Save(file, kept); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(output, []byte("1\n2\n3\n4"), 0o600); err != nil { // two lines were written and not counted
		t.Fatal(err)
	}
	place, err := Load(file)
	if err != nil || place != kept {
		t.Fatalf("wanted %v, got %v, %v", kept, place, err)
	}
	out, err := Output(output, place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.WriteString("3\n"); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if content, _ := os.ReadFile(output); string(content) != "1\n2\n3\n" {
		t.Fatalf("got %q", content)
	}
	if files, _ := os.ReadDir(folder); len(files) != 2 {
		t.Fatalf("something was left behind: %v", files)
	}
}

func TestWhatDoesNotBelongTogetherIsRefused(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "place.json")
	for _, content := range []string{"", "{", `{"position":-1}`} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err == nil {
			t.Errorf("%q was taken for a place", content)
		}
	}
	if _, err := Output(filepath.Join(folder, "facts.jsonl"), Place{Position: 2, Written: 4}); err == nil {
		t.Error("an output without what was counted was taken")
	}
}
