package made

import (
	"fmt"
	"time"
)

// Start is when every made log begins.
var Start = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)

// Stream is an invented id.
func Stream(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// History is the first n rows of a log.
func History(log string, n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Fact(log, i)
	}
	return rows
}

// Fact is row i, from 0: streams of ten facts each, eight of them open at a time, four rows a stamp, each state its own.
func Fact(log string, i int) Row {
	const open, each = 8, 10
	round, within := i/(open*each), i%(open*each)
	return Row{
		At:      Start.Add(time.Duration(i/4) * 25 * time.Millisecond),
		Stream:  Stream(round*open + within%open),
		Version: int64(within/open) + 1,
		Type:    log + ".NoteAdded",
		State:   State(cause(log, i), i),
	}
}

// cause of row i is the row before it; that of the first is a person.
func cause(log string, i int) string {
	if i == 0 {
		return "rest:" + log
	}
	return fmt.Sprintf("%s:%d", log, i)
}

// State is a fact in its envelope, about 600 bytes, with a cause.
func State(cause string, n int) []byte {
	return fmt.Appendf(nil, `{"v":1,"meta":{"command":"%s","actor":"TVV-01","as":"counsellor","occurred_at":"2026-11-23T03:00:00+00:00",`+
		`"cause":"%s","correlation":"%s"},"fact":{"number":%d,"kind":"note","channel":"telephone","weighed":[1,2,3]},`+
		`"sealed":{"%s":"%0320d"}}`, Stream(n), cause, Stream(n/10), n, Stream(n/7), n)
}
