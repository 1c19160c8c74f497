// Command testreport reads what go test -json prints and shows what go test
// would: a line for each package, and everything that failing tests said. It
// adds what go test does not say without -v, which tests skipped themselves,
// and can fail for it:
//
//	go test -json ./... | testreport [-no-skips] [-v]
//
// Its exit code is 1 if a test failed, was skipped where none may be, or if
// no test ran at all.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	noSkips := flag.Bool("no-skips", false, "fail if a test skipped itself")
	verbose := flag.Bool("v", false, "show what passing tests say, too")
	flag.Parse()
	r := newReport(os.Stdout, *verbose)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.finish(*noSkips) {
		os.Exit(1)
	}
}
