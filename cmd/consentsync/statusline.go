package main

import (
	"fmt"
	"io"
	"time"
)

// statusLine tells how far something is: on a terminal in one line that changes,
// otherwise in a line now and then.
type statusLine struct {
	out     io.Writer
	columns int // of the terminal; 0 for none
	now     func() time.Time

	shown time.Time
	open  bool // the line is not ended
}

// say shows what text gives, unless something was shown a moment ago.
func (l *statusLine) say(text func() string) {
	now, every := l.now(), 10*time.Second
	if l.columns > 0 {
		every = 200 * time.Millisecond
	}
	if now.Sub(l.shown) < every {
		return
	}
	l.shown = now
	line := text()
	if l.columns == 0 {
		_, _ = fmt.Fprintln(l.out, line)
		return
	}
	if len(line) >= l.columns {
		line = line[:l.columns-1]
	}
	_, _ = fmt.Fprintf(l.out, "\r%s\x1b[K", line)
	l.open = true
}

// end ends the line.
func (l *statusLine) end() {
	if l.open {
		_, _ = fmt.Fprintln(l.out)
	}
	l.open = false
}
