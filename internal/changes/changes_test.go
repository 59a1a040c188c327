package changes

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/store"
)

func TestBetween(t *testing.T) {
	t.Parallel()
	type inner struct {
		Key  string   `json:"key"`
		List []string `json:"list"`
	}
	type thing struct {
		Name  string `json:"name"`
		On    bool   `json:"on"`
		Inner inner  `json:"inner"`
	}
	was := thing{"a", false, inner{"****1", []string{"x"}}}
	is := thing{"a", true, inner{"****2", []string{"x", "y"}}}
	want := []store.Detail{
		{Name: "inner.key", Was: "****1", Is: "****2"},
		{Name: "inner.list", Was: `["x"]`, Is: `["x","y"]`},
		{Name: "on", Was: "false", Is: "true"},
	}
	if diff := cmp.Diff(want, Between(was, is)); diff != "" {
		t.Error(diff)
	}
	if got := Between(was, was); got != nil {
		t.Errorf("nothing changed, and it says %v", got)
	}
	if got := Between(nil, thing{Name: "new"}); len(got) != 2 || got[0].Was != "" {
		t.Errorf("what is new is %v", got)
	}
	long := Between(nil, thing{Name: strings.Repeat("ü", 600)})
	if n := len([]rune(long[0].Is)); n != mostDetail+1 {
		t.Errorf("a long text has %d letters", n)
	}
}

func TestWhoActs(t *testing.T) {
	t.Parallel()
	if c := New(context.Background(), time.Unix(1, 0), "acme", "", "x"); c.By != Itself || c.At != 1_000_000 {
		t.Errorf("the change is %+v", c)
	}
	if c := New(WithActor(context.Background(), "ana"), time.Unix(1, 0), "acme", "", "x"); c.By != "ana" {
		t.Errorf("the change is by %s", c.By)
	}
}
