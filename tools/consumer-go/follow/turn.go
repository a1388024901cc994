package follow

// Turn is the first rule: next or nothing. Act on exactly the position behind the last one, and on no other.
//
// A lower position was heard before: relays repeat themselves after a crash, and two may run at once. A higher one is a gap: the
// missing record comes later and the rest is told again behind it, so nothing is lost by waiting and order is lost by acting.
// Offsets say nothing of all this; they count records, and a record may be a repeat or a stranger's.
type Turn int

const (
	Next Turn = iota
	Repeat
	Gap
)

// TurnOf says what to do with a position when last was the last one acted on; 0 before the first.
func TurnOf(position, last int64) Turn {
	switch {
	case position == last+1:
		return Next
	case position <= last:
		return Repeat
	}
	return Gap
}
