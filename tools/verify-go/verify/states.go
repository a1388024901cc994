package verify

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/jsontext"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	maxState   = 16 << 20 // bytes of a state; the line refuses bodies long before
	maxNesting = 100      // objects and lists inside each other
)

// verdict on the bytes of a state, whoever names it.
type verdict uint8

const (
	sound verdict = iota
	altered
	oversized
	unreadable
	noJSON
	early
)

// place in a log that the cause of a state names: the position there, 0 where the cause names no log that is here.
type place struct {
	log      string
	position int64
}

func (v verdict) finding(position int64) *Finding {
	switch v {
	case altered:
		return found(stepStates, BadState, position, "the bytes of the state are not those of its name")
	case oversized:
		return found(stepStates, BadState, position, "the state is longer than %d bytes", maxState)
	case unreadable:
		return found(stepStates, BadState, position, "the state cannot be read")
	case noJSON:
		return found(stepCause, BadCause, position, "the state is not the envelope of a fact in strict JSON, so nobody can tell its cause")
	case early:
		return found(stepCause, BadCause, position, "the cause of this entry is none that the instant covers")
	}
	return nil
}

// instant is the size of each log by its short name.
type instant map[string]int64

// states judges every state, on every core, and tells from where each was caused.
func (c *check) states(from *catalog, at instant) ([]verdict, []place) {
	verdicts, causes := make([]verdict, len(from.digests)), make([]place, len(from.digests))
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers() {
		all.Go(func() {
			const batch = 64
			var raw []byte
			for {
				begin := int(next.Add(batch)) - batch
				for i := begin; i < min(begin+batch, len(verdicts)); i++ {
					raw, causes[i], verdicts[i] = c.judge(from, i, at, raw)
				}
				if begin+batch >= len(verdicts) {
					return
				}
			}
		})
	}
	all.Wait()
	return verdicts, causes
}

func (c *check) judge(from *catalog, i int, at instant, into []byte) (raw []byte, o place, v verdict) {
	defer func() {
		if recover() != nil {
			v = unreadable // a bug that hostile bytes met; the entry that names them says where
		}
	}()
	raw, err := from.read(stateName(from.digests[i]), from.places[i], maxState, into[:0])
	if errors.Is(err, errTooLong) {
		return raw, o, oversized
	} else if err != nil {
		return raw, o, unreadable
	}
	c.Progress.States.Add(1)
	c.Progress.Bytes.Add(int64(len(raw)))
	if digest(sha256.Sum256(raw)) != from.digests[i] {
		return raw, o, altered
	}
	cause, err := causeOf(raw)
	if err != nil {
		return raw, o, noJSON
	}
	o, ok := at.includes(cause)
	if !ok {
		return raw, o, early
	}
	return raw, o, sound
}

// includes tells whether a cause lies in the instant, and where. Only <log>:<position> names a place; other causes, as rest:… or a
// channel's message, come from outside.
func (at instant) includes(cause string) (place, bool) {
	log, text, isPlace := strings.Cut(cause, ":")
	size, isCovered := at[log]
	if !isPlace || !isCovered {
		return place{}, true
	}
	position, ok := number([]byte(text))
	return place{log, position}, ok && position >= 1 && position <= size
}

// causeOf reads meta.cause of a state; "" where it has none. An error for bytes that are no strict JSON object, name a member twice, or
// have a meta that is no object, or a cause that is no string.
func causeOf(state []byte) (cause string, err error) {
	if bytes.Count(state, []byte("{"))+bytes.Count(state, []byte("[")) > maxNesting && isDeep(state) {
		return "", errors.New("nested too deeply")
	}
	decoder := jsontext.NewDecoder(bytes.NewBuffer(state))
	err = members(decoder, func(name string) error {
		if name != "meta" {
			return decoder.SkipValue()
		}
		return members(decoder, func(name string) error {
			if name != "cause" {
				return decoder.SkipValue()
			}
			value, err := decoder.ReadToken()
			if err == nil && value.Kind() != '"' {
				return errors.New("the cause is no string")
			}
			if err == nil {
				cause = value.String()
			}
			return err
		})
	})
	if err == nil {
		if _, end := decoder.ReadToken(); !errors.Is(end, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	return cause, err
}

// isDeep counts brackets outside of strings; of what is no JSON it may say either.
func isDeep(state []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(state); i++ {
		switch c := state[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxNesting {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

func members(decoder *jsontext.Decoder, value func(name string) error) error {
	if token, err := decoder.ReadToken(); err != nil || token.Kind() != '{' {
		return errors.Join(err, errors.New("no object"))
	}
	for decoder.PeekKind() != '}' {
		name, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		if err := value(name.String()); err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
}

// sums checks states/SHA256SUMS, which is for sha256sum and no evidence: it lists the states that are there, each once.
func (c *check) sums(from *catalog) *Finding {
	at, ok := from.single[sumsFile]
	if !ok && len(from.digests) == 0 {
		return nil
	} else if !ok {
		return found(stepStates, Missing, 0, "there is no %s", sumsFile)
	}
	wrong := found(stepStates, BadState, 0, "%s does not list exactly the states that are there", sumsFile)
	const line = 64 + 2 + 64 + 1
	raw, err := from.read(sumsFile, at, line*int64(len(from.digests)), nil)
	if err != nil || len(raw) != line*len(from.digests) {
		return wrong
	}
	before := ""
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		state, ok := parseDigest(name)
		if _, isShown := from.states[state]; !ok || !isShown || sum != name || name <= before {
			return wrong
		}
		before = name
	}
	return nil
}

// orphans are states that no entry names: nothing vouches for them.
func orphans(from *catalog, named []bool) *Finding {
	for i, is := range named {
		if !is {
			return found(stepStates, Extra, 0, "no entry names the state %s", hex.EncodeToString(from.digests[i][:]))
		}
	}
	return nil
}

func formatted(n int64) string { return strconv.FormatInt(n, 10) }
