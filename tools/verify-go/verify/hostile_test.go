package verify_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"hotline111.example/verify-go/made"
)

// packed is a tar of the files, with headers of one's own before them.
func packed(t *testing.T, files made.Files, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		headers = append(headers, tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))})
	}
	for _, header := range headers {
		if err := writer.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if content := files[header.Name]; header.Size > 0 {
			if _, err := writer.Write(content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// reheaded overwrites a field of the first header and makes its checksum right again.
func reheaded(packed []byte, at int, field string) []byte {
	packed = bytes.Clone(packed)
	copy(packed[at:], field)
	copy(packed[148:156], "        ")
	sum := 0
	for _, b := range packed[:512] {
		sum += int(b)
	}
	copy(packed[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return packed
}

func TestATarThatIsNoBundleIsAFinding(t *testing.T) {
	w := newWorld(t, 20, 20)
	whole := w.whole()
	good := packed(t, whole)
	wantsClean(t, w.file(t, good), 2)
	huge := reheaded(good, 124, "77777777777\x00") // the size of the first file: 8 GB
	sparse := reheaded(reheaded(good, 156, "S"), 257, "ustar  \x00")
	var zipped bytes.Buffer
	writer := gzip.NewWriter(&zipped)
	if _, err := writer.Write(good); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	for what, broken := range map[string]struct {
		raw   []byte
		found string
	}{
		"cut within a file":      {good[:len(good)/2+100], "FAIL malformed - - "},
		"cut within a header":    {good[:700], "FAIL "},
		"compressed":             {zipped.Bytes(), "FAIL malformed - - "},
		"a huge size":            {huge, "FAIL malformed - - "},
		"a hole of any size":     {sparse, "FAIL malformed - - "},
		"a link":                 {packed(t, whole, tar.Header{Name: "states/x", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "FAIL extra - - "},
		"a hard link":            {packed(t, whole, tar.Header{Name: "policy", Typeflag: tar.TypeLink, Linkname: "instant"}), "FAIL extra - - "},
		"a device":               {packed(t, whole, tar.Header{Name: "policy", Typeflag: tar.TypeChar}), "FAIL extra - - "},
		"a way up":               {packed(t, whole, tar.Header{Name: "states/../../x"}), "FAIL extra - - "},
		"an absolute name":       {packed(t, whole, tar.Header{Name: "/instant"}), "FAIL extra - - "},
		"another spelling":       {packed(t, whole, tar.Header{Name: "./instant"}), "FAIL extra - - "},
		"a folder up":            {packed(t, whole, tar.Header{Name: "../", Typeflag: tar.TypeDir}), "FAIL extra - - "},
		"a name that is no text": {packed(t, whole, tar.Header{Name: "a\x1b[31m\xff"}), "FAIL extra - - "},
		"a file twice":           {packed(t, whole, tar.Header{Name: "instant"}), "FAIL extra - - "},
		"a state twice":          {packed(t, whole, tar.Header{Name: stateName(w.rows["cases"][0].State)}), "FAIL extra - - "},
		"a checkpoint twice":     {packed(t, whole, tar.Header{Name: "logs/cases/checkpoint"}), "FAIL extra " + cases},
		"bytes behind the end":   {append(bytes.Clone(good), "more"...), "FAIL extra - - "},
		"nothing":                {nil, "FAIL malformed - - "},
		"zeroes":                 {make([]byte, 10240), "FAIL malformed - - "},
		"text":                   {[]byte("Dear auditor\n"), "FAIL malformed - - "},
		"a folder":               {packed(t, whole, tar.Header{Name: "states/", Typeflag: tar.TypeDir}), "FAIL extra - - "},
		"a long header":          {packed(t, whole, tar.Header{Name: "policy", PAXRecords: map[string]string{"HOTLINE.x": "y"}}), "FAIL extra - - "},
	} {
		t.Run(what, func(t *testing.T) {
			said := w.file(t, broken.raw)
			wants(t, said, broken.found)
			if strings.ContainsFunc(said, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }) {
				t.Errorf("not fit for a terminal: %q", said)
			}
		})
	}
}

func TestLinksInAFolderAreNotFollowed(t *testing.T) {
	w := newWorld(t, 20, 20)
	for what, link := range map[string][2]string{
		"a state":  {stateName(w.rows["cases"][0].State), "kept"},
		"a folder": {"logs/cases", "kept"},
		"stranger": {"states/link", "/etc"},
	} {
		t.Run(what, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "bundle")
			if err := w.whole().WriteFolder(folder); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(folder, link[0])
			if _, err := os.Lstat(name); err == nil {
				if err := os.Rename(name, filepath.Join(folder, "..", "kept")); err != nil {
					t.Fatal(err)
				}
				link[1] = filepath.Join(folder, "..", "kept")
			}
			if err := os.Symlink(link[1], name); err != nil {
				t.Fatal(err)
			}
			wants(t, w.said(t, folder), "FAIL extra - - ")
		})
	}
}

func TestAFileThatIsTooLongIsNotReadToItsEnd(t *testing.T) {
	w := newWorld(t, 20, 20)
	long := strings.Repeat("x", 20<<20)
	for what, broken := range map[string][2]string{
		"instant":      {"instant", "FAIL malformed - - "},
		"a checkpoint": {"logs/cases/checkpoint", "FAIL checkpoint " + cases},
		"a bundle":     {"logs/cases/tile/entries/000.p/20", "FAIL bundle " + cases + " 1 "},
		"a tile":       {"logs/cases/tile/0/000.p/20", "FAIL tile " + cases + " 1 "},
		"a state":      {stateName(w.rows["cases"][6].State), "FAIL state " + cases + " 7 "},
		"sums":         {"states/SHA256SUMS", "FAIL state - - "},
	} {
		files := w.whole()
		files[broken[0]] = []byte(long)
		t.Run(what, func(t *testing.T) { wants(t, w.judge(t, files), broken[1]) })
	}
}

func TestHostileStatesAndListsAreFindings(t *testing.T) {
	w := newWorld(t, 20, 20)
	deep := []byte(strings.Repeat("[", 1<<20))
	rows := w.rows["cases"]
	for what, state := range map[string][]byte{"deep": deep, "none": nil, "two": []byte("{}{}"), "list": []byte("[]"), "bytes": {0xff, 0xfe}} {
		rows[3].State = state
		w.cases = made.New(cases, [32]byte{1})
		w.cases.Add(rows...)
		t.Run(what, func(t *testing.T) { wants(t, w.judge(t, w.whole()), "FAIL cause "+cases+" 4 ") })
	}
	for what, list := range map[string]made.Files{
		"no line end":       {"instant": []byte("cases 20\nintake 20")},
		"a log twice":       {"instant": []byte("cases 20\ncases 20\nintake 20\n")},
		"a way up":          {"instant": []byte("../cases 20\nintake 20\n")},
		"a foreign stream":  {"streams": []byte("others *\n")},
		"no stream":         {"streams": []byte("cases x\n")},
		"a wrong encoding":  {"streams": []byte("\xff\xfec\x00a\x00")},
		"a negative number": {"instant": []byte("cases -20\nintake 20\n")},
	} {
		files := w.whole()
		maps.Copy(files, list)
		t.Run(what, func(t *testing.T) { wants(t, w.judge(t, files), "FAIL malformed - - ") })
	}
}

// A checkpoint of 2⁶² entries, signed with the log's key, makes no work and needs no memory beyond what lies there.
func TestASizeThatIsNotThereCostsNothing(t *testing.T) {
	w := newWorld(t, 20, 20)
	files := w.whole()
	files["logs/cases/checkpoint"] = w.cases.Sign(cases + "\n4611686018427387904\n" + strings.Repeat("A", 43) + "=\n")
	files["instant"] = []byte("cases 4611686018427387904\nintake 20\n")
	for name := range files {
		if strings.HasPrefix(name, "logs/cases/tile/") {
			delete(files, name)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	wants(t, w.judge(t, files), "FAIL missing "+cases+" 1 ")
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}
