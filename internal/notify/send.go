package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/mail"
	"net/smtp"
	"net/url"
	"strings"
	"time"
)

// webhook sends messages as JSON. What is answered beyond 2xx is a failure.
type webhook struct {
	url    string
	client *http.Client
}

func (w *webhook) send(ctx context.Context, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("the address cannot be used")
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(r)
	if err != nil {
		// The address is often the secret: it is left out.
		if withAddress, ok := errors.AsType[*url.Error](err); ok {
			err = withAddress.Err
		}
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook answered %d", resp.StatusCode)
	}
	return nil
}

// mailer sends messages by SMTP, encrypted where the server offers STARTTLS
// (https://www.rfc-editor.org/rfc/rfc3207). A password is never sent in the clear,
// except to this machine.
type mailer struct {
	server, host string
	from         mail.Address
	to           []mail.Address
	auth         smtp.Auth
}

func newMailer(c Config) *mailer {
	host, _, _ := net.SplitHostPort(c.SMTP) // Validate has checked all of it
	m := &mailer{server: c.SMTP, host: host}
	if from, err := mail.ParseAddress(c.From); err == nil {
		m.from = *from
	}
	for _, text := range c.To {
		if to, err := mail.ParseAddress(text); err == nil {
			m.to = append(m.to, *to)
		}
	}
	if c.SMTPUser != "" {
		m.auth = smtp.PlainAuth("", c.SMTPUser, c.SMTPPassword, host)
	}
	return m
}

func (m *mailer) send(ctx context.Context, message Message) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.server)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // Quit has told before if something is wrong
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	if ok, _ := c.Extension("STARTTLS"); ok {
		if err := c.StartTLS(&tls.Config{ServerName: m.host, MinVersion: tls.VersionTLS12}); err != nil {
			return err
		}
	}
	if m.auth != nil {
		if err := c.Auth(m.auth); err != nil {
			return err
		}
	}
	if err := c.Mail(m.from.Address); err != nil {
		return err
	}
	for _, to := range m.to {
		if err := c.Rcpt(to.Address); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(m.text(message)); err != nil {
		return err
	}
	return cmp.Or(w.Close(), c.Quit())
}

// text is the mail of a message.
func (m *mailer) text(message Message) []byte {
	var b bytes.Buffer
	to := make([]string, len(m.to))
	for i := range m.to {
		to[i] = m.to[i].String()
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: consentsync: %s %s\r\nDate: %s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
		m.from.String(), strings.Join(to, ", "), message.Condition, message.Event, time.Now().Format(time.RFC1123Z))
	fmt.Fprintf(&b, "%s\r\n\r\n%s since %s, told by node %s.\r\n", message.Text, message.Event, message.Since.UTC().Format(time.RFC3339), message.Node)
	return b.Bytes()
}
