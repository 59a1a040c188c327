package accounts

import (
	"strings"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

func TestRolesIncludeThoseBeforeThem(t *testing.T) {
	t.Parallel()
	order := []Role{Viewer, Operator, Administrator}
	for i, r := range order {
		for j, other := range order {
			if r.Includes(other) != (i >= j) {
				t.Errorf("%s includes %s: %v", r, other, r.Includes(other))
			}
		}
		if Role("").Includes(r) || Role("king").Includes(r) {
			t.Errorf("no role, or one that there is not, includes %s", r)
		}
	}
}

func TestWhatAnActorMay(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		roles map[string]Role
		want  Role // in acme
	}{
		{nil, ""},
		{map[string]Role{"globex": Administrator}, ""},
		{map[string]Role{"acme": Operator}, Operator},
		{map[string]Role{store.Everywhere: Viewer}, Viewer},
		{map[string]Role{store.Everywhere: Viewer, "acme": Administrator}, Administrator},
		{map[string]Role{store.Everywhere: Administrator, "acme": Viewer}, Administrator},
	} {
		a := &Actor{roles: x.roles}
		if got := a.Role("acme"); got != x.want {
			t.Errorf("with %v the role is %q, want %q", x.roles, got, x.want)
		}
		if a.May("acme", Viewer) != (x.want != "") {
			t.Errorf("with %v may look: %v", x.roles, a.May("acme", Viewer))
		}
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	hash := hashPassword("correct horse")
	if strings.Contains(hash, "horse") || hash == hashPassword("correct horse") {
		t.Errorf("the hash is %q", hash)
	}
	for password, want := range map[string]bool{"correct horse": true, "correct horse ": false, "": false} {
		if passwordFits(password, hash) != want {
			t.Errorf("%q fits: %v", password, !want)
		}
	}
	for _, broken := range []string{"", "$", "$argon2id$v=1$m=1,t=1,p=1$AA$AA", strings.Replace(hash, "argon2id", "argon2i", 1)} {
		if passwordFits("", broken) || passwordFits("correct horse", broken) {
			t.Errorf("something fits %q", broken)
		}
	}
}

func TestPasswordsThatAreRefused(t *testing.T) {
	t.Parallel()
	for password, ok := range map[string]bool{
		"correct horse battery": true, "wörter die niemand rät": true, "short": false, "aaaaaaaaaaaaaaaa": false,
		"xx ana.smith xx yy": false, "my ANA.SMITH@example.com": false, strings.Repeat("ab", 101): false,
	} {
		if err := checkPassword(password, "ana.smith@example.com"); (err == nil) != ok {
			t.Errorf("%q: %v", password, err)
		}
	}
}

// Somebody who guesses waits longer and longer, and keeps out nobody who comes
// from elsewhere.
func TestGuessingGetsSlower(t *testing.T) {
	t.Parallel()
	a, now := newAttempts(), time.Unix(1_000_000, 0)
	refusals := 0
	for range 200 {
		if err := a.try("ana", "evil", now); err != nil {
			if consent.KindOf(err) != consent.RateLimited || consent.RetryAfter(err) <= 0 {
				t.Fatal(err)
			}
			refusals++
		}
		now = now.Add(time.Second)
	}
	if refusals < 180 {
		t.Errorf("only %d of 200 guesses were refused", refusals)
	}
	if err := a.try("ana", "home", now); err != nil {
		t.Errorf("who comes from elsewhere is refused: %v", err)
	}
	a.succeeded("ana", "home", now)
	if err := a.try("bob", "evil", now); err != nil {
		t.Errorf("another address is refused: %v", err)
	}
	// From everywhere it is slow too.
	refusals = 0
	for i := range 200 {
		if a.try("cleo", string(rune(i)), now) != nil {
			refusals++
		}
	}
	if refusals < 100 {
		t.Errorf("only %d of 200 guesses from everywhere were refused", refusals)
	}
}

// Whoever signs in well is not slowed down by it.
func TestSucceedingIsFree(t *testing.T) {
	t.Parallel()
	a, now := newAttempts(), time.Unix(1_000_000, 0)
	for range 500 {
		if err := a.try("ana", "home", now); err != nil {
			t.Fatal(err)
		}
		a.succeeded("ana", "home", now)
	}
	// Not even while somebody guesses from everywhere, whom it does not help.
	for i := range freeEmail {
		if err := a.try("bob", string(rune(i)), now); err != nil {
			t.Fatal(err)
		}
	}
	if a.try("bob", "home", now) == nil {
		t.Error("who guesses from everywhere does not wait")
	}
	now = now.Add(time.Second)
	if err := a.try("bob", "home", now); err != nil {
		t.Fatal(err)
	}
	a.succeeded("bob", "home", now)
	if err := a.try("bob", "elsewhere", now); err != nil {
		t.Errorf("somebody waits for another who has signed in: %v", err)
	}
	a.untried("bob", "elsewhere", now)
	if err := a.try("bob", "elsewhere", now); err != nil {
		t.Errorf("somebody waits for what could not be tried: %v", err)
	}
	if a.try("bob", "home", now) == nil {
		t.Error("the failures of before are forgotten")
	}
}
