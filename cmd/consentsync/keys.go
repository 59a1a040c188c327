package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"consentsync/internal/accounts"
	"consentsync/internal/auth"
	"consentsync/internal/consent"
)

type keysCommand struct {
	Rotate keyRotateCommand `cmd:"" help:"Change the key that seals the secrets at rest, or the master key, while the server runs."`
	Status keyStatusCommand `cmd:"" help:"Show with which keys the secrets at rest are sealed."`
	Add    keyAddCommand    `cmd:"" help:"Make a key with which a program calls the API. It is shown once."`
	List   keyListCommand   `cmd:"" help:"List the keys of the API: what each begins with, its role, and when it was used last."`
	Revoke keyRevokeCommand `cmd:"" help:"Make a key of the API worthless at once."`
}

// keysOf is whose keys of the API a command is about.
type keysOf struct {
	remote
	Organization string `help:"Whose keys; * for keys that are good in all organizations." required:"" env:"CONSENTSYNC_ORGANIZATION"`
}

// Validate is called by the parser.
func (k *keysOf) Validate() error { return k.checkURL() }

func (k *keysOf) path() string {
	return "/v1/organizations/" + url.PathEscape(k.Organization) + "/api-keys"
}

type keyAddCommand struct {
	keysOf
	Name string `help:"What the key is for." required:"" env:"CONSENTSYNC_KEY_NAME"`
	Role string `help:"What it may do: viewer, operator or administrator." default:"viewer" enum:"viewer,operator,administrator" env:"CONSENTSYNC_KEY_ROLE"`
	Days int    `help:"For how many days it is good, 366 at most." default:"90" env:"CONSENTSYNC_KEY_DAYS"`
}

// Run makes a key and prints it.
func (k *keyAddCommand) Run(ctx context.Context, std streams) error {
	c, err := k.client()
	if err != nil {
		return err
	}
	var made accounts.APIKeyView
	if _, err := c.ask(ctx, http.MethodPost, k.path(), accounts.NewAPIKey{Name: k.Name, Role: k.Role, Days: &k.Days}, &made); err != nil {
		return err
	}
	std.sayf("%s\n", made.Key)
	return nil
}

type keyListCommand struct{ keysOf }

// Run lists all keys.
func (k *keyListCommand) Run(ctx context.Context, std streams) error {
	c, err := k.client()
	if err != nil {
		return err
	}
	rows := [][]string{{"key", "role", "made", "good until", "used last", "name"}}
	for cursor, more := "", true; more; {
		var page struct {
			Data []accounts.APIKeyView
			Next *string
		}
		if _, err := c.ask(ctx, http.MethodGet, k.path()+"?cursor="+url.QueryEscape(cursor), nil, &page); err != nil {
			return err
		}
		for _, key := range page.Data {
			used := "never"
			if key.UsedAt != nil {
				used = minuteOf(*key.UsedAt)
			}
			rows = append(rows, []string{key.ID, string(key.Role), minuteOf(key.CreatedAt), minuteOf(key.ExpiresAt), used, printable(key.Name)})
		}
		if more = page.Next != nil; more {
			cursor = *page.Next
		}
	}
	for _, line := range aligned(rows) {
		std.sayf("%s\n", line)
	}
	return nil
}

func minuteOf(t consent.Time) string { return t.Std().UTC().Format(time.DateOnly + " 15:04") }

type keyRevokeCommand struct {
	keysOf
	Key string `arg:"" help:"What the key begins with, up to the dot."`
}

// Run revokes a key.
func (k *keyRevokeCommand) Run(ctx context.Context, std streams) error {
	c, err := k.client()
	if err != nil {
		return err
	}
	_, err = c.ask(ctx, http.MethodDelete, k.path()+"/"+url.PathEscape(k.Key), nil, nil)
	if notFound(err) {
		return errors.New("there is no such key: consentsync keys list shows those that there are")
	}
	if err == nil {
		std.sayf("%s is worth nothing any more\n", printable(k.Key))
	}
	return err
}

type keyRotateCommand struct {
	remote
	Master bool `help:"Change the master key instead: seal the keys with another one." env:"CONSENTSYNC_ROTATE_MASTER"`
}

// Validate is called by the parser.
func (k *keyRotateCommand) Validate() error { return k.checkURL() }

// Help is shown by --help.
func (keyRotateCommand) Help() string {
	return "Nothing stops meanwhile, and a server that is killed in the middle goes on by itself. Where the master key stands in the file master-key of the " +
		"data directory, --master makes another. Where it comes from elsewhere, or nodes share a database, put the new one before the one in use on every " +
		"node, apart by a space or a line, start the nodes again, use --master, and then take the old one away."
}

// Run changes a key and shows what there is now.
func (k *keyRotateCommand) Run(ctx context.Context, std streams) error {
	return k.show(ctx, std, http.MethodPost, "/v1/keys/rotate", map[string]any{"master": k.Master})
}

type keyStatusCommand struct{ remote }

// Validate is called by the parser.
func (k *keyStatusCommand) Validate() error { return k.checkURL() }

// Run shows the keys.
func (k *keyStatusCommand) Run(ctx context.Context, std streams) error {
	return k.show(ctx, std, http.MethodGet, "/v1/keys", nil)
}

// show prints with which keys the secrets at rest are sealed, as the server
// answers.
func (s *remote) show(ctx context.Context, std streams, method, path string, in any) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var v auth.KeysView
	if _, err := c.ask(ctx, method, path, in, &v); err != nil {
		return err
	}
	std.sayf("master key  %s\nkey         %d\n", v.MasterKey, v.Number)
	for _, r := range v.Retired {
		std.sayf("retired     %d, since %s, and has sealed %s that are left\n", r.Number, minuteOf(r.RetiredAt), of(r.Secrets, "secret", "secrets"))
	}
	return nil
}
