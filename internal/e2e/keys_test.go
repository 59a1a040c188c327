package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/auth"
	"consentsync/internal/simulator"
)

// Keys change while webhooks come and deliveries go, and whatever moment the
// process is killed at: nothing that was acknowledged is lost, every secret can
// be opened, and the next start goes on by itself.
func TestKeysChangeUnderLoadAndKills(t *testing.T) {
	parallelUnlessShort(t, crashes)
	b, p := setupProcess(t, simulator.ActitoOptions{CallsPerMinute: -1})
	subscriptions := []string{"Newsletter", "Promotions", "SmsAlerts"}
	var ids []string
	for _, subscription := range subscriptions {
		ids = append(ids, b.integrate(func(in object) {
			in["mappings"] = []object{{"id": subscription, "value": "consents_purposes_" + strings.ToLower(subscription) + "_enabled"}}
			in["authentication"] = object{"private_api_key": simulator.SampleKey, "didomi_api_secret": "secret-of-" + subscription}
		}))
	}
	var (
		stop     atomic.Bool
		mu       sync.Mutex
		accepted []string
		wait     sync.WaitGroup
		address  atomic.Pointer[bundle]
	)
	address.Store(b)
	for worker := range 3 {
		wait.Go(func() {
			for n := 0; !stop.Load(); n++ {
				email := fmt.Sprintf("load-%d-%d@example.com", worker, n)
				at := *address.Load()
				if status, _, err := at.try(event(email, email, time.Now(), simulator.Choices{"newsletter": yes()})); err == nil && status == http.StatusOK {
					mu.Lock()
					accepted = append(accepted, email)
					mu.Unlock()
				}
				pause(5 * time.Millisecond)
			}
		})
	}
	changes := []string{"", `{"master":true}`}
	for round := range 6 {
		var asked sync.WaitGroup
		at := *address.Load()
		asked.Go(func() {
			for i := range 20 {
				if _, _, err := at.request(http.MethodPost, "/v1/keys/rotate", changes[(i+round)%2]); err != nil {
					return
				}
			}
		})
		pause(time.Duration(rand.IntN(60)) * time.Millisecond)
		p.kill()
		asked.Wait()
		p = b.spawn()
		next := *b
		next.url = p.ready()
		address.Store(&next)
		for i, subscription := range subscriptions {
			var v struct {
				Authentication struct {
					Secret string `json:"didomi_api_secret"`
				}
			}
			next.must(http.MethodGet, "/v1/marketplace/integrations/"+ids[i], "", http.StatusOK, &v)
			if want := auth.Mask("secret-of-" + subscription); v.Authentication.Secret != want {
				t.Errorf("round %d: the secret is shown as %q, want %q", round, v.Authentication.Secret, want)
			}
		}
	}
	stop.Store(true)
	wait.Wait()
	*b = *address.Load()
	var v auth.KeysView
	for _, body := range changes {
		b.must(http.MethodPost, "/v1/keys/rotate", body, http.StatusAccepted, &v)
	}
	b.looks("every secret has followed", func() bool {
		b.must(http.MethodGet, "/v1/keys", "", http.StatusOK, &v)
		for _, r := range v.Retired {
			if r.Secrets > 0 {
				return false
			}
		}
		return len(v.Retired) > 0
	})
	if kept, err := os.ReadFile(filepath.Join(b.cfg.Data, "master-key")); err != nil || len(strings.Fields(string(kept))) != 1 {
		t.Errorf("the file of the master key holds %d keys: %v", len(strings.Fields(string(kept))), err)
	}
	if len(accepted) == 0 {
		t.Fatal("nothing was accepted meanwhile")
	}
	last := accepted[len(accepted)-1]
	b.looks("deliveries go on with the secrets", func() bool { return b.on(last, "Newsletter") })
	for _, email := range accepted {
		if b.person(email).CatchingUp {
			continue
		}
		if !b.choices(email)[newsletterPath] {
			t.Errorf("what %s said, and was acknowledged, is lost", email)
		}
	}
}
