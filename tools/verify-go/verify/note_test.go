package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/mldsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"hotline111.example/verify-go/made"
	"hotline111.example/verify-go/verify"
)

// The vector that this format is documented with: seed 00 01 … 1f, three rows, state {}.
const vector = "hotline111.example/test/cases\n3\n3aLYDqXlel+dB4O2NeNnN7HKzS78PW7rWQAQZFN5YPk=\n\n" +
	"— hotline111.example/test/cases NeRP7MJak7FN2YafzyIVo2W821WPptAKlwgXz7+RSqikcmbMuHX4ee6Rn03Z7GQPTCGuVXk6InL4jJ5eHa7s2ctycQE=\n"

func vectorLog() *made.Log {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(i)
	}
	log := made.New(cases, seed)
	for version := range int64(3) {
		log.Add(made.Row{At: made.Start, Stream: made.Stream(1), Version: version + 1, Type: "cases.CaseOpened", State: []byte("{}")})
	}
	return log
}

func TestTheDocumentedVectorIsClean(t *testing.T) {
	w, log := newWorld(t), vectorLog()
	w.options.Policy = policyOf(t, []byte("log hotline111.example/test/cases+35e44fec+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4\nquorum none\n"))
	if string(log.Checkpoint(3)) != vector {
		t.Errorf("the helper signs otherwise: %s", log.Checkpoint(3))
	}
	wants(t, w.file(t, []byte(vector)), "OK "+cases+" 3 3aLYDqXlel+dB4O2NeNnN7HKzS78PW7rWQAQZFN5YPk=\n")
	w.options.State = []byte("{}")
	wantsClean(t, w.file(t, log.Receipt(1, 3)), 1)
	w.options.State = nil
	wantsClean(t, w.judge(t, log.Export().AddState([]byte("{}")).AddSums()), 1)
}

func TestACheckpointThatIsNotWhatItSaysIsFound(t *testing.T) {
	w := newWorld(t)
	genuine := w.cases.Checkpoint(700)
	line := genuine[bytes.LastIndex(genuine, []byte("— ")):]
	stranger := made.New("hotline111.example/prod/cases", [32]byte{7})
	for what, broken := range map[string]struct {
		raw   []byte
		found string
	}{
		"another size":           {bytes.Replace(genuine, []byte("\n700\n"), []byte("\n701\n"), 1), "FAIL signature " + cases},
		"a bit of the line":      {bytes.Replace(genuine, line[len(line)-8:], []byte("AAAAAA==\n")[1:], 1), "FAIL "},
		"the line twice":         {append(bytes.Clone(genuine), line...), "FAIL checkpoint " + cases},
		"no line of ours":        {stranger.Sign("hotline111.example/test/cases\n1\n" + strings.Repeat("A", 43) + "=\n"), "FAIL signature " + cases},
		"signed by another":      {w.intake.Sign(string(genuine[:bytes.Index(genuine, []byte("\n\n"))+1])), "FAIL signature " + cases},
		"another origin":         {w.cases.Sign("hotline111.example/test/other\n1\n" + strings.Repeat("A", 43) + "=\n"), "FAIL origin -"},
		"an extension line":      {w.cases.Sign(cases + "\n1\n" + strings.Repeat("A", 43) + "=\nmore\n"), "FAIL checkpoint " + cases},
		"a leading zero":         {w.cases.Sign(cases + "\n01\n" + strings.Repeat("A", 43) + "=\n"), "FAIL checkpoint " + cases},
		"a negative size":        {w.cases.Sign(cases + "\n-1\n" + strings.Repeat("A", 43) + "=\n"), "FAIL checkpoint " + cases},
		"a size beyond 2^63":     {w.cases.Sign(cases + "\n9223372036854775808\n" + strings.Repeat("A", 43) + "=\n"), "FAIL checkpoint " + cases},
		"a short root":           {w.cases.Sign(cases + "\n1\nAAAA\n"), "FAIL checkpoint " + cases},
		"spare bits in base64":   {w.cases.Sign(cases + "\n1\n" + strings.Repeat("A", 42) + "B=\n"), "FAIL checkpoint " + cases},
		"size 0, a root":         {w.cases.Sign(cases + "\n0\n" + strings.Repeat("A", 43) + "=\n"), "FAIL checkpoint " + cases},
		"bytes that are no text": {append([]byte(cases+"\n1\n\xff\n\n"), line...), "FAIL checkpoint " + cases},
	} {
		t.Run(what, func(t *testing.T) { wants(t, w.file(t, broken.raw), broken.found) })
	}
	wantsClean(t, w.file(t, genuine), 1)
	unknown := "— somebody.example/else " + base64.StdEncoding.EncodeToString(make([]byte, 3000)) + "\n"
	wantsClean(t, w.file(t, append(bytes.Clone(genuine), unknown...)), 1)
}

