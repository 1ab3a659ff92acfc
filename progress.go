package main

import (
	"fmt"
	"io"
	"strings"
)

const (
	// barWidth is that of a full bar in characters.
	barWidth = 30
	// linesBetween is after how many lines something is said where there is no terminal.
	linesBetween = 10_000
)

// A progress tells how far a file has been read: with a bar at a terminal, elsewhere with a line now and then.
type progress struct {
	out      io.Writer
	terminal bool
	size     int64 // of the file; 0 when it is not known
	read     int64
	told     int // how many lines there were when something was last said
	shown    bool
}

// watch counts what is read of r.
func (p *progress) watch(r io.Reader) io.Reader { return &watched{r, p} }

type watched struct {
	io.Reader
	progress *progress
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	w.progress.read += int64(n)
	return n, err
}

func (p *progress) show(lines, refused int) {
	switch {
	case p.terminal:
		fmt.Fprintf(p.out, "\r%s%d lines, %d refused\x1b[K", p.bar(), lines, refused)
		p.shown = true
	case lines-p.told >= linesBetween:
		fmt.Fprintf(p.out, "%d lines, %d refused\n", lines, refused)
		p.told = lines
	}
}

func (p *progress) bar() string {
	if p.size <= 0 {
		return ""
	}
	done := min(p.read, p.size)
	full := int(done * barWidth / p.size)
	return fmt.Sprintf("[%s%s] %3d %%  ", strings.Repeat("█", full), strings.Repeat("░", barWidth-full), done*100/p.size)
}

// end leaves the terminal to what comes next.
func (p *progress) end() {
	if p.shown {
		fmt.Fprintln(p.out)
	}
}
