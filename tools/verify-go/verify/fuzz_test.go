package verify

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"hotline111.example/verify-go/made"
)

// FuzzBundle: whatever a tar holds, it is judged, and judged clean only with the entries and the head that were signed.
// `go test` runs the seeds; go test -fuzz FuzzBundle ./verify goes on from there.
func FuzzBundle(f *testing.F) {
	const origin = "hotline111.example/test/cases"
	log := made.New(origin, [32]byte{1})
	rows := made.History("cases", 12)
	log.Add(rows...)
	files := made.Bundle("cases *\n", log)
	for _, row := range rows {
		files.AddState(row.State)
	}
	var good bytes.Buffer
	if err := files.AddSums().WriteTar(&good); err != nil {
		f.Fatal(err)
	}
	policy, err := ParsePolicy(made.Policy(log))
	if err != nil {
		f.Fatal(err)
	}
	head, _, _ := strings.Cut(string(files["logs/cases/checkpoint"]), "\n\n")
	entries := files["logs/cases/tile/entries/000.p/12"]
	f.Add(0, []byte{})
	for at := range good.Len() / 97 {
		f.Add(at*97, []byte{byte(at), 0, 0xff})
	}
	f.Add(124, []byte("77777777777"))
	f.Add(good.Len()-1, good.Bytes()[:2048])
	f.Fuzz(func(t *testing.T, at int, splice []byte) {
		raw := bytes.Clone(good.Bytes())
		at = int(uint(at) % uint(len(raw)))
		raw = append(raw[:at], append(bytes.Clone(splice), raw[min(at+len(splice), len(raw)):]...)...)
		c := &check{Options: Options{Policy: policy, Now: made.Start.Add(time.Hour), Progress: &Progress{}}}
		if err := c.bundle(tarball{bytes.NewReader(raw), int64(len(raw))}); err != nil {
			t.Fatal(err)
		}
		if len(c.Lines) == 0 {
			t.Error("nothing is said")
		}
		for _, line := range c.Lines {
			if line.Finding != nil && strings.Contains(line.Finding.Reason, "cannot take this") {
				t.Error(line)
			}
		}
		if c.Clean() && (!bytes.Contains(raw, entries) || !bytes.Contains(raw, []byte(head))) {
			t.Error("clean, with other entries or another head than were signed")
		}
	})
}

// FuzzReceipt: whatever a receipt says, it is judged, and clean only for an entry that was signed, in its place.
func FuzzReceipt(f *testing.F) {
	log := made.New("hotline111.example/test/cases", [32]byte{1})
	log.Add(made.History("cases", 12)...)
	policy, err := ParsePolicy(made.Policy(log))
	if err != nil {
		f.Fatal(err)
	}
	for index := range int64(12) {
		f.Add(log.Receipt(index, 12))
	}
	f.Add([]byte(receiptLine))
	f.Add([]byte(receiptLine + "\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		head, e, problem := policy.prove(raw, true)
		if problem != nil {
			return
		}
		for _, entry := range log.Entries {
			if own, err := parseEntry(entry, log.Origin, 1, stamp{}); err == nil && own == e {
				return
			}
			if bytes.Contains(entry, []byte(e.stream.String())) && head.Size == 12 {
				return
			}
		}
		t.Error("clean for an entry that nobody recorded")
	})
}
