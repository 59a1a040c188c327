package notify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A condition is told of once it lasts, then every few hours, and when it is
// over; one that comes and goes is not told of again and again.
func TestThrottling(t *testing.T) {
	t.Parallel()
	l := ledger{}
	start := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	late := []Condition{{Name: "withdrawal_late", Text: "late"}}
	var told []string
	at := func(from, to time.Duration, wrong []Condition) {
		for d := from; d < to; d += every {
			for _, m := range l.due(start.Add(d), wrong) {
				told = append(told, m.Event+" at "+d.String()+" since "+m.Since.Sub(start).String())
				l.sent(m, start.Add(d))
			}
		}
	}
	at(0, 20*time.Second, late) // for a moment only
	at(20*time.Second, time.Hour, nil)
	at(time.Hour, 6*time.Hour, late)
	at(6*time.Hour, 7*time.Hour, nil)
	for d := 8 * time.Hour; d < 9*time.Hour; d += 2 * time.Minute { // it flaps
		at(d, d+time.Minute, late)
		at(d+time.Minute, d+2*time.Minute, nil)
	}
	want := []string{
		"began at 1h0m30s since 1h0m0s", "lasts at 5h0m30s since 1h0m0s", "over at 6h0m30s since 1h0m0s",
		"began at 8h0m30s since 8h0m0s",
	}
	// From then on what flaps is told at most every quarter of an hour.
	if d := cmp.Diff(want[:4], told[:min(4, len(told))]); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
	if n := len(told) - 4; n < 1 || n > 4 {
		t.Errorf("an hour of flapping was told of %d more times: %v", n, told[4:])
	}
}

// A message that one of two ways could not take is tried again on that one
// alone.
func TestFailureIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		good, bad := &recorder{}, &recorder{failures: 2}
		n := &Notifier{
			Wrong: func(context.Context) []Condition { return []Condition{{Name: "disk", Text: "full"}} },
			Now:   time.Now, Log: slog.New(slog.DiscardHandler), senders: []sender{good, bad}, told: []ledger{{}, {}},
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := n.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if good.calls != 1 || bad.calls != 3 {
			t.Errorf("the good way was used %d times, want 1; the bad one %d times, want 3", good.calls, bad.calls)
		}
	})
}

type recorder struct{ calls, failures int }

func (r *recorder) send(context.Context, Message) error {
	r.calls++
	if r.calls <= r.failures {
		return errors.New("no")
	}
	return nil
}

var sample = Message{
	Event: Began, Condition: "database", Text: "The database: cannot be written.", Since: time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC), Node: "a",
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	var got Message
	status := http.StatusNoContent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		w.WriteHeader(status)
	}))
	defer server.Close()
	n := New(Config{Webhook: server.URL}, server.Client())
	if err := n.senders[0].send(t.Context(), sample); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sample, got); d != "" {
		t.Errorf("the message (-sent +got):\n%s", d)
	}
	status = http.StatusBadGateway
	if err := n.senders[0].send(t.Context(), sample); err == nil {
		t.Error("502 counts as sent")
	}
	server.Close()
	if err := n.senders[0].send(t.Context(), sample); err == nil || strings.Contains(err.Error(), "http://") {
		t.Errorf("the error is %v; want one without the address, in which a secret may stand", err)
	}
}

// A real exchange with a server that speaks SMTP.
func TestMail(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said := make(chan string, 1)
	go serveMail(l, said)
	n := New(Config{SMTP: l.Addr().String(), From: "Consent <consentsync@example.com>", To: []string{"ops@example.com", "dpo@example.com"}}, nil)
	if err := n.send(t.Context(), n.senders[0], sample); err != nil {
		t.Fatal(err)
	}
	got := <-said
	for _, want := range []string{
		"MAIL FROM:<consentsync@example.com>", "RCPT TO:<ops@example.com>", "RCPT TO:<dpo@example.com>",
		"Subject: consentsync: database began\n", sample.Text, "since 2026-11-26T03:00:00Z, told by node a",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

// serveMail takes one mail, and tells all that was said to it.
func serveMail(l net.Listener, said chan<- string) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	c := textproto.NewReader(bufio.NewReader(conn))
	answer := func(s string) { _, _ = conn.Write([]byte(s + "\r\n")) }
	var all strings.Builder
	answer("220 hello")
	for {
		line, err := c.ReadLine()
		if err != nil {
			return
		}
		all.WriteString(line + "\n")
		switch line {
		case "DATA":
			answer("354 go on")
			lines, _ := c.ReadDotLines()
			all.WriteString(strings.Join(lines, "\n") + "\n")
			answer("250 taken")
		case "QUIT":
			answer("221 bye")
			said <- all.String()
			return
		default:
			answer("250 ok")
		}
	}
}

func TestConfigNamesTheFlag(t *testing.T) {
	t.Parallel()
	for flag, c := range map[string]Config{
		"--notify-webhook": {Webhook: "ftp://example.com"},
		"--notify-smtp":    {SMTP: "mail.example.com", From: "a@example.com", To: []string{"b@example.com"}},
		"--notify-from":    {SMTP: "mail.example.com:25", To: []string{"b@example.com"}},
		"--notify-to":      {SMTP: "mail.example.com:25", From: "a@example.com", To: []string{"b@example.com\r\nBcc: c@example.com"}},
	} {
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), flag+": ") {
			t.Errorf("the error is %v, want one of %s", err, flag)
		}
	}
	for _, c := range []Config{{}, {Webhook: "https://example.com/x"}, {SMTP: "mail.example.com:25", From: "a@example.com", To: []string{"b@example.com"}}} {
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}
