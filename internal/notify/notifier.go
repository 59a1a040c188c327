package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/mail"
	"net/url"
	"time"
)

// Config is what a user sets; without a webhook and without an SMTP server
// nothing is sent.
type Config struct {
	Webhook  string   `help:"Address that is sent a JSON object when a withdrawal is late, an integration is suspended, or the database or its disk is in trouble." placeholder:"URL" env:"CONSENTSYNC_NOTIFY_WEBHOOK"`
	SMTP     string   `help:"Mail server that sends the same to --notify-to; STARTTLS is used where it is offered." placeholder:"HOST:PORT" env:"CONSENTSYNC_NOTIFY_SMTP" name:"smtp"`
	SMTPUser string   `help:"User at the mail server; the password is CONSENTSYNC_NOTIFY_SMTP_PASSWORD." placeholder:"NAME" env:"CONSENTSYNC_NOTIFY_SMTP_USER" name:"smtp-user"`
	From     string   `help:"Address that mails come from." placeholder:"ADDRESS" env:"CONSENTSYNC_NOTIFY_FROM"`
	To       []string `help:"Addresses that mails go to, apart by commas." placeholder:"ADDRESS" env:"CONSENTSYNC_NOTIFY_TO"`

	// SMTPPassword is a secret: it comes from the environment.
	SMTPPassword string `kong:"-"`
}

// Validate names the flag that cannot be used, and what to do.
func (c *Config) Validate() error {
	if u, err := url.Parse(c.Webhook); c.Webhook != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return errors.New("--notify-webhook: must be an http or https address")
	}
	if c.SMTP == "" {
		if c.From != "" || len(c.To) > 0 || c.SMTPUser != "" {
			return errors.New("--notify-smtp: is needed to send mails; or leave out --notify-from, --notify-to and --notify-smtp-user")
		}
		return nil
	}
	if host, _, err := net.SplitHostPort(c.SMTP); err != nil || host == "" {
		return errors.New("--notify-smtp: must be a host and a port, such as mail.example.com:587")
	}
	if _, err := mail.ParseAddress(c.From); err != nil {
		return errors.New("--notify-from: must be an address such as consentsync@example.com")
	}
	if len(c.To) == 0 {
		return errors.New("--notify-to: is needed with --notify-smtp")
	}
	for _, to := range c.To {
		if _, err := mail.ParseAddress(to); err != nil {
			return fmt.Errorf("--notify-to: %q is no address", to)
		}
	}
	return nil
}

// sender sends a message.
type sender interface {
	send(ctx context.Context, m Message) error
}

// Notifier looks at what is wrong, and tells.
type Notifier struct {
	Node string
	// Wrong tells what is wrong now.
	Wrong func(ctx context.Context) []Condition
	Now   func() time.Time
	Log   *slog.Logger

	senders []sender
	told    []ledger // by sender: where one fails, the other is not told twice
}

// New makes a notifier; client makes the calls of the webhook.
func New(c Config, client *http.Client) *Notifier {
	n := &Notifier{}
	if c.Webhook != "" {
		n.senders = append(n.senders, &webhook{url: c.Webhook, client: client})
	}
	if c.SMTP != "" {
		n.senders = append(n.senders, newMailer(c))
	}
	for range n.senders {
		n.told = append(n.told, ledger{})
	}
	return n
}

const (
	// every is how often it is looked what is wrong.
	every = 15 * time.Second
	// patience bounds how long sending a message may take.
	patience = 20 * time.Second
)

// Run tells until ctx ends; at once where there is nobody to tell.
func (n *Notifier) Run(ctx context.Context) error {
	if len(n.senders) == 0 {
		return nil
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			n.look(ctx)
		}
	}
}

func (n *Notifier) look(ctx context.Context) {
	wrong := n.Wrong(ctx)
	for i, s := range n.senders {
		for _, m := range n.told[i].due(n.Now(), wrong) {
			m.Node = n.Node
			if err := n.send(ctx, s, m); err != nil {
				n.Log.WarnContext(ctx, "a notification could not be sent, trying again", "condition", m.Condition, "error", err)
				continue
			}
			n.told[i].sent(m, n.Now())
		}
	}
}

func (n *Notifier) send(ctx context.Context, s sender, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.send(ctx, m)
}
