package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"hotline111.example/consumer/follow"
)

func TestThePlaceIsKeptOnlyBehindTheLinesThatItCounts(t *testing.T) {
	folder := t.TempDir()
	out, err := os.Create(filepath.Join(folder, "facts.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{saved: filepath.Join(folder, "place.json"), out: out, lines: bufio.NewWriter(out)}
	if err := r.act(follow.Fact{Position: 1, Fact: json.RawMessage(`{}`)}, 0); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil { // a disk that takes nothing more
		t.Fatal(err)
	}
	if err := r.keep(); err == nil {
		t.Fatal("nothing was said of lines that were lost")
	}
	if place, err := follow.Load(r.saved); err != nil || place != (follow.Place{}) {
		t.Fatalf("lost lines were counted: %v, %v", place, err)
	}
}
