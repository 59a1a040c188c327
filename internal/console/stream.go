package console

import (
	"bytes"
	"cmp"
	"net/http"
	"strings"
	"sync"
	"time"

	"consentsync/internal/accounts"
	"consentsync/internal/consent"
	"consentsync/internal/reply"
)

// reading gives what a part of a page is drawn from, and a mark of how it looks.
type reading func(r *http.Request, v *visit) (data any, mark string, err error)

const (
	// streamEvery is how often a part is looked at.
	streamEvery = 2 * time.Second
	// streamWrite bounds how long a browser may take to take it.
	streamWrite = 10 * time.Second
	// mostStreams bounds how many there are at a time, mostOwnStreams those of one
	// user, so that nobody takes those of all.
	mostStreams    = 500
	mostOwnStreams = 10
)

// streams counts those that are open, by user. The zero value is ready.
type streams struct {
	mu  sync.Mutex
	all int
	own map[string]int
}

// open counts one more of a user, until close is called; RateLimited or Transient
// with the reason if there are too many.
func (s *streams) open(user string) (closed func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.own[user] >= mostOwnStreams:
		return nil, consent.Errorf(consent.RateLimited, "console", "you have %d pages open that keep themselves up to date: close some", mostOwnStreams)
	case s.all >= mostStreams:
		return nil, consent.Errorf(consent.Transient, "console", "too many pages are open here: reload this one later")
	}
	if s.own == nil {
		s.own = map[string]int{}
	}
	s.all++
	s.own[user]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.own[user]--; s.own[user] == 0 {
			delete(s.own, user)
		}
	}, nil
}

// stream keeps a part of a page up to date by server-sent events. Each look is a
// visit of its own: the stream ends when the session does, or the role, and does
// not make the session last. A part that looks as what the browser has is not
// sent.
func (c *Console) stream(page, part string, read reading) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := c.visit(r, c.Accounts.Peek)
		if err == nil && v.Actor != nil { // to nobody it ends at once
			var closed func()
			if closed, err = c.streams.open(v.Actor.ID); err == nil {
				defer closed()
			}
		}
		if err != nil {
			reply.Error(w, err)
			return
		}
		s := &eventStream{w, http.NewResponseController(w)}
		_ = s.out.SetReadDeadline(time.Time{}) // that of a request does not bound a stream
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("X-Accel-Buffering", "no") // nginx would keep it back
		have := cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("have"))
		tick := time.NewTicker(streamEvery)
		defer tick.Stop()
		for first := true; ; first = false {
			text, mark, gone, err := c.look(r, page, part, read)
			switch {
			case err != nil && r.Context().Err() == nil:
				c.Log.ErrorContext(r.Context(), "a part of a page failed", "pattern", r.Pattern, "error", err)
				return // the browser asks again
			case gone:
				_ = s.send("end", "", "")
				return
			case mark != have:
				have, err = mark, s.send("part", mark, text)
			case first:
				err = s.send("", "", "") // it is open
			}
			if err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			case <-c.closing:
				return
			}
		}
	})
}

// look draws a part once. gone tells that whoever looks may not any more.
func (c *Console) look(r *http.Request, page, part string, read reading) (text, mark string, gone bool, err error) {
	v, err := c.visit(r, c.Accounts.Peek)
	if err == nil && v.Actor == nil {
		return "", "", true, nil
	}
	if err == nil {
		err = c.enter(r, v, accounts.Viewer)
	}
	var data any
	if err == nil {
		data, mark, err = read(r, v)
	}
	switch kind := consent.KindOf(err); {
	case err != nil && (kind == consent.NotFound || kind == consent.Forbidden):
		return "", "", true, nil
	case err != nil:
		return "", "", false, err
	}
	var b bytes.Buffer
	err = c.pages[page].part(&b, part, data)
	return b.String(), mark, false, err
}

// Close ends all streams, so that a server can shut down.
func (c *Console) Close() { c.close() }

// eventStream writes server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type eventStream struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

// send writes one; a comment where it has no name.
func (s *eventStream) send(name, id, data string) error {
	var b strings.Builder
	if name == "" {
		b.WriteString(":\n\n")
	} else {
		b.WriteString("event: " + name + "\n")
		if id != "" {
			b.WriteString("id: " + id + "\n")
		}
		for line := range strings.SplitSeq(data, "\n") {
			b.WriteString("data: " + strings.TrimSuffix(line, "\r") + "\n")
		}
		b.WriteString("\n")
	}
	if err := s.out.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(b.String())); err != nil {
		return err
	}
	return s.out.Flush()
}
