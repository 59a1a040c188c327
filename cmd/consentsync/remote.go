package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// remote is the running server that a command asks.
type remote struct {
	URL  string `help:"Address of the running server." default:"http://127.0.0.1:8080" env:"CONSENTSYNC_URL" name:"url"`
	Data string `help:"The server's data directory, for the administrator's token, when CONSENTSYNC_ADMIN_TOKEN is not set." type:"path" env:"CONSENTSYNC_DATA"`
}

func (s *remote) checkURL() error {
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("--url: must be an http or https address, such as http://127.0.0.1:8080")
	}
	return nil
}

// client makes a client that asks as the platform administrator.
func (s *remote) client() (*client, error) {
	token, err := s.token()
	return &client{url: s.URL, token: token}, err
}

// token gives the platform administrator's token. It is never a flag, which
// others could see.
func (s *remote) token() (string, error) {
	if token := os.Getenv("CONSENTSYNC_ADMIN_TOKEN"); token != "" {
		return token, nil
	}
	if s.Data == "" {
		return "", errors.New("the administrator's token is missing: set CONSENTSYNC_ADMIN_TOKEN, or give the server's data directory with --data")
	}
	path := filepath.Join(s.Data, "admin-token")
	text, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(text)) == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", fmt.Errorf("--data: the administrator's token cannot be read: %w. "+
			"A server that was started with CONSENTSYNC_ADMIN_TOKEN makes no such file: then set the same variable here", err)
	}
	return strings.TrimSpace(string(text)), nil
}
