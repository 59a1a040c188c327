package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"consentsync/internal/actito"
	"consentsync/internal/auth"
	"consentsync/internal/consent"
	"consentsync/internal/didomi"
	"consentsync/internal/doctor"
	"consentsync/internal/incoming"
	"consentsync/internal/integration"
	"consentsync/internal/outbound"
	"consentsync/internal/store"
	"consentsync/internal/store/postgres"
	"consentsync/internal/store/sqlite"
	"consentsync/internal/telemetry"
)

// examineTime bounds a whole examination, so that a server answers in time.
const examineTime = 100 * time.Second

// ErrServed says that a server runs on the data directory, and has to be asked.
var ErrServed = errors.New("a server runs on this data directory")

// Examine looks at an installation on which no server runs, and makes nothing of
// it: no directory, no key, no change of the schema. The error is ErrServed where
// one runs on the data directory after all.
func Examine(ctx context.Context, cfg Config, ask doctor.Ask) (*doctor.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	if fields := ask.Problems(); fields != nil {
		return nil, incoming.Refuse(consent.Invalid, fields)
	}
	r := doctor.New(consent.TimeOf(time.Now()), cfg.Version, "here")
	r.Add(cfg.findings()...)
	r.Add(free(ctx, cfg.Listen))
	if cfg.Database == "" {
		r.Add(doctor.Directory(cfg.Data))
	}
	i, err := cfg.inspect(ctx)
	switch {
	case errors.Is(err, sqlite.ErrInUse):
		return r, ErrServed
	case errors.Is(err, sqlite.ErrNone):
		r.Add(doctor.Unseen("database", "there is none yet", "consentsync serve makes it."))
	case err != nil:
		r.Add(doctor.Bad("database", fmt.Sprintf("it cannot be opened: %v", err), "Mend what the reason says. A backup is brought back with consentsync restore."))
	}
	var engine engine
	if i != nil {
		found, well := doctor.Database(i)
		r.Add(found...)
		if well {
			if engine, err = cfg.reopen(ctx); err != nil {
				r.Add(doctor.Bad("database", fmt.Sprintf("it cannot be opened: %v", err), "Mend what the reason says."))
			}
		}
	}
	if engine == nil {
		r.Add(cfg.room()...)
		r.Add(cfg.keyFindings(ctx, nil)...)
		r.Add(doctor.Unseen("integrations", "they cannot be looked at without the database", "Mend the database first."))
		return r, nil
	}
	defer func() { _ = engine.Close() }()
	e := &examiner{cfg: cfg, engine: engine}
	e.database(ctx, r)
	r.Add(cfg.keyFindings(ctx, engine)...)
	keyring, err := openMade(ctx, engine, cfg)
	if err != nil {
		r.Add(doctor.Unseen("integrations", "their secrets cannot be opened", "Mend the master key first."))
		return r, nil
	}
	client := outbound.New(outbound.Options{AllowPrivateNetworks: cfg.AllowPrivateNetworks, UserAgent: "consentsync", Timeout: usualCallTimeout})
	e.integrations = &integration.Service{
		Store: engine, Accounts: actito.NewAccounts(client), Didomis: didomi.NewAccounts(client), DidomiURL: cfg.DidomiURL, Sealer: keyring.Sealer,
		AllowPrivate: cfg.AllowPrivateNetworks, PublicURL: cfg.PublicURL, Now: engine.Clock,
	}
	return r, e.integrations.Examine(ctx, ask, r)
}

// ExamineFile looks at what an integration in a file can do, without a server and
// without data.
func ExamineFile(ctx context.Context, cfg Config, body []byte, ask doctor.Ask) (*doctor.Report, error) {
	client := outbound.New(outbound.Options{AllowPrivateNetworks: cfg.AllowPrivateNetworks, UserAgent: "consentsync", Timeout: usualCallTimeout})
	s := &integration.Service{
		Accounts: actito.NewAccounts(client), Didomis: didomi.NewAccounts(client), DidomiURL: cfg.DidomiURL, AllowPrivate: cfg.AllowPrivateNetworks, Now: time.Now,
	}
	r := doctor.New(consent.TimeOf(time.Now()), cfg.Version, "file")
	return r, s.ExamineFile(ctx, body, ask, r)
}

