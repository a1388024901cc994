// Package follow is what a reader of a hotline topic needs and Kafka does not give: what a record says, whose turn it is, and where
// we were. Nothing in it knows a broker.
package follow

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Fact is one record of a log as others may know it: the clear part whole, of the sealed parts only their names.
type Fact struct {
	Log        string          `json:"log"`
	Position   int64           `json:"position"`
	Stream     string          `json:"stream"`
	Version    int64           `json:"version"`
	Type       string          `json:"type"`
	RecordedAt string          `json:"recorded_at"`
	Mark       string          `json:"mark,omitempty"` // why we may not understand it; see Known
	Fact       json.RawMessage `json:"fact"`
	Sealed     []string        `json:"sealed,omitempty"`
}

// ErrStranger is a record that no relay wrote. It tells nothing: pass it over.
var ErrStranger = errors.New("not a record of a relay")

// Read takes a record apart: CloudEvents 1.0 in Kafka's binary mode, headers for the envelope and the value for the state.
func Read(headers map[string]string, value []byte, known Known) (Fact, error) {
	log, ours := strings.CutPrefix(headers["ce_source"], "/hotline/")
	position, badPosition := strconv.ParseInt(headers["ce_id"], 10, 64)
	version, badVersion := strconv.ParseInt(headers["version"], 10, 64)
	if !ours || headers["ce_specversion"] != "1.0" || badPosition != nil || badVersion != nil || position < 1 {
		return Fact{}, ErrStranger
	}
	fact := Fact{
		Log:        log,
		Position:   position,
		Stream:     headers["ce_subject"],
		Version:    version,
		Type:       headers["ce_type"],
		RecordedAt: headers["ce_time"],
	}
	// Sealed parts are not ours. Decoding them as RawMessage keeps them unread; only their names go on, which are the persons whose
	// keys would open them.
	var state struct {
		V      int                        `json:"v"`
		Fact   json.RawMessage            `json:"fact"`
		Sealed map[string]json.RawMessage `json:"sealed"`
	}
	if err := json.Unmarshal(value, &state); err != nil || state.Fact == nil {
		fact.Mark = "unreadable" // it has a position, so it is passed on: to wait for a better one would be to wait for ever
		fact.Fact = json.RawMessage("null")
		return fact, nil
	}
	fact.Fact, fact.Mark = state.Fact, known.mark(fact.Type, state.V)
	for person := range state.Sealed {
		fact.Sealed = append(fact.Sealed, person)
	}
	slices.Sort(fact.Sealed)
	return fact, nil
}
