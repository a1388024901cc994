// Verify-go-gen makes a bundle of one invented log, and the policy to read it by, to measure the verifier with.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"hotline111.example/verify-go/made"
)

func main() {
	n := flag.Int("entries", 1_000_000, "how many entries")
	states := flag.Bool("states", false, "show the state of every entry, each its own file; else of the first stream only")
	folder := flag.Bool("folder", false, "as a folder, too; else as a tar only")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "verify-go-gen [--entries N] [--states] [--folder] OUT")
		os.Exit(2)
	}
	if err := write(flag.Arg(0), *n, *states, *folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(out string, n int, all, asFolder bool) error {
	log := made.New("hotline111.example/test/cases", [32]byte{1})
	streams := "cases " + made.Stream(0) + "\n"
	if all {
		streams = "cases *\n"
	}
	states := made.Files{}
	for i := range n {
		row := made.Fact("cases", i)
		log.Add(row)
		if all || row.Stream == made.Stream(0) {
			states.AddState(row.State)
		}
	}
	files := made.Bundle(streams, log)
	maps.Copy(files, states)
	files.AddSums()
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "policy"), made.Policy(log), 0o644); err != nil {
		return err
	}
	if asFolder {
		if err := files.WriteFolder(filepath.Join(out, "bundle")); err != nil {
			return err
		}
	}
	return writeTar(filepath.Join(out, "bundle.tar"), files)
}

func writeTar(name string, files made.Files) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(files.WriteTar(file), file.Close())
}