// examiner looks at the installation that a server runs on.
type examiner struct {
	cfg          Config
	engine       engine
	integrations *integration.Service
}

// examine looks at everything, from a running server.
func (e *examiner) examine(ctx context.Context, ask doctor.Ask) (*doctor.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	if fields := ask.Problems(); fields != nil {
		return nil, incoming.Refuse(consent.Invalid, fields)
	}
	r := doctor.New(consent.TimeOf(e.engine.Clock()), e.cfg.Version, "server")
	r.Add(e.cfg.findings()...)
	r.Add(e.public(ctx)...)
	if e.cfg.Database == "" {
		r.Add(doctor.Directory(e.cfg.Data))
	}
	switch i, err := e.engine.Inspect(ctx); {
	case err != nil:
		r.Add(doctor.Bad("database", "it does not answer", "See the server's log."))
	default:
		found, _ := doctor.Database(i)
		r.Add(found...)
	}
	e.database(ctx, r)
	r.Add(e.cfg.keyFindings(ctx, e.engine)...)
	return r, e.integrations.Examine(ctx, ask, r)
}

// database writes to the database, and looks at its disk.
func (e *examiner) database(ctx context.Context, r *doctor.Report) {
	began := time.Now()
	err := e.engine.Ping(ctx)
	r.Add(doctor.Write(time.Since(began), err))
	r.Add(e.cfg.room()...)
}

// public looks whether the server is reached at the address that it tells others.
func (e *examiner) public(ctx context.Context) []doctor.Finding {
	if e.cfg.PublicURL == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := outbound.Send(ctx, e.integrations.Ourselves, outbound.Request{
		Op: "app.doctor", Method: http.MethodGet, URL: strings.TrimRight(e.cfg.PublicURL, "/") + "/healthz",
	})
	const do = "Look at the proxy, DNS and the firewall. From inside it may be out of reach though Didomi and Actito reach it: then there is nothing to do."
	switch {
	case err != nil:
		return []doctor.Finding{doctor.Doubtful("--public-url", "this server does not reach itself there: "+consent.MessageOf(err), do)}
	case resp.StatusCode != http.StatusOK:
		resp.Body.Close()
		return []doctor.Finding{doctor.Doubtful("--public-url", fmt.Sprintf("/healthz below it is answered with %d", resp.StatusCode), do)}
	}
	resp.Body.Close()
	return []doctor.Finding{doctor.Fine("--public-url", "this server reaches itself there")}
}

// free looks whether the address to listen on is free.
func free(ctx context.Context, address string) doctor.Finding {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return doctor.Bad("--listen", fmt.Sprintf("nothing can listen on %s: %v", address, err), "Stop what listens there, or choose another address.")
	}
	_ = l.Close()
	return doctor.Fine("--listen", "%s is free", address)
}

// findings looks at the settings alone.
func (c *Config) findings() []doctor.Finding {
	var found []doctor.Finding
	if err := c.Validate(); err != nil {
		flag, problem, _ := strings.Cut(err.Error(), ": ")
		found = append(found, doctor.Bad(flag, problem, "consentsync serve does not start with it."))
	} else {
		found = append(found, doctor.Fine("settings", "they can be used together"))
	}
	public, _ := url.Parse(c.PublicURL)
	switch {
	case c.PublicURL == "":
		found = append(found, doctor.Doubtful("--public-url", "it is not known where others reach this server",
			"Set it to the address of the proxy with TLS: links, Actito's webhooks and single sign-on need it."))
	case public != nil && public.Scheme == "http" && !c.AllowPrivateNetworks:
		found = append(found, doctor.Doubtful("--public-url", "it is no https address", "Put a proxy with TLS in front: Actito takes https alone, and tokens travel with every call."))
	}
	if c.AllowPrivateNetworks {
		found = append(found, doctor.Doubtful("--allow-private-networks", "integrations may call private addresses, without TLS", "Leave it out where others than you configure integrations: it is for trying things out."))
	}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil {
		if ip := net.ParseIP(host); host == "" || ip != nil && !ip.IsLoopback() {
			found = append(found, doctor.Doubtful("--listen", c.Listen+" can be reached from other machines, without TLS", "Listen on 127.0.0.1 behind a proxy with TLS, unless the network between is trusted."))
		}
	}
	return found
}

