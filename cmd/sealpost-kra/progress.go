package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

const (
	barWidth   = 40
	fewRecords = 500 // are done before anybody wonders
)

// progress shows how far a long step is: a bar on a terminal, and else a line at every tenth. Less than some hundred
// records pass in silence.
type progress struct {
	w    io.Writer
	what string
	bar  bool
	last int // percent
}

// newProgress reports to standard error, so that what is printed stays readable for programs.
func newProgress(w io.Writer, what string) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, what: what, bar: ok && term.IsTerminal(int(f.Fd())), last: -1}
}

func (p *progress) report(done, total int) {
	if total < fewRecords {
		return
	}
	percent := done * 100 / total
	if percent == p.last || !p.bar && percent/10 == p.last/10 && p.last >= 0 {
		return
	}
	p.last = percent
	if !p.bar {
		fmt.Fprintf(p.w, "%s: %d of %d\n", p.what, done, total)
		return
	}
	full := percent * barWidth / 100
	fmt.Fprintf(p.w, "\r%s [%s%s] %3d%% of %d", p.what, strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), percent, total)
	if done == total {
		fmt.Fprintln(p.w)
	}
}
