package verify

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxStreams bounds the file streams, in bytes: 300,000 streams.
const maxStreams = 16 << 20

// casesLog is the log in which a case has its stream.
const casesLog = "cases"

// claims of a bundle: the size of each log, and the streams that are shown whole.
type claims struct {
	at      instant
	streams map[string]map[uuid]bool
	all     map[string]bool
}

// bundle checks a bundle, or the export of one log.
func (c *check) bundle(from container) error {
	if c.State != nil {
		return fmt.Errorf("%w: state bytes are given with a receipt; a bundle has its own", ErrCall)
	}
	files, err := catalogue(from)
	if err != nil {
		return err
	}
	if files.problem != nil {
		c.fail("", files.problem)
		return nil
	}
	_, isExport := files.logs[""]
	_, hasInstant := files.single[instantFile]
	_, hasStreams := files.single[streamsFile]
	switch {
	case hasInstant || hasStreams || len(files.logs) > 1 || !isExport && len(files.logs) > 0:
		c.many(files)
	case isExport:
		c.one(files)
	default:
		c.fail("", found(stepWhole, Malformed, 0, "neither a bundle nor the export of a log"))
	}
	return nil
}

// one checks the export of a log: all of it must be there.
func (c *check) one(files *catalog) {
	l := c.logCheck("", files)
	l.all = true
	if !l.open() {
		l.origin = l.head.Origin
		c.Lines = append(c.Lines, l.line())
		return
	}
	l.origin, l.name = l.head.Origin, shortName(l.head.Origin)
	l.holdAgainst()
	if !slices.Contains(c.expected(), l.origin) {
		l.note(found(stepNote, Origin, 0, "a log that was not expected"))
	} else if _, strange := files.single[policyFile]; strange || len(files.opened) > 0 {
		l.note(found(stepFiles, Extra, 0, "the export of a log has neither a policy nor opened/"))
	} else {
		l.verdicts, l.causes = c.states(files, instant{l.name: l.head.Size})
		l.run()
	}
	if c.Case != "" && l.name == casesLog {
		l.note(l.showsCase(c.Case))
	} else if c.Case != "" {
		c.fail("", found(stepStates, Missing, 0, "this is not the log of cases"))
	}
	c.Lines = append(c.Lines, l.line())
	l.remarkAdoption()
	c.rest(files, l.named)
}

// many checks a bundle.
func (c *check) many(files *catalog) {
	told, problem := c.claims(files)
	if problem != nil {
		c.fail("", problem)
		return
	}
	verdicts, causes := c.states(files, told.at)
	named := make([]bool, len(files.digests))
	isShown := false
	for _, name := range slices.Sorted(maps.Keys(told.at)) {
		l := c.logCheck(name, files)
		l.verdicts, l.causes, l.named, l.streams, l.all = verdicts, causes, named, told.streams[name], told.all[name]
		l.origin, problem = c.originOf(name)
		l.holdAgainst()
		if problem != nil {
			l.note(problem)
		} else if l.open() {
			if size := told.at[name]; size != l.head.Size && l.head.Origin == l.origin {
				l.note(found(stepNote, BadNote, 0, "the instant says size %d, the checkpoint %d", size, l.head.Size))
			}
			l.run()
		}
		if name == casesLog && c.Case != "" {
			isShown = true
			l.note(l.showsCase(c.Case))
		}
		c.Lines = append(c.Lines, l.line())
		l.remarkAdoption()
	}
	for _, origin := range c.expected() {
		if _, ok := told.at[shortName(origin)]; !ok {
			c.fail(origin, found(stepNote, Missing, 0, "the log is not in the bundle"))
		}
	}
	if c.Case != "" && !isShown {
		c.fail("", found(stepStates, Missing, 0, "the bundle has no log of cases"))
	}
	c.limits(files, told)
	c.rest(files, named)
}

// logCheck of the log with this name; its origin is not known yet.
func (c *check) logCheck(name string, files *catalog) *logCheck {
	own := files.logs[name]
	return &logCheck{check: c, name: name, from: files.container, files: own, shown: files, named: make([]bool, len(files.digests))}
}

func (l *logCheck) holdAgainst() {
	for _, held := range l.Held {
		if held.Origin == l.origin {
			l.held = append(l.held, held)
		}
	}
}

