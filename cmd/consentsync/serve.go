package main

import (
	"context"
	"fmt"
	"os"

	"consentsync/internal/app"
)

type serveCommand struct{ app.Config }

func (s *serveCommand) Run(ctx context.Context, std streams) error {
	complete(&s.Config)
	return app.Run(ctx, s.Config, s.Logger(std.err), func(a *app.App) {
		std.sayf("consentsync %s listens on %s\n", version, a.URL())
		if s.AdminToken == "" {
			std.sayf("The platform administrator's token is in %s/admin-token\n", s.Data)
		}
		if link := a.FirstInvitation(); link != "" {
			_, _ = fmt.Fprintf(std.err, "Nobody can sign in to the console yet. This link makes the first administrator; it works once, for a day:\n%s\n", link)
		}
	})
}

// complete adds to a configuration what never is a flag.
func complete(c *app.Config) {
	c.TakeSecrets(os.Getenv)
	c.Version, c.Commit = version, commit
}
