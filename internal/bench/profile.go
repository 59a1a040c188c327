package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	"consentsync/internal/app"
)

// profileAccept writes the CPU profile of a server under load. The server is
// the same program, started within this binary, where it can be profiled.
func (b *bench) profileAccept(ctx context.Context) (err error) {
	data, err := b.database(ctx)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p, err := start(ctx, "/readyz", nil, self, "profiled-server", data.dir, b.profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	s, err := b.side(ctx, p, data)
	if err != nil {
		return err
	}
	s.drain = p.merged
	if b.only == "twoway" {
		s = b.news(p, data)
	}
	if err := s.measure(ctx, b.round); err != nil {
		return err
	}
	fmt.Printf("%.0f/s, with all merged %.0f/s, under the profiler; see it with: go tool pprof -http=: %s\n", s.perSecond[0], s.sustained[0], b.profile)
	return nil
}

func profiledServer(args []string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	data, profile, address := args[0], args[1], args[2]
	f, err := os.Create(profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	cfg := app.Config{
		Listen: address, Data: data, AllowPrivateNetworks: true, TokenLife: time.Hour, AdminToken: adminToken,
		DidomiURL: "https://api.didomi.io/v1", ConfirmAfter: time.Hour, ReadbackDelay: 30 * time.Second, LogLevel: "warn",
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return app.Run(ctx, cfg, cfg.Logger(os.Stderr), func(*app.App) {})
}
