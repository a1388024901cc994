package verify

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// location of a file's bytes in a tar; of no meaning in a folder.
type location struct{ offset, size int64 }

// container is a folder or a tar of named files. Nothing in it is trusted: names are only compared, links are never followed, and
// reading is bounded.
type container interface {
	// list calls file for each regular file. A *Finding among the errors says what is wrong with the container.
	list(file func(name string, at location) error) error
	// hollow tells, after list, whether a folder has nothing in it.
	hollow() bool
	// read appends the bytes of a listed file to into; errTooLong where there are more than limit.
	read(name string, at location, limit int64, into []byte) ([]byte, error)
}

const (
	deepest    = 12       // folders inside each other
	maxPadding = 10 << 20 // bytes behind the end of a tar: whoever writes tars fills up a record of blocks
	tarBlock   = 512
)

var errTooLong = errors.New("too long")

// Error makes a finding an error, to end a listing with.
func (f *Finding) Error() string { return f.Code + ": " + f.Reason }

type folder struct {
	root    *os.Root
	isEmpty bool // one below it
}

func (f *folder) hollow() bool { return f.isEmpty }

func (f *folder) list(file func(string, location) error) error { return f.walk(".", file) }

func (f *folder) walk(name string, file func(string, location) error) error {
	if strings.Count(name, "/") >= deepest {
		return found(stepFiles, Extra, 0, "folders lie deeper than those of a log")
	}
	opened, err := f.root.Open(name)
	if err != nil {
		return err
	}
	defer opened.Close()
	const batch = 1024 // however many files there are
	for isFirst := true; ; isFirst = false {
		entries, err := opened.ReadDir(batch)
		for _, entry := range entries {
			within := path.Join(name, entry.Name())
			switch kind := entry.Type(); {
			case kind.IsRegular():
				err = file(within, location{})
			case !kind.IsDir():
				err = found(stepFiles, Extra, 0, "%s is neither a file nor a folder", shown(within))
			default:
				err = f.walk(within, file)
			}
			if err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			f.isEmpty = f.isEmpty || isFirst && len(entries) == 0 && name != "."
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (f *folder) read(name string, _ location, limit int64, into []byte) ([]byte, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return into, err
	}
	defer file.Close()
	return readAll(file, limit, into)
}

// readAll appends what there is, growing by what comes and not by what a header promises.
func readAll(from io.Reader, limit int64, into []byte) ([]byte, error) {
	start := len(into)
	for {
		if len(into) == cap(into) {
			into = append(into, 0)[:len(into)]
		}
		n, err := from.Read(into[len(into):cap(into)])
		into = into[:len(into)+n]
		if int64(len(into)-start) > limit {
			return into[:start], errTooLong
		}
		if errors.Is(err, io.EOF) {
			return into, nil
		}
		if err != nil {
			return into[:start], err
		}
	}
}

type tarball struct {
	file interface {
		io.ReadSeeker
		io.ReaderAt
	}
	size int64
}

func (t tarball) hollow() bool { return false }

func (t tarball) read(_ string, at location, limit int64, into []byte) ([]byte, error) {
	if at.size > limit {
		return into, errTooLong
	}
	return readAll(io.NewSectionReader(t.file, at.offset, at.size), limit, into)
}

func (t tarball) list(file func(string, location) error) error {
	place := &skipper{file: t.file, buffer: bufio.NewReaderSize(t.file, 1<<16)}
	reader := tar.NewReader(place)
	for next := int64(0); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) && place.at <= next {
			return found(stepWhole, Malformed, 0, "the tar ends early")
		}
		if errors.Is(err, io.EOF) {
			return t.nothingAfter(place)
		}
		if err != nil {
			return found(stepWhole, Malformed, 0, "the tar cannot be read on from byte %d: %v", place.at, err)
		}
		if err := t.member(header, place.at, next); err != nil {
			return err
		}
		if err := file(header.Name, location{place.at, header.Size}); err != nil {
			return err
		}
		next = place.at + (header.Size+tarBlock-1)/tarBlock*tarBlock
	}
}

// member refuses whatever is not one plain file with one plain header, which begins at next.
func (t tarball) member(header *tar.Header, at, next int64) error {
	switch {
	case at != next+tarBlock:
		return found(stepFiles, Extra, 0, "%s has an extended header in the tar", shown(header.Name))
	case header.Format&tar.FormatUSTAR == 0:
		return found(stepWhole, Malformed, 0, "%s has a header in the tar that is not of ustar", shown(header.Name))
	case header.Size > t.size-at:
		return found(stepWhole, Malformed, 0, "the tar ends within %s", shown(header.Name))
	case header.Typeflag != tar.TypeReg:
		return found(stepFiles, Extra, 0, "%s is no file", shown(header.Name))
	}
	return nil
}

// nothingAfter the end of the tar but the padding of its last record.
func (t tarball) nothingAfter(place *skipper) error {
	if t.size-place.at > maxPadding {
		return found(stepFiles, Extra, 0, "there are more than %d bytes after the end of the tar", maxPadding)
	}
	buffer := make([]byte, 1<<16)
	for {
		n, err := place.Read(buffer)
		for _, b := range buffer[:n] {
			if b != 0 {
				return found(stepFiles, Extra, 0, "there are bytes after the end of the tar")
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// skipper reads a file in large pieces and knows its place; tar skips contents by seeking in it.
type skipper struct {
	file   io.ReadSeeker
	buffer *bufio.Reader
	at     int64
}

func (s *skipper) Read(into []byte) (int, error) {
	n, err := s.buffer.Read(into)
	s.at += int64(n)
	return n, err
}

func (s *skipper) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || offset < 0 {
		return 0, fmt.Errorf("tar: %w", errors.ErrUnsupported)
	}
	if offset <= int64(s.buffer.Buffered()) {
		_, err := s.buffer.Discard(int(offset))
		s.at += offset
		return s.at, err
	}
	at, err := s.file.Seek(s.at+offset, io.SeekStart)
	if err != nil {
		return s.at, err
	}
	s.buffer.Reset(s.file)
	s.at = at
	return at, nil
}
