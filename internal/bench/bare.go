package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// children are the sub-commands in which the bench runs itself again.
var children = map[string]func(args []string) error{
	"bare-server":     bareServer,
	"profiled-server": profiledServer,
}

// bareServer is the baseline: the least that can be called a durable accept. It
// reads a webhook, appends it to a file, and answers when it is on disk.
// Whatever arrives while the file is synced shares the next sync.
func bareServer(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	file, address := args[0], args[1]
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // every record was synced
	a := &appender{file: f, queue: make(chan *record, 1024)}
	go a.run()
	server := &http.Server{Addr: address, Handler: a, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type record struct {
	body  []byte
	err   error
	ready chan struct{}
}

type appender struct {
	file  *os.File
	queue chan *record
}

func (a *appender) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		return // it is asked whether it is there
	}
	rec := &record{body: make([]byte, r.ContentLength), ready: make(chan struct{})}
	if _, err := io.ReadFull(r.Body, rec.body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a.queue <- rec
	<-rec.ready
	if rec.err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"accepted"}` + "\n"))
}

// run appends and syncs groups of records, at most as many as the program puts
// into one transaction.
func (a *appender) run() {
	var text []byte
	for first := range a.queue {
		group := []*record{first}
		for more := true; more && len(group) < 256; {
			select {
			case r := <-a.queue:
				group = append(group, r)
			default:
				more = false
			}
		}
		text = text[:0]
		for _, r := range group {
			text = append(append(text, r.body...), '\n')
		}
		_, err := a.file.Write(text)
		if err == nil {
			err = a.file.Sync()
		}
		for _, r := range group {
			r.err = err
			close(r.ready)
		}
	}
}
