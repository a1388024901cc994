// Verify-go-gen makes a bundle of one invented log to measure the verifier with, as a folder and as a tar.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"hotline111.example/verify-go/made"
)

func main() {
	n := flag.Int("entries", 1_000_000, "how many entries")
	states := flag.Bool("states", false, "show the state of every entry, each its own file; else of the first stream only")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "verify-go-gen [--entries N] [--states] FOLDER")
		os.Exit(2)
	}
	if err := write(flag.Arg(0), *n, *states); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(folder string, n int, all bool) error {
	log := made.New("hotline111.example/test/cases", [32]byte{1})
	rows := made.History("cases", n)
	log.Add(rows...)
	streams := "cases " + made.Stream(0) + "\n"
	if all {
		streams = "cases *\n"
	}
	files := made.Bundle(streams, log)
	for _, row := range rows {
		if all || row.Stream == made.Stream(0) {
			files.AddState(row.State)
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "policy"), made.Policy(log), 0o644); err != nil {
		return err
	}
	if err := files.WriteFolder(filepath.Join(folder, "bundle")); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(folder, "bundle.tar"))
	if err != nil {
		return err
	}
	defer out.Close()
	return files.WriteTar(out)
}
