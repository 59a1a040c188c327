// Package app wires the program together: it is the only place that knows the
// concrete engine, and it starts and stops everything in order.
//
// After Start has returned the program answers; after Stop has returned all
// that was accepted is on disk and the data directory is free.
package app

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"consentsync/internal/incoming"
	"consentsync/internal/notify"
	"consentsync/internal/telemetry"
)

// Config is what a user sets. Every field is a flag of `consentsync serve` and
// an environment variable CONSENTSYNC_<FLAG>.
type Config struct {
	Listen               string        `help:"Address to listen on." default:"127.0.0.1:8080" placeholder:"HOST:PORT" env:"CONSENTSYNC_LISTEN"`
	Data                 string        `help:"Data directory: the database, the admin token and the master key. One process at a time. With --database it holds the admin token and the master key only, and neither if the environment has them." default:"./data" type:"path" env:"CONSENTSYNC_DATA"`
	Database             string        `help:"PostgreSQL address, for several nodes; without it the data stands in the data directory." placeholder:"postgres://..." env:"CONSENTSYNC_DATABASE"`
	Node                 string        `help:"Name of this node in the API and in metrics. Something of its own is added, so that nodes may have the same. (default: the host's name)" placeholder:"NAME" env:"CONSENTSYNC_NODE"`
	PublicURL            string        `help:"Address under which Didomi and Actito reach this server." placeholder:"URL" env:"CONSENTSYNC_PUBLIC_URL" name:"public-url"`
	AllowPrivateNetworks bool          `help:"Let integrations call http: addresses and private networks. For trying things out." env:"CONSENTSYNC_ALLOW_PRIVATE_NETWORKS"`
	DidomiURL            string        `help:"Base address of Didomi's API." default:"https://api.didomi.io/v1" placeholder:"URL" env:"CONSENTSYNC_DIDOMI_URL" name:"didomi-url"`
	TokenLife            time.Duration `help:"Life of the access tokens that /oauth/token gives." default:"1h" env:"CONSENTSYNC_TOKEN_LIFE"`
	ConfirmAfter         time.Duration `help:"Send a newer withdrawal again when Actito last confirmed the subscription longer ago than this." default:"1h" env:"CONSENTSYNC_CONFIRM_AFTER"`
	ReadbackDelay        time.Duration `help:"Read a profile once more this long after an unclear answer." default:"30s" env:"CONSENTSYNC_READBACK_DELAY"`
	CatchUpEvery         time.Duration `help:"How often everything that changed in Didomi is fetched, where an integration has credentials for its API, in case a webhook was missed without a sign; 0 to fetch only when asked, and not after a time away or errors either." default:"24h" env:"CONSENTSYNC_CATCH_UP_EVERY" name:"catch-up-every"`
	SealAfter            time.Duration `help:"Seal a record into the audit chain when it is this old: longer than any transaction takes." default:"30s" env:"CONSENTSYNC_SEAL_AFTER"`
	DidomiAddresses      []string      `help:"Addresses and networks, apart by commas, from which Didomi's webhooks and requests for tokens may come. Didomi names 35.159.1.63. (default: any)" placeholder:"ADDRESS,..." env:"CONSENTSYNC_DIDOMI_ADDRESSES"`
	TrustedProxies       []string      `help:"Addresses and networks of the proxies in front, apart by commas: where they say in X-Forwarded-For that a request comes from is believed. (default: none)" placeholder:"ADDRESS,..." env:"CONSENTSYNC_TRUSTED_PROXIES"`
	MasterKeyFile        string        `help:"File with the master key, such as one that systemd or a secret store provides. (default: master-key in the data directory, made at first start)" placeholder:"FILE" env:"CONSENTSYNC_MASTER_KEY_FILE"`
	MasterKeyCommand     string        `help:"Command that prints the master key, such as one that asks a KMS. Its words are apart by spaces; no shell sees it." placeholder:"COMMAND" env:"CONSENTSYNC_MASTER_KEY_COMMAND"`
	OIDCIssuer           string        `help:"Address of an OpenID Connect provider through which people may sign in to the console. Needs --oidc-client-id and --public-url; the client's secret is CONSENTSYNC_OIDC_CLIENT_SECRET." placeholder:"URL" env:"CONSENTSYNC_OIDC_ISSUER" name:"oidc-issuer"`
	OIDCClientID         string        `help:"Our client id at that provider." placeholder:"ID" env:"CONSENTSYNC_OIDC_CLIENT_ID" name:"oidc-client-id"`
	OIDCName             string        `help:"What people call that provider." default:"single sign-on" placeholder:"NAME" env:"CONSENTSYNC_OIDC_NAME" name:"oidc-name"`
	Traces               string        `help:"Address of a collector that takes OpenTelemetry traces by OTLP over HTTP, such as http://127.0.0.1:4318; headers that it wants are OTEL_EXPORTER_OTLP_HEADERS. (default: no traces)" placeholder:"URL" env:"CONSENTSYNC_TRACES"`
	TracesRatio          float64       `help:"The part of all traces that is made, above 0 up to 1." default:"1" placeholder:"RATIO" env:"CONSENTSYNC_TRACES_RATIO" name:"traces-ratio"`
	LogLevel             string        `help:"Least severe messages to log: debug, info, warn, error." default:"info" enum:"debug,info,warn,error" env:"CONSENTSYNC_LOG_LEVEL"`

	Notify notify.Config `embed:"" prefix:"notify-"`

	// CallTimeout bounds one call to Actito; zero is the usual 75 s. It is no
	// flag: Actito answers slowly rather than not at all, so less than a minute
	// would only make calls unclear. Tests that wait for it set less.
	CallTimeout time.Duration `kong:"-"`

	// HeadTimeout and ReadTimeout bound how long a client may take for the head of
	// a request, and for all of it; zero is 10 s and 30 s. They are no flags: nobody
	// needs longer. Tests that wait for them set less.
	HeadTimeout, ReadTimeout time.Duration `kong:"-"`

	// Version and Commit are what the metrics say that runs.
	Version string `kong:"-"`
	Commit  string `kong:"-"`

	// AdminToken, MasterKey, OIDCClientSecret and TracesHeaders are among the Secrets.
	AdminToken       string `kong:"-"`
	MasterKey        string `kong:"-"`
	OIDCClientSecret string `kong:"-"`
	TracesHeaders    string `kong:"-"`
}

