package follow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Place is where a reader is. Position alone decides. Offset is where that record stood, to begin there and not at the beginning; if
// something else stands there, the topic was made anew. Written is how long the output was with everything up to Position in it.
type Place struct {
	Position int64 `json:"position"`
	Offset   int64 `json:"offset"`
	Written  int64 `json:"written"`
}

// Load reads a place; without a file it is the beginning.
func Load(file string) (Place, error) {
	var place Place
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return place, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &place)
	}
	if err == nil && (place.Position < 0 || place.Offset < 0 || place.Written < 0) {
		err = errors.New("negative")
	}
	if err != nil {
		return place, fmt.Errorf("the position file cannot be read: %w", err)
	}
	return place, nil
}

// Save writes a place whole or not at all: a reader that dies in here finds the old one.
func Save(file string, place Place) error {
	content, err := json.Marshal(place)
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // in vain once it is renamed
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), file); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// Output opens the file that facts are written to and cuts off whatever stands behind the place: lines that were written but not
// counted before the reader died. They are told again, so each stands there exactly once. Where your output is a database you need
// none of this: write the rows and the position in one transaction.
func Output(file string, place Place) (*os.File, error) {
	out, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := out.Stat()
	if err == nil && info.Size() < place.Written {
		err = fmt.Errorf("the output has %d bytes, the position file says %d: they do not belong together", info.Size(), place.Written)
	}
	if err == nil {
		err = out.Truncate(place.Written)
	}
	if err == nil {
		_, err = out.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}