func TestTheEmptyHeadIsConsistentWithEveryLog(t *testing.T) {
	w := newWorld(t)
	w.hold(t, w.cases.Checkpoint(0))
	wantsClean(t, w.judge(t, w.whole()), 2)
}

func TestACurrentHeadIsComparedWithHeldOnes(t *testing.T) {
	w := newWorld(t)
	w.hold(t, w.cases.Checkpoint(650))
	wantsClean(t, w.file(t, w.cases.Checkpoint(700)), 1)
	wants(t, w.file(t, w.cases.Checkpoint(600)), "FAIL rollback "+cases+" 601 ")
	w.cases.Entries[3] = w.cases.Entries[4]
	wants(t, w.file(t, w.cases.Checkpoint(650)), "FAIL fork "+cases+" - ")
}

func TestTwoHeldHeadsThatContradictEachOtherAreAFork(t *testing.T) {
	w := newWorld(t)
	w.hold(t, w.intake.Checkpoint(200))
	w.intake.Entries[3] = w.intake.Entries[4]
	w.hold(t, w.intake.Checkpoint(200))
	wants(t, w.file(t, w.cases.Checkpoint(700)), "FAIL fork "+intake+" - ")
}

func TestAKeyThatIsBeingRotatedCountsBesideTheOldOne(t *testing.T) {
	w := newWorld(t)
	newer := made.New(cases, [32]byte{8})
	newer.Entries = w.cases.Entries
	w.options.Policy = policyOf(t, append([]byte("log "+newer.Vkey+"\n"), made.Policy(w.cases, w.intake)...))
	wantsClean(t, w.file(t, newer.Checkpoint(700)), 1)
	wantsClean(t, w.file(t, w.cases.Checkpoint(700)), 1)
	both := newer.Checkpoint(700)
	old := w.cases.Checkpoint(700)
	wantsClean(t, w.file(t, append(both, old[bytes.LastIndex(old, []byte("— ")):]...)), 1)
}

