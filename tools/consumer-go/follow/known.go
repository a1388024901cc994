package follow

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Known is what this build has learnt: type of fact, and the newest version of it. Nil knows nothing and marks nothing.
//
// Be tolerant: the tellers are deployed when they like, and lists and facts grow. What is not known is passed on with a mark, so that
// whoever needs it can look later; it is never guessed at, never dropped and never a reason to stop.
type Known map[string]int

// Learn reads the schemas of a release: <folder>/schemas/<log>/<Fact>.v<version>.json.
func Learn(folder string) (Known, error) {
	files, err := filepath.Glob(filepath.Join(folder, "schemas", "*", "*.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no schemas in %s", folder)
	}
	known := Known{}
	for _, file := range files {
		name, number, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), ".v")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("%s is not named <Fact>.v<version>.json", filepath.Base(file))
		}
		kind := filepath.Base(filepath.Dir(file)) + "." + name
		known[kind] = max(known[kind], version)
	}
	return known, nil
}

func (known Known) mark(kind string, version int) string {
	newest, ok := known[kind]
	switch {
	case known == nil:
		return ""
	case !ok:
		return "unknown type"
	case version > newest:
		return "newer version"
	}
	return ""
}
