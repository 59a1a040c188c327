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
	LogLevel             string        `help:"Least severe messages to log: debug, info, warn, error." default:"info" enum:"debug,info,warn,error" env:"CONSENTSYNC_LOG_LEVEL"`

	Notify notify.Config `embed:"" prefix:"notify-"`

	// CallTimeout bounds one call to Actito; zero is the usual 75 s. It is no
	// flag: Actito answers slowly rather than not at all, so less than a minute
	// would only make calls unclear. Tests that wait for it set less.
	CallTimeout time.Duration `kong:"-"`

	// Version and Commit are what the metrics say that runs.
	Version string `kong:"-"`
	Commit  string `kong:"-"`

	// AdminToken and MasterKey are secrets: they come from the environment,
	// never from the command line, where others could see them.
	AdminToken string `kong:"-"`
	MasterKey  string `kong:"-"`
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
	if c.Node != "" && !nodeForm.MatchString(c.Node) {
		return fmt.Errorf("--node: must be 1 to 64 letters, digits or any of . _ -")
	}
	for flag, text := range map[string]string{"--public-url": c.PublicURL, "--didomi-url": c.DidomiURL} {
		if text == "" {
			continue
		}
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("%s: must be an http or https address", flag)
		}
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
