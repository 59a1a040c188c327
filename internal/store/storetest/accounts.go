package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"consentsync/internal/consent"
)

var accounts = group{
	"the feature of an organization":           feature,
	"a key is made once":                       secretKey,
	"a key is made once by many":               secretKeyContended,
	"a key that could not be made is not":      secretKeyFails,
	"the clock is the one given, to a µs":      now,
	"the database says that it can be written": func(b *bench) { b.must(b.Ping(b.Context())) },
}

func feature(b *bench) {
	check := func(organization string, wantExists, wantActito bool) {
		b.Helper()
		exists, actito, err := b.Feature(b.Context(), organization)
		b.must(err)
		b.same(organization, []bool{exists, actito}, []bool{wantExists, wantActito})
	}
	check(acme, false, false)
	b.must(b.SetFeature(b.Context(), acme, true))
	b.must(b.SetFeature(b.Context(), globex, false))
	check(acme, true, true)
	check(globex, true, false)
	b.must(b.SetFeature(b.Context(), acme, false))
	check(acme, true, false)
	b.must(b.SetFeature(b.Context(), acme, true))
	check(acme, true, true)
}

func secretKey(b *bench) {
	made := func(text string) func() ([]byte, error) { return func() ([]byte, error) { return []byte(text), nil } }
	for _, x := range []struct{ name, offered, want string }{
		{"seal", "one", "one"}, {"seal", "two", "one"}, {"hash", "three", "three"}, {"seal", "four", "one"},
	} {
		got, err := b.SecretKey(b.Context(), x.name, made(x.offered))
		b.must(err)
		b.same(x.name, string(got), x.want)
	}
}

func secretKeyContended(b *bench) {
	var made atomic.Int64
	var mu sync.Mutex
	got := map[string]int{}
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() {
			key, err := b.SecretKey(b.Context(), "seal", func() ([]byte, error) { return fmt.Append(nil, "key ", made.Add(1)), nil })
			if err != nil {
				b.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[string(key)]++
		})
	}
	wait.Wait()
	if len(got) != 1 {
		b.Errorf("several keys came out of it: %v", got)
	}
}

func secretKeyFails(b *bench) {
	broken := errors.New("no entropy")
	if _, err := b.SecretKey(b.Context(), "seal", func() ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		b.Errorf("got error %v", err)
	}
	got, err := b.SecretKey(b.Context(), "seal", func() ([]byte, error) { return []byte("made"), nil })
	b.must(err)
	b.same("made now", string(got), "made")
}

func now(b *bench) {
	for _, want := range []consent.Time{noon, noon + 1, at(99) + 999_999} {
		b.clock.set(want)
		b.same("now", b.now(), want)
	}
}
