package made

import (
	"archive/tar"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// WriteFolder puts the files into a folder.
func (f Files) WriteFolder(folder string) error {
	for name, content := range f {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// WriteTar writes them sorted and without times.
func (f Files) WriteTar(out io.Writer) error {
	writer := tar.NewWriter(out)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		content := f[name]
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		if _, err := writer.Write(content); err != nil {
			return err
		}
	}
	return writer.Close()
}
