package verify

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Comments that other readers of the format pass over: which epoch a policy is of, and where the one before it ended.
//
//	# epoch 3 from 2027-01-01
//	# after hotline111.example/prod/cases 40210
//
// The day is for people. The size is for verifiers: behind it this policy counts for that log and none of an earlier epoch does, up
// to it the earlier ones and not this one.
var (
	epochComment = regexp.MustCompile(`^epoch ([1-9][0-9]{0,8})( from [0-9]{4}-[0-9]{2}-[0-9]{2})?$`)
	afterComment = regexp.MustCompile(`^after (\S+) ([1-9][0-9]{0,18})$`)
)

// comment reads what a comment says; words[0] begins with #. A slip in it must not make it an idle one.
func (p *Policy) comment(words []string) error {
	text := strings.TrimLeft(strings.TrimPrefix(strings.Join(words, " "), "#"), " ")
	if found := epochComment.FindStringSubmatch(text); found != nil && p.epoch == 0 {
		number, err := decimal(found[1])
		p.epoch = number
		return err
	}
	if found := afterComment.FindStringSubmatch(text); found != nil {
		size, err := decimal(found[2])
		if _, twice := p.after[found[1]]; err == nil && !twice {
			p.after[found[1]] = size
			return nil
		}
	}
	if word, _, _ := strings.Cut(text, " "); word == "epoch" || word == "after" {
		return errors.New("neither # epoch <number> from <day> nor # after <log> <size>, or a second one")
	}
	return nil
}

// begins checks what the comments of a whole policy say.
func (p *Policy) begins() error {
	for origin := range p.after {
		if p.epoch == 0 || !p.origins[origin] {
			return errors.New("it begins after a size, but does not say its epoch or does not list that log")
		}
	}
	return nil
}

// ParsePolicies reads the policies of several epochs, one a file: the newest, which knows the earlier ones.
func ParsePolicies(files ...[]byte) (*Policy, error) {
	var policies []*Policy
	for i, raw := range files {
		policy, err := ParsePolicy(raw)
		if err != nil {
			return nil, fmt.Errorf("policy %d: %w", i+1, err)
		}
		policies = append(policies, policy)
	}
	if len(policies) == 0 {
		return nil, errors.New("there is no policy")
	}
	slices.SortStableFunc(policies, func(a, b *Policy) int { return cmp.Compare(b.epoch, a.epoch) })
	newest := policies[0]
	newest.earlier = policies[1:]
	ends, signers := map[string]int64{}, map[string]string{}
	for i, policy := range policies {
		if len(policies) > 1 && policy.epoch == 0 {
			return nil, errors.New("of several policies each must say its epoch: # epoch 2 from 2027-01-01")
		}
		if i > 0 && policies[i-1].epoch == policy.epoch {
			return nil, errors.New("two policies say that they are of one epoch")
		}
		if i > 0 {
			if err := policies[i-1].dropsInSilence(policy); err != nil {
				return nil, err
			}
		}
		policy.until = maps.Clone(ends)
		for origin, size := range policy.after {
			if end, ok := ends[origin]; ok && size > end {
				return nil, fmt.Errorf("epoch %d begins after a later one", policy.epoch)
			}
			ends[origin] = size
		}
		for public, origin := range policy.public {
			if other, ok := signers[public]; ok && other != origin {
				return nil, errors.New("a key is listed for two logs")
			}
			signers[public] = origin
		}
	}
	return newest, nil
}

// dropsInSilence refuses a policy that lists a key of the epoch before no more and does not say after which size: it would count on.
func (p *Policy) dropsInSilence(before *Policy) error {
	for public, origin := range before.public {
		_, isListed := p.public[public]
		if _, says := p.after[origin]; p.origins[origin] && !isListed && !says {
			return fmt.Errorf("epoch %d lists a key of %s no more and does not say after which size", p.epoch, origin)
		}
	}
	return nil
}

// epochs are this policy and the earlier ones, the newest first.
func (p *Policy) epochs() []*Policy { return append([]*Policy{p}, p.earlier...) }

// knows tells whether any epoch lists the log.
func (p *Policy) knows(origin string) bool {
	return slices.ContainsFunc(p.epochs(), func(one *Policy) bool { return one.origins[origin] })
}

// covers tells whether a checkpoint of this size is of this epoch.
func (p *Policy) covers(head Checkpoint) bool {
	after, begins := p.after[head.Origin]
	until, ends := p.until[head.Origin]
	return (!begins || head.Size > after) && (!ends || head.Size <= until)
}

// open a checkpoint as the policy of an epoch accepts it to which its size belongs; see openAlone.
func (p *Policy) open(raw []byte, cosigned bool) (Checkpoint, *Finding) {
	var told Checkpoint
	var problem *Finding
	rank := map[string]int{BadNote: 0, Signature: 1, Origin: 2}
	for _, one := range p.epochs() {
		head, finding := one.openAlone(raw, cosigned)
		if finding == nil {
			return head, nil
		}
		told.Origin = cmp.Or(told.Origin, head.Origin)
		if problem == nil || rank[finding.Code] <= rank[problem.Code] {
			problem = finding
		}
	}
	return told, problem
}

// adoption is the entry in which a log says last by which policy it is judged; the zero value for none.
type adoption struct {
	position int64
	state    int32 // its number, -1 where it is not shown
}

// remarkAdoption says so where the policy that a clean log names is none of the reader's. It may well be another file of the same
// keys, so this is no finding; but whoever has changed keys in silence is met here.
func (l *logCheck) remarkAdoption() {
	if l.first != nil || l.adopted.position == 0 || l.adopted.state < 0 {
		return
	}
	name := l.shown.digests[l.adopted.state]
	raw, err := l.shown.read(stateName(name), l.shown.places[l.adopted.state], maxState, nil)
	var said struct {
		Fact struct {
			Epoch  int64
			SHA256 string
		}
	}
	if err != nil || json.Unmarshal(raw, &said) != nil {
		return
	}
	if !slices.ContainsFunc(l.Policy.epochs(), func(one *Policy) bool { return one.digest == said.Fact.SHA256 }) {
		l.remark("%s says in entry %d that it is judged by epoch %d, SHA-256 %s: no policy of yours",
			l.origin, l.adopted.position, said.Fact.Epoch, shown(said.Fact.SHA256))
	}
}
