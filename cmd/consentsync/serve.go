package main

import (
	"context"
	"fmt"
	"os"

	"consentsync/internal/app"
)

type serveCommand struct{ app.Config }

func (s *serveCommand) Run(ctx context.Context) error {
	s.AdminToken = os.Getenv("CONSENTSYNC_ADMIN_TOKEN")
	s.MasterKey = os.Getenv("CONSENTSYNC_MASTER_KEY")
	return app.Run(ctx, s.Config, s.Logger(os.Stderr), func(a *app.App) {
		fmt.Printf("consentsync %s listens on %s\n", version, a.URL())
		if s.AdminToken == "" {
			fmt.Printf("The platform administrator's token is in %s/admin-token\n", s.Data)
		}
	})
}
