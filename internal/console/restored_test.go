package console

import (
	"strings"
	"testing"
	"time"

	"consentsync/internal/accounts"
	"consentsync/internal/integration"
)

// Grants that are held since a restore are told of, and an administrator alone
// can let them out.
func TestHeldSinceARestore(t *testing.T) {
	t.Parallel()
	c, err := New(Options{Now: time.Now, Integrations: &integration.Service{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		role       accounts.Role
		held       bool
		told, asks bool
	}{
		{accounts.Administrator, true, true, true}, {accounts.Operator, true, true, false}, {accounts.Administrator, false, false, false},
	} {
		var b strings.Builder
		v := &visit{Actor: &accounts.Actor{}, Organization: "acme", Role: x.role}
		data := integrationData{View: &integration.View{ID: "i", Restored: &integration.RestoredView{At: 1, GrantsHeld: x.held}}}
		if err := c.pages["integration"].execute(&b, shown{visit: v, Data: data}); err != nil {
			t.Fatal(err)
		}
		told, asks := strings.Contains(b.String(), "brought back to an older state"), strings.Contains(b.String(), "Yes, send what was held")
		if told != x.told || asks != x.asks {
			t.Errorf("%s, held %v: told %v, asks %v", x.role, x.held, told, asks)
		}
	}
}