func (l *logCheck) showsCase(text string) *Finding {
	stream, err := parseUUID([]byte(text))
	if err != nil || l.versions[stream] == 0 {
		return found(stepStates, Missing, 0, "the case %s has no entry", text)
	}
	if !l.all && !l.streams[stream] {
		return found(stepStates, Missing, 0, "the bundle does not claim to show the case %s whole", text)
	}
	return nil
}

// originOf a log of the bundle: the one expected origin that ends with its name.
func (c *check) originOf(name string) (string, *Finding) {
	var fit []string
	for _, origin := range c.expected() {
		if shortName(origin) == name {
			fit = append(fit, origin)
		}
	}
	if len(fit) != 1 {
		return "", found(stepNote, Origin, 0, "%d logs named %s are expected; it must be one: say which", len(fit), shown(name))
	}
	return fit[0], nil
}

// claims reads instant and streams and holds them against the folders of logs.
func (c *check) claims(files *catalog) (told claims, problem *Finding) {
	told = claims{instant{}, map[string]map[uuid]bool{}, map[string]bool{}}
	if problem = eachLine(files, instantFile, func(line string) bool {
		log, size, _ := strings.Cut(line, " ")
		n, err := decimal(size)
		_, twice := told.at[log]
		told.at[log] = n
		return err == nil && n > 0 && logName.MatchString(log) && !twice
	}); problem != nil {
		return told, problem
	}
	if at, ok := files.single[policyFile]; ok {
		if _, err := files.read(policyFile, at, MaxPolicy, nil); errors.Is(err, errTooLong) {
			return told, found(stepWhole, Extra, 0, "the copy of a policy is longer than %d bytes", MaxPolicy)
		}
	}
	if problem = eachLine(files, streamsFile, func(line string) bool { return told.claim(line) }); problem != nil {
		return told, problem
	}
	for _, log := range slices.Sorted(maps.Keys(files.logs)) {
		if _, ok := told.at[log]; !ok {
			return told, found(stepFiles, Extra, 0, "a log %s, which the instant does not name", shown(log))
		}
	}
	return told, nil
}

// claim reads a line of streams: <log> <stream>, or <log> * for all of a log.
func (told *claims) claim(line string) bool {
	log, text, _ := strings.Cut(line, " ")
	if _, ok := told.at[log]; !ok {
		return false
	}
	if text == "*" {
		told.all[log] = true
		return true
	}
	stream, err := parseUUID([]byte(text))
	if told.streams[log] == nil {
		told.streams[log] = map[uuid]bool{}
	}
	told.streams[log][stream] = true
	return err == nil
}

func eachLine(files *catalog, name string, take func(line string) bool) *Finding {
	at, ok := files.single[name]
	if !ok {
		return found(stepFiles, Missing, 0, "the bundle has no file %s", name)
	}
	raw, err := files.read(name, at, maxStreams, nil)
	if errors.Is(err, errTooLong) {
		return found(stepWhole, Malformed, 0, "%s is longer than %d bytes", name, maxStreams)
	} else if err != nil {
		return found(stepWhole, Malformed, 0, "%s cannot be read: %v", name, err)
	}
	for line := range strings.Lines(string(raw)) {
		text, ended := strings.CutSuffix(line, "\n")
		if !ended || !take(text) {
			return found(stepWhole, Malformed, 0, "%s has a line that says nothing: %s", name, shown(text))
		}
	}
	return nil
}

// rest checks what belongs to no single log, once nothing else was found: then every entry was read.
func (c *check) rest(files *catalog, named []bool) {
	for _, held := range c.Held {
		if !slices.ContainsFunc(c.Lines, func(l Line) bool { return l.Origin == held.Origin }) {
			c.remark("%s is of %s, which is not here: it was compared with nothing", held.Source, held.Origin)
		}
	}
	if !c.Clean() {
		return
	}
	var hollow *Finding
	if files.hollow() {
		hollow = found(stepStates, Extra, 0, "there is a folder with nothing in it")
	}
	if problem := earliest(hollow, earliest(orphans(files, named), c.sums(files))); problem != nil {
		c.fail("", problem)
	}
}

// limits says what such a bundle cannot prove.
func (c *check) limits(files *catalog, told claims) {
	if len(files.opened) > 0 {
		c.remark("opened/ shows sealed parts in clear: that they are what the boxes hold is the word of who made the bundle")
	}
	for log := range told.at {
		if !told.all[log] {
			c.remark("not all streams are shown: whether further ones belong to the case, this bundle does not prove")
			return
		}
	}
}