func TestAPolicyThatTrustsOneKeyTwiceOrCannotBeReadIsRefused(t *testing.T) {
	w := newWorld(t)
	log := "log " + w.cases.Vkey + "\n"
	_, seed, _ := ed25519.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{5}, 64)))
	witness := vkey("witness.example/w1", 4, seed.Public().(ed25519.PublicKey))
	asWitness := vkey("witness.example/w2", 4, ed25519.NewKeyFromSeed(append([]byte{1}, make([]byte, 31)...)).Public().(ed25519.PublicKey))
	for what, text := range map[string]string{
		"no quorum":                     log,
		"two quorums":                   log + "quorum none\nquorum none\n",
		"a log twice":                   log + log + "quorum none\n",
		"a witness with a log's key":    log + "witness w " + asWitness + "\nquorum w\n",
		"a witness twice":               log + "witness w " + witness + "\nwitness v " + witness + "\nquorum w\n",
		"a quorum of nobody":            log + "quorum w\n",
		"a member defined below":        log + "group g any w\nwitness w " + witness + "\nquorum g\n",
		"a member twice":                log + "witness w " + witness + "\ngroup g 2 w w\nquorum g\n",
		"k above n":                     log + "witness w " + witness + "\ngroup g 2 w\nquorum g\n",
		"a wrong key id":                strings.Replace(log, "+", "+0", 1) + "quorum none\n",
		"a word":                        "logs\nquorum none\n",
		"a control character":           log + "quorum none\r\n",
		"a witness's key type in a log": "witness w " + w.cases.Vkey + "\nquorum w\n",
	} {
		if _, err := verify.ParsePolicy([]byte(text)); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func vkey(name string, kind byte, public []byte) string {
	key := append([]byte{kind}, public...)
	sum := sha256.Sum256([]byte(name + "\n" + string(key)))
	return fmt.Sprintf("%s+%x+%s", name, sum[:4], base64.StdEncoding.EncodeToString(key))
}

// cosign adds the line of a witness of either type to a note.
func cosign(note []byte, name string, kind byte, public []byte, at time.Time, sign func(text string) []byte) []byte {
	sum := sha256.Sum256([]byte(name + "\n" + string(append([]byte{kind}, public...))))
	line := binary.BigEndian.AppendUint64(sum[:4:4], uint64(at.Unix()))
	line = append(line, sign(string(note[:bytes.Index(note, []byte("\n\n"))+1]))...)
	return fmt.Appendf(bytes.Clone(note), "— %s %s\n", name, base64.StdEncoding.EncodeToString(line))
}

func TestAQuorumOfWitnessesMustHaveSeenTheHeadAndTellsItsAge(t *testing.T) {
	w := newWorld(t)
	at := made.Start.Add(20 * time.Hour)
	one := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))
	two, err := mldsa.NewPrivateKey(mldsa.MLDSA44(), bytes.Repeat([]byte{4}, 32))
	if err != nil {
		t.Fatal(err)
	}
	public1, public2 := one.Public().(ed25519.PublicKey), two.PublicKey().Bytes()
	w.options.Policy = policyOf(t, fmt.Appendf(nil, "log %s\nwitness a %s\nwitness b %s\ngroup both all a b\nquorum both\n",
		w.cases.Vkey, vkey("w.example/a", 4, public1), vkey("w.example/b", 6, public2)))
	note := w.cases.Checkpoint(700)
	wants(t, w.file(t, note), "FAIL signature "+cases)

	first := cosign(note, "w.example/a", 4, public1, at, func(text string) []byte {
		return ed25519.Sign(one, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at.Unix(), text))
	})
	wants(t, w.file(t, first), "FAIL signature "+cases)
	second := cosign(first, "w.example/b", 6, public2, at.Add(time.Hour), func(text string) []byte {
		lines := strings.Split(text, "\n")
		root, _ := base64.StdEncoding.DecodeString(lines[2])
		message := append([]byte("subtree/v1\n\x00\x0bw.example/b"), binary.BigEndian.AppendUint64(nil, uint64(at.Add(time.Hour).Unix()))...)
		message = append(append(message, byte(len(cases))), cases...)
		message = binary.BigEndian.AppendUint64(append(message, make([]byte, 8)...), 700)
		signature, err := two.Sign(nil, append(message, root...), nil)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	})
	wantsClean(t, w.file(t, second), 1)
	w.options.MaxAge = 3 * time.Hour // the older of the two is four hours old
	wants(t, w.file(t, second), "FAIL stale "+cases)
	w.options.MaxAge = 5 * time.Hour
	wantsClean(t, w.file(t, second), 1)
	broken := bytes.Clone(second)
	broken[bytes.LastIndex(broken, []byte("w.example/b "))+40] ^= 1
	wants(t, w.file(t, broken), "FAIL ")
}
