package verify

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxEntry bounds an entry in bytes; the format of bundles could hold 65,535.
const maxEntry = 600

const stampLayout = "2006-01-02T15:04:05.000000Z"

type (
	uuid   [16]byte
	digest [32]byte // SHA-256 of state bytes
	stamp  [len(stampLayout)]byte
)

// entry is a row of a log as its leaf tells it.
type entry struct {
	stream            uuid
	position, version int64
	state             digest
	at                stamp // sorts as text
	adopts            bool  // it says by which policy the log is judged
}

// parseEntry reads the eight lines of format v1 and holds origin and position against what they must be. before, the stamp of the
// entry before, saves parsing the same stamp again: a batch shares one.
func parseEntry(raw []byte, origin string, position int64, before stamp) (e entry, err error) {
	if len(raw) > maxEntry {
		return e, fmt.Errorf("longer than %d bytes", maxEntry)
	}
	var lines [8][]byte
	rest := raw
	for i := range lines {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return e, errors.New("not eight lines")
		}
		lines[i], rest = rest[:end], rest[end+1:]
	}
	if len(rest) > 0 {
		return e, errors.New("more than eight lines")
	}
	if string(lines[0]) != "v1" {
		return e, fmt.Errorf("format %s, not v1", shown(string(lines[0])))
	}
	if string(lines[1]) != origin {
		return e, fmt.Errorf("an entry of %s", shown(string(lines[1])))
	}
	if n, ok := number(lines[2]); !ok || n != position {
		return e, fmt.Errorf("it says position %s", shown(string(lines[2])))
	}
	e.position = position
	if e.at, err = parseStamp(lines[3], before); err != nil {
		return e, err
	}
	if e.stream, err = parseUUID(lines[4]); err != nil {
		return e, err
	}
	var ok bool
	if e.version, ok = number(lines[5]); !ok || e.version < 1 {
		return e, fmt.Errorf("version %s", shown(string(lines[5])))
	}
	if !isType(lines[6]) {
		return e, fmt.Errorf("type %s", shown(string(lines[6])))
	}
	e.adopts = bytes.HasSuffix(lines[6], []byte(".PolicyAdopted"))
	if !lowerHex(lines[7], e.state[:]) {
		return e, errors.New("the hash of the state is not 64 lower-case hexadecimal digits")
	}
	return e, nil
}

// number reads a plain decimal of at most 18 digits.
func number(text []byte) (n int64, ok bool) {
	if len(text) == 0 || len(text) > 18 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func parseStamp(text []byte, before stamp) (at stamp, err error) {
	if string(text) == string(before[:]) {
		return before, nil
	}
	// time.Parse also takes an hour of one digit and a comma: writing it again tells.
	if read, err := time.Parse(stampLayout, string(text)); err != nil || read.Year() < 1 || read.Format(stampLayout) != string(text) {
		return at, fmt.Errorf("recorded_at %s is not as %s", shown(string(text)), stampLayout)
	}
	return stamp(text), nil
}

func (s stamp) time() time.Time {
	at, _ := time.Parse(stampLayout, string(s[:])) // a stamp is made by parseStamp only
	return at
}

func parseUUID(text []byte) (id uuid, err error) {
	var digits [32]byte
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return id, fmt.Errorf("stream %s is no UUID", shown(string(text)))
	}
	n := copy(digits[:], text[:8])
	n += copy(digits[n:], text[9:13])
	n += copy(digits[n:], text[14:18])
	n += copy(digits[n:], text[19:23])
	copy(digits[n:], text[24:])
	if !lowerHex(digits[:], id[:]) {
		return id, fmt.Errorf("stream %s is no UUID in lower case", shown(string(text)))
	}
	return id, nil
}

func (id uuid) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// nibbles of the lower-case hexadecimal digits; 0xff for all else.
var nibbles = func() (table [256]byte) {
	for c := range table {
		table[c] = byte(strings.IndexByte("0123456789abcdef", byte(c)))
	}
	return table
}()

// lowerHex decodes text that fills into exactly; upper-case digits are refused.
func lowerHex(text, into []byte) bool {
	if len(text) != 2*len(into) {
		return false
	}
	for i := range into {
		high, low := nibbles[text[2*i]], nibbles[text[2*i+1]]
		if high|low > 0x0f {
			return false
		}
		into[i] = high<<4 | low
	}
	return true
}

// isType matches [a-z]+\.[A-Za-z0-9]+.
func isType(text []byte) bool {
	dot := bytes.IndexByte(text, '.')
	if dot < 1 || dot == len(text)-1 {
		return false
	}
	for i, c := range text {
		lower, other := c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if i != dot && !lower && !(i > dot && other) {
			return false
		}
	}
	return true
}
