package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hotline111.example/verify-go/made"
)

// reader has a log's export, with its states, and a policy in a folder.
func reader(t *testing.T) (folder string, log *made.Log) {
	t.Helper()
	folder = t.TempDir()
	log = made.New("hotline111.example/test/cases", [32]byte{1})
	rows := made.History("cases", 9)
	log.Add(rows...)
	files := log.Export()
	for _, row := range rows {
		files.AddState(row.State)
	}
	if err := files.AddSums().WriteFolder(filepath.Join(folder, "export")); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"policy": made.Policy(log), "held": log.Checkpoint(5), "receipt": log.Receipt(3, 9), "state": rows[3].State, "junk": []byte("junk\n"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
	return folder, log
}

func TestTheCallAnswersWithItsExitCode(t *testing.T) {
	reader(t)
	for call, want := range map[string]struct {
		code int
		said string
	}{
		"--policy policy --held held --now 2026-11-24T00:00:00Z export":    {clean, "OK hotline111.example/test/cases 9 "},
		"export --policy policy --now 2026-11-24T00:00:00Z":                {clean, "OK hotline111.example/test/cases 9 "},
		"--policy policy --now 2026-11-24T00:00:00Z --state state receipt": {clean, "OK hotline111.example/test/cases 9 "},
		"--policy policy --max-age 1h --now 2026-11-24T00:00:00Z export":   {finding, "FAIL stale hotline111.example/test/cases 9 "},
		"--policy policy junk":                  {finding, "FAIL malformed - - "},
		"--policy policy --held junk held":      {finding, "FAIL checkpoint - - held head 1: "},
		"export":                                {wrongCall, ""},
		"--policy policy":                       {wrongCall, ""},
		"--policy policy export export":         {wrongCall, ""},
		"--policy junk export":                  {wrongCall, ""},
		"--policy none export":                  {wrongCall, ""},
		"--policy policy none":                  {wrongCall, ""},
		"--policy policy --held none export":    {wrongCall, ""},
		"--policy policy --expect other export": {wrongCall, ""},
		"--policy policy --case 7 export":       {wrongCall, ""},
		"--policy policy --max-age soon export": {wrongCall, ""},
		"--policy policy --max-age -1h export":  {wrongCall, ""},
		"--policy policy --now noon export":     {wrongCall, ""},
		"--policy policy --max-age 1h receipt":  {wrongCall, ""},
		"--policy policy --state state export":  {wrongCall, ""},
		"--policy policy --bold export":         {wrongCall, ""},
		"--help":                                {clean, ""},
	} {
		var out, log bytes.Buffer
		if code := run(strings.Fields(call), &out, &log); code != want.code || !strings.HasPrefix(out.String(), want.said) {
			t.Errorf("%s: %d\n%s%s", call, code, out.String(), log.String())
		}
		if want.said == "" && out.Len() > 0 {
			t.Errorf("%s prints %s", call, out.String())
		}
	}
}

func TestAsJSONItSaysTheSame(t *testing.T) {
	folder, log := reader(t)
	name := filepath.Join(folder, "export", "tile", "0", "000.p", "9")
	if err := os.WriteFile(name, make([]byte, 9*32), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	if code := run(strings.Fields("--policy policy --quiet --json --now 2026-11-24T00:00:00Z export"), &out, &said); code != finding || said.Len() > 0 {
		t.Error(code, said.String())
	}
	var line struct {
		OK                   bool
		Code, Origin, Reason string
		Position             int64
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.OK || line.Code != "tile" || line.Origin != log.Origin || line.Position != 1 {
		t.Errorf("%v %+v %s", err, line, out.String())
	}
}

func TestTheTimeIsToldBesideAPlainHash(t *testing.T) {
	reader(t)
	var out, log bytes.Buffer
	run(strings.Fields("--policy policy --now 2026-11-24T00:00:00Z export"), &out, &log)
	if !strings.Contains(log.String(), "for 9 entries and 9 states") || !strings.Contains(log.String(), "ratio to plain SHA-256 ") {
		t.Error(log.String())
	}
}