// inspect looks at the database without opening it for work.
func (c *Config) inspect(ctx context.Context) (*store.Inspection, error) {
	if c.Database != "" {
		return postgres.Inspect(ctx, c.Database)
	}
	return sqlite.Inspect(ctx, c.Data)
}

// reopen opens a database that is up to date.
func (c *Config) reopen(ctx context.Context) (engine, error) {
	if c.Database != "" {
		e, err := postgres.Open(ctx, c.Database, postgres.Options{})
		if err != nil {
			return nil, err
		}
		return shared{e}, nil
	}
	e, err := sqlite.Open(ctx, c.Data, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	return embedded{e}, nil
}

// room looks at the disk of the data, where that is here.
func (c *Config) room() []doctor.Finding {
	if c.Database != "" {
		return []doctor.Finding{doctor.Unseen("disk", "PostgreSQL does not tell how much room it has", "Watch it where the database runs.")}
	}
	return []doctor.Finding{doctor.Room(telemetry.Disk{Dir: c.Data}.Room())}
}

// keyFindings looks at the administrator's token and the master key; keys are
// those of the database, nil where it is not open.
func (c *Config) keyFindings(ctx context.Context, keys auth.KeyStore) []doctor.Finding {
	found := []doctor.Finding{c.adminFinding()}
	const about = "master key"
	source := c.masterSource()
	if !source.Made() {
		if keys != nil {
			if err := missing(ctx, keys, source); err != nil {
				return append(found, doctor.Bad(about, err.Error(), "Without it the database cannot be used."))
			}
		}
		return append(found, doctor.Unseen(about, "there is none yet", "consentsync serve makes it. Keep a copy apart from the database."))
	}
	masters, err := source.Load(ctx)
	if err == nil && keys != nil {
		err = opens(ctx, keys, masters)
	}
	if err != nil && !errors.Is(err, errNoKeys) {
		return append(found, doctor.Bad(about, err.Error(), "Put back the one that the database was made with; see docs/operations.md."))
	}
	if source.Managed() {
		if f, ok := doctor.SecretFile(about, filepath.Join(c.Data, "master-key")); ok && f.Status != doctor.OK {
			return append(found, f)
		}
	}
	if keys == nil {
		return append(found, doctor.Fine(about, "it can be read"))
	}
	return append(found, doctor.Fine(about, "it opens the database. Keep a copy of it apart from the database"))
}

func (c *Config) adminFinding() doctor.Finding {
	const about, short = "administrator's token", 16
	if c.AdminToken == "" {
		f, ok := doctor.SecretFile(about, filepath.Join(c.Data, "admin-token"))
		if !ok {
			return doctor.Unseen(about, "there is none yet", "consentsync serve makes it, in the data directory, unless CONSENTSYNC_ADMIN_TOKEN is set.")
		}
		return f
	}
	if len(c.AdminToken) < short {
		return doctor.Doubtful(about, fmt.Sprintf("CONSENTSYNC_ADMIN_TOKEN has fewer than %d characters", short), "Make a long one: openssl rand -base64 32. It opens everything.")
	}
	return doctor.Fine(about, "CONSENTSYNC_ADMIN_TOKEN is set")
}

// openMade opens the keys of a database, and makes none.
func openMade(ctx context.Context, keys auth.KeyStore, cfg Config) (*auth.Keyring, error) {
	source := cfg.masterSource()
	if !source.Made() {
		return nil, errNoKeys
	}
	masters, err := source.Load(ctx)
	if err != nil {
		return nil, err
	}
	return auth.OpenKeyring(ctx, made{keys}, masters...)
}
