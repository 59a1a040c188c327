package storetest

import (
	"fmt"
	"slices"
	"sync"

	"consentsync/internal/consent"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

var sealing = group{
	"a key that seals retires those before":      sealingKeyAdded,
	"of two who add the same key one does":       sealingKeyContended,
	"keys are replaced as they were read or not": keysReplaced,
	"a retired key is forgotten":                 keyDropped,
	"secrets are sealed anew as they were read":  resealed,
	"what messages say is sealed anew":           messageResealed,
}

func (b *bench) secretKeys() []store.SecretKey {
	b.Helper()
	all, err := b.SecretKeys(b.Context())
	b.must(err)
	return all
}

// firstKeys makes the keys of a new installation.
func (b *bench) firstKeys() {
	b.Helper()
	for _, name := range []string{"seal", "hash", "token"} {
		_, err := b.SecretKey(b.Context(), name, func() ([]byte, error) { return []byte(name), nil })
		b.must(err)
	}
}

func sealingKeyAdded(b *bench) {
	b.firstKeys()
	b.clock.set(at(5))
	b.must(b.AddSealingKey(b.Context(), store.SecretKey{Name: "seal.2", Sealed: []byte("two")}, changeOf(acme, "", "rotated")))
	b.clock.set(at(9))
	b.must(b.AddSealingKey(b.Context(), store.SecretKey{Name: "seal.3", Sealed: []byte("three")}))
	b.same("keys", b.secretKeys(), []store.SecretKey{
		{Name: "hash", Sealed: []byte("hash")},
		{Name: "seal", Sealed: []byte("seal"), RetiredAt: at(5)},
		{Name: "seal.2", Sealed: []byte("two"), RetiredAt: at(9)},
		{Name: "seal.3", Sealed: []byte("three")},
		{Name: "token", Sealed: []byte("token")},
	})
	b.lastChange(acme, "rotated")
}

func sealingKeyContended(b *bench) {
	b.firstKeys()
	var wait sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wait.Go(func() {
			errs[i] = b.AddSealingKey(b.Context(), store.SecretKey{Name: "seal.2", Sealed: fmt.Append(nil, "key ", i)})
		})
	}
	wait.Wait()
	added := 0
	for _, err := range errs {
		if err == nil {
			added++
		} else {
			b.kind(err, consent.Conflict)
		}
	}
	b.same("added", added, 1)
}

func keysReplaced(b *bench) {
	b.firstKeys()
	was := b.secretKeys()
	is := []store.SecretKey{{Name: "hash", Sealed: []byte("h")}, {Name: "seal", Sealed: []byte("s")}, {Name: "token", Sealed: []byte("t")}}
	b.must(b.AddSealingKey(b.Context(), store.SecretKey{Name: "seal.2", Sealed: []byte("two")}))
	b.kind(b.ReplaceSecretKeys(b.Context(), was, is), consent.Conflict)
	b.same("the first", string(b.secretKeys()[0].Sealed), "hash")
	b.must(b.ReplaceSecretKeys(b.Context(), b.secretKeys(), is, changeOf(acme, "", "replaced")))
	var got []string
	for _, k := range b.secretKeys() {
		got = append(got, string(k.Sealed))
	}
	b.same("keys", got, []string{"h", "s", "two", "t"})
	b.lastChange(acme, "replaced")
}

func keyDropped(b *bench) {
	b.firstKeys()
	b.must(b.AddSealingKey(b.Context(), store.SecretKey{Name: "seal.2", Sealed: []byte("two")}))
	for _, name := range []string{"seal", "seal.2", "hash", "nothing"} {
		b.must(b.DropSecretKey(b.Context(), name))
	}
	var left []string
	for _, k := range b.secretKeys() {
		left = append(left, k.Name)
	}
	b.same("left", left, []string{"hash", "seal.2", "token"})
}

func resealed(b *bench) {
	for _, organization := range []string{acme, globex} {
		for _, id := range []string{organization + "-1", organization + "-2"} {
			i := b.integration(organization, id)
			i.Sealed = []byte("sealed " + id)
			b.must(b.CreateIntegration(b.Context(), i))
		}
	}
	column := store.SealedColumns[0]
	var found []store.Sealed
	for after := []string{"", ""}; ; {
		page, err := b.Sealed(b.Context(), column, after, 3)
		b.must(err)
		if len(page) == 0 {
			break
		}
		found = append(found, page...)
		after = page[len(page)-1].Key
	}
	if len(found) != 4 {
		b.Fatalf("found %+v", found)
	}
	for _, s := range found {
		b.same("secret", string(s.Secret), "sealed "+s.Key[1])
	}
	s := found[1]
	done, err := b.Reseal(b.Context(), column, s, []byte("anew"))
	b.must(err)
	b.same("done", done, true)
	done, err = b.Reseal(b.Context(), column, s, []byte("too late"))
	b.must(err)
	b.same("done again", done, false)
	got, err := b.Integration(b.Context(), store.IntegrationKey{Organization: s.Key[0], ID: s.Key[1]})
	b.must(err)
	b.same("the integration's", string(got.Sealed), "anew")
}

func messageResealed(b *bench) {
	k := b.integrate(acme, "i")
	e := b.email(k, mail.Type("request-verify"), nil)
	b.allEmails(k)
	b.live(acme, event("e1", at(-1), yes("p"))) // of which nothing is sealed
	column := store.SealedColumns[slices.IndexFunc(store.SealedColumns, func(c store.SealedColumn) bool { return c.Table == "messages" })]
	wants := map[string]string{}
	for _, text := range []string{"one", "two", "three"} {
		body, err := column.Stored([]byte(text))
		b.must(err)
		m, _, err := b.Request(b.Context(), store.NewMessage(e, store.OfRequest, b.person(acme, "ana"), b.hasher.Occasion(acme, store.OfRequest, text), b.now(), b.now(), body))
		b.must(err)
		wants[m.ID.String()] = text
	}
	after := []string{"", ""}
	for range wants {
		page, err := b.Sealed(b.Context(), column, after, 1)
		b.must(err)
		b.same("found", len(page), 1)
		s := page[0]
		after = s.Key
		b.same("its secret", string(s.Secret), wants[s.Key[1]])
		b.same("its context", column.Context(s), []string{"message", acme, s.Key[1]})
		for _, want := range []bool{true, false} { // the second time it is another
			done, err := b.Reseal(b.Context(), column, s, []byte("anew"))
			b.must(err)
			b.same("done", done, want)
		}
		var id store.ID
		b.must(id.UnmarshalText([]byte(s.Key[1])))
		m, err := b.Message(b.Context(), acme, id)
		b.must(err)
		b.same("sealed anew", string(store.SealedIn(m.Body)), "anew")
	}
	page, err := b.Sealed(b.Context(), column, after, 1)
	b.must(err)
	b.same("no more", len(page), 0)
}
