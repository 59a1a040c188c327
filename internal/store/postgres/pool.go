package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sys/unix"
)

// mostConnections is how many connections a node opens where the address does
// not say pool_max_conns. Transactions are short, so few serve many.
const mostConnections = 16

// usualParams are set on every connection where the address does not say
// otherwise.
var usualParams = map[string]string{
	"application_name": "consentsync",
	// A node that freezes within a transaction must not hold its locks for
	// longer than its lease; nor may anybody wait for ever.
	"idle_in_transaction_session_timeout": "5s",
	"lock_timeout":                        "10s",
	"statement_timeout":                   "5min",
	// Every query has an index, and no table stays small: plans that were made
	// while one was must not read the whole of it later.
	"enable_seqscan":   "off",
	"enable_hashjoin":  "off",
	"enable_mergejoin": "off",
	"jit":              "off",
}

// configure reads the address: a URL, or key=value pairs. Of several hosts the
// one that can be written to is used, now and after every fail-over.
func configure(address string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(address)
	if err != nil {
		// The error quotes the address with the password left out.
		return nil, err
	}
	if !sets(address, "pool_max_conns") {
		cfg.MaxConns = mostConnections
	}
	if !sets(address, "target_session_attrs") {
		cfg.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	for name, value := range usualParams {
		if _, set := cfg.ConnConfig.RuntimeParams[name]; !set {
			cfg.ConnConfig.RuntimeParams[name] = value
		}
	}
	// A connection through a network that was cut is given up within seconds,
	// while it waits for an answer and while it sends.
	dialer := &net.Dialer{
		Timeout:         cfg.ConnConfig.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control: func(network, _ string, c syscall.RawConn) error {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			return c.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 10_000) // an improvement, where it is known
			})
		},
	}
	cfg.ConnConfig.DialFunc = dialer.DialContext
	return cfg, nil
}

// sets tells whether the address sets a parameter itself.
func sets(address, parameter string) bool {
	if u, err := url.Parse(address); err == nil && u.Scheme != "" {
		return u.Query().Has(parameter)
	}
	return strings.Contains(address, parameter+"=")
}

// reason puts a failure to connect into words for whoever starts the program.
func reason(err error) error {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); !ok {
		return err
	}
	if strings.Contains(err.Error(), "read only") || strings.Contains(err.Error(), "read-only") {
		return fmt.Errorf("the server can only be read: it is a standby. Give the address of the primary, or of all hosts (postgres://user@one,two/name), of which the primary is used: %w", err)
	}
	return err
}

// patience is how long one call of the engine may take, waits included. It is
// shorter than Didomi's own time-out for a webhook.
const patience = 20 * time.Second

// bounded limits a call of the engine.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}