// Secret is a setting that is taken from the environment alone, never from the
// command line, where others could see it.
type Secret struct {
	Variable, Help string

	field func(*Config) *string
}

// Secrets are all of them.
var Secrets = []Secret{
	{
		"CONSENTSYNC_ADMIN_TOKEN", "The platform administrator's token. Without it one is made at first start, in `admin-token` of the data directory.",
		func(c *Config) *string { return &c.AdminToken },
	},
	{
		"CONSENTSYNC_MASTER_KEY", "The key that protects the secrets at rest: 32 bytes in base64. Without it, and without a file or a command that gives it, " +
			"one is made at first start, in `master-key` of the data directory.",
		func(c *Config) *string { return &c.MasterKey },
	},
	{
		"CONSENTSYNC_OIDC_CLIENT_SECRET", "The secret of our client at the OpenID Connect provider; none for a public client.",
		func(c *Config) *string { return &c.OIDCClientSecret },
	},
	{
		"CONSENTSYNC_NOTIFY_SMTP_PASSWORD", "The password of `--notify-smtp-user` at the mail server.",
		func(c *Config) *string { return &c.Notify.SMTPPassword },
	},
	{
		"OTEL_EXPORTER_OTLP_HEADERS", "Headers for the collector of traces, such as its key: `name=value`, several with commas between.",
		func(c *Config) *string { return &c.TracesHeaders },
	},
}

// TakeSecrets takes them from the environment.
func (c *Config) TakeSecrets(getenv func(string) string) {
	for _, s := range Secrets {
		*s.field(c) = getenv(s.Variable)
	}
}

// Validate names the flag that cannot be used, and what to do.
func (c *Config) Validate() error {
	if c.TokenLife < time.Second || c.TokenLife > 24*time.Hour {
		return fmt.Errorf("--token-life: must be between 1s and 24h")
	}
	if err := c.Notify.Validate(); err != nil {
		return err
	}
	if c.ConfirmAfter <= 0 {
		return fmt.Errorf("--confirm-after: must be longer than 0")
	}
	if c.ReadbackDelay <= 0 {
		return fmt.Errorf("--readback-delay: must be longer than 0")
	}
	if c.CatchUpEvery < 0 || c.CatchUpEvery > 0 && c.CatchUpEvery < time.Minute {
		return fmt.Errorf("--catch-up-every: must be a minute or more, or 0 for never")
	}
	if c.SealAfter < 0 || c.SealAfter > 10*time.Minute {
		return fmt.Errorf("--seal-after: must be longer than 0 and at most 10m")
	}
	for flag, list := range map[string][]string{"--didomi-addresses": c.DidomiAddresses, "--trusted-proxies": c.TrustedProxies} {
		if _, err := incoming.ParseAddresses(list); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
	}
	if ratio := c.TracesRatio; c.Traces != "" && !(ratio > 0 && ratio <= 1) {
		return fmt.Errorf("--traces-ratio: must be above 0, and 1 at most; leave out --traces for none")
	}
	if c.MasterKeyFile != "" && c.MasterKeyCommand != "" {
		return fmt.Errorf("--master-key-command: stands for itself; leave out --master-key-file")
	}
	if c.Node != "" && !nodeForm.MatchString(c.Node) {
		return fmt.Errorf("--node: must be 1 to 64 letters, digits or any of . _ -")
	}
	for flag, text := range map[string]string{"--public-url": c.PublicURL, "--didomi-url": c.DidomiURL, "--oidc-issuer": c.OIDCIssuer} {
		if text == "" {
			continue
		}
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("%s: must be an http or https address", flag)
		}
	}
	switch {
	case c.OIDCIssuer == "":
	case c.OIDCClientID == "":
		return fmt.Errorf("--oidc-client-id: is needed with --oidc-issuer")
	case c.PublicURL == "":
		return fmt.Errorf("--public-url: is needed with --oidc-issuer, which sends people back to it")
	}
	return nil
}

var nodeForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// nodeName is what this process holds leases under. No other process ever has
// the same: two that believed to be one would both deliver.
func (c *Config) nodeName() string { return c.plainName() + "-" + uuid.NewString()[:13] }

// plainName is what people know this node by.
func (c *Config) plainName() string {
	host, _ := os.Hostname() // without one a name is given
	return cmp.Or(c.Node, host, "node")
}

// Logger makes the logger that the configuration asks for.
func (c *Config) Logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(strings.ToUpper(c.LogLevel))) // kong has checked it; otherwise it stays info
	return telemetry.Logger(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
