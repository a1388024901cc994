package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// MaxPolicy bounds a policy file, in bytes.
const MaxPolicy = 256 << 10

// Policy is what the reader trusts: a tlog-policy, of which each log line counts for its own origin only.
type Policy struct {
	Remarks []string          // what was read and is not used
	epoch   int64             // 0 where the file does not say
	after   map[string]int64  // by origin: the size behind which it counts
	until   map[string]int64  // by origin: the size up to which it counts
	earlier []*Policy         // of the epochs before, the newest first
	public  map[string]string // the origin of each public key
	digest  string            // SHA-256 of the file, in hexadecimal
	keys    []note.Verifier
	origins map[string]bool
	witness map[string]*member // by the name within the policy; groups, too
	quorum  *member            // nil for none
	signers map[signer]*member
}

type signer struct {
	name string
	id   uint32
}

// member of a quorum: a witness, or k of a group.
type member struct {
	k       int
	members []*member
	grouped bool
}

func (m *member) satisfied(by map[*member]bool) bool {
	if len(m.members) == 0 {
		return by[m]
	}
	reached := 0
	for _, one := range m.members {
		if one.satisfied(by) {
			reached++
		}
	}
	return reached >= m.k
}

// ParsePolicy reads a policy. Its errors name the line: the policy is the caller's own, so they make the call wrong, no finding.
func ParsePolicy(raw []byte) (*Policy, error) {
	if len(raw) > MaxPolicy {
		return nil, fmt.Errorf("longer than %d bytes", MaxPolicy)
	}
	p := &Policy{origins: map[string]bool{}, witness: map[string]*member{}, signers: map[signer]*member{},
		after: map[string]int64{}, public: map[string]string{}, digest: fmt.Sprintf("%x", sha256.Sum256(raw))}
	listed := map[string]bool{}
	quorums := 0
	for i, line := range strings.Split(string(raw), "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, fmt.Errorf("line %d: a control character", i+1)
		}
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) == 0 {
			continue
		}
		var err error
		switch {
		case strings.HasPrefix(words[0], "#"):
			err = p.comment(words)
		case words[0] == "log":
			err = p.log(words[1:], listed)
		case words[0] == "witness":
			err = p.addWitness(words[1:], listed)
		case words[0] == "group":
			err = p.group(words[1:])
		case words[0] == "quorum":
			quorums++
			err = p.setQuorum(words[1:])
		default:
			err = errors.New("neither log, witness, group nor quorum")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if quorums != 1 {
		return nil, fmt.Errorf("%d quorum lines; it must be one", quorums)
	}
	return p, p.begins()
}

// Origins lists the logs that the policy trusts in its newest epoch, sorted.
func (p *Policy) Origins() []string { return slices.Sorted(maps.Keys(p.origins)) }

// once refuses a public key that is listed before: a log's key as a witness, or one key under two names, would sign for two.
func once(key vkey, listed map[string]bool) error {
	if listed[key.public] {
		return errors.New("this public key is listed twice")
	}
	listed[key.public] = true
	return nil
}

func (p *Policy) log(words []string, listed map[string]bool) error {
	if len(words) != 1 && len(words) != 2 {
		return errors.New("not log <vkey> [<url>]")
	}
	key, err := parseVkey(words[0])
	if err != nil {
		return err
	}
	if key.kind != typeEd25519 {
		p.Remarks = append(p.Remarks, fmt.Sprintf("a key of %s of type %#02x is not used: logs sign with type 0x01", key.name, key.kind))
		return nil
	}
	verifier, err := note.NewVerifier(key.text)
	if err != nil {
		return err
	}
	p.origins[key.name] = true
	p.public[key.public] = key.name
	p.keys = append(p.keys, verifier)
	p.signers[signer{key.name, key.id}] = nil
	return once(key, listed)
}

func (p *Policy) addWitness(words []string, listed map[string]bool) error {
	if len(words) != 2 && len(words) != 3 {
		return errors.New("not witness <name> <vkey> [<url>]")
	}
	key, err := parseVkey(words[1])
	if err != nil {
		return err
	}
	verifier, err := newCosigner(key)
	if err != nil {
		return err
	}
	witness := &member{k: 1}
	p.keys = append(p.keys, verifier)
	p.signers[signer{key.name, key.id}] = witness
	return errors.Join(p.name(words[0], witness), once(key, listed))
}

func (p *Policy) group(words []string) error {
	if len(words) < 3 {
		return errors.New("not group <name> all|any|<k> <name>…")
	}
	group := &member{}
	for _, name := range words[2:] {
		one := p.witness[name]
		if one == nil || one.grouped {
			return fmt.Errorf("%s is not defined above, or in a group already", shown(name))
		}
		one.grouped = true
		group.members = append(group.members, one)
	}
	switch words[1] {
	case "all":
		group.k = len(group.members)
	case "any":
		group.k = 1
	default:
		k, err := strconv.Atoi(words[1])
		if err != nil || k < 1 || k > len(group.members) || strconv.Itoa(k) != words[1] {
			return errors.New("k must be between 1 and the number of members")
		}
		group.k = k
	}
	return p.name(words[0], group)
}

func (p *Policy) name(name string, one *member) error {
	if name == "none" || p.witness[name] != nil {
		return fmt.Errorf("the name %s is taken", shown(name))
	}
	p.witness[name] = one
	return nil
}

func (p *Policy) setQuorum(words []string) error {
	if len(words) != 1 {
		return errors.New("not quorum <name>")
	}
	if words[0] == "none" {
		return nil
	}
	if p.quorum = p.witness[words[0]]; p.quorum == nil {
		return fmt.Errorf("%s is not defined above", shown(words[0]))
	}
	return nil
}

// shortName of a log: the last part of its origin, as in logs/<log>/, the instant and causes.
func shortName(origin string) string { return origin[strings.LastIndexByte(origin, '/')+1:] }
