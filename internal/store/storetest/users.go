package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var users = group{
	"an invitation makes a user":                     joining,
	"an invitation is used once":                     joinedOnce,
	"an invitation is used once by many":             joinedContended,
	"an invitation expires":                          invitationExpires,
	"an invitation can be taken back":                uninvited,
	"an address has one user":                        emailTaken,
	"a user has one role in an organization":         joinedTwice,
	"the first invitation is worth nothing after it": firstInvitation,
	"of two first invitations one is used":           firstContended,
	"roles change":                                   rolesChange,
	"whoever has no organization left is forgotten":  memberRemoved,
	"somebody always administers the platform":       lastAdministrator,
	"two who remove each other do not both succeed":  lastAdministratorContended,
	"members come in pages":                          memberPages,
	"a session lives until it expires or is ended":   sessions,
	"another password ends the other sessions":       passwordSet,
	"organizations come in pages":                    organizationPages,
}

// invitation makes one that lives for an hour.
func (b *bench) invitation(organization, id, role string) store.Invitation {
	b.Helper()
	i := store.Invitation{
		ID: id, Hash: [32]byte{1, 31: id[0]}, Organization: organization, Role: role, Note: "for " + id, InvitedBy: "boss@example.com",
		CreatedAt: b.now(), ExpiresAt: b.now().Add(time.Hour),
	}
	b.must(b.Invite(b.Context(), i))
	return i
}

func newUser(name string) store.User {
	return store.User{ID: "id-" + name, Email: name + "@example.com", Name: name, Password: "hash of " + name, CreatedAt: noon}
}

func joinedAs(i *store.Invitation) store.Change {
	return store.Change{Organization: i.Organization, ID: store.NewID(), Action: "joined", By: i.Role}
}

// member makes a user with a role.
func (b *bench) member(organization, name, role string) store.User {
	b.Helper()
	u := newUser(name)
	i := b.invitation(organization, name, role)
	b.must(b.Join(b.Context(), i.Hash, u, joinedAs))
	return u
}

func joining(b *bench) {
	any, err := b.AnyUser(b.Context())
	b.must(err)
	b.same("somebody is there", any, false)
	i := b.invitation(acme, "a", "viewer")
	found, err := b.Invitation(b.Context(), i.Hash)
	b.must(err)
	b.same("invitation", *found, i)

	ana := newUser("ana")
	b.must(b.Join(b.Context(), i.Hash, ana, joinedAs))
	for _, read := range []func() (*store.User, error){
		func() (*store.User, error) { return b.User(b.Context(), ana.ID) },
		func() (*store.User, error) { return b.UserByEmail(b.Context(), ana.Email) },
	} {
		u, err := read()
		b.must(err)
		b.same("user", *u, ana)
	}
	any, err = b.AnyUser(b.Context())
	b.must(err)
	b.same("somebody is there now", any, true)
	b.sameRoles("id-ana", store.Membership{Organization: acme, Role: "viewer"})
	b.same("recorded", len(b.recorded(acme, "")), 1)
	b.same("recorded with what was invited to", b.recorded(acme, "")[0].By, "viewer")

	_, err = b.User(b.Context(), "nobody")
	b.kind(err, consent.NotFound)
	_, err = b.UserByEmail(b.Context(), "nobody")
	b.kind(err, consent.NotFound)
}

func (b *bench) sameRoles(user string, want ...store.Membership) {
	b.Helper()
	got, err := b.Memberships(b.Context(), user)
	b.must(err)
	b.same("roles of "+user, got, want)
}

func joinedOnce(b *bench) {
	i := b.invitation(acme, "a", "viewer")
	b.must(b.Join(b.Context(), i.Hash, newUser("ana"), joinedAs))
	b.kind(b.Join(b.Context(), i.Hash, newUser("bob"), joinedAs), consent.NotFound)
	_, err := b.Invitation(b.Context(), i.Hash)
	b.kind(err, consent.NotFound)
	_, err = b.User(b.Context(), "id-bob")
	b.kind(err, consent.NotFound)
	b.same("recorded", len(b.recorded(acme, "")), 1)
}

func joinedContended(b *bench) {
	i := b.invitation(acme, "a", "viewer")
	b.same("joined", b.contend(func(name string) error { return b.Join(b.Context(), i.Hash, newUser(name), joinedAs) }), int64(1))
	found, err := b.Members(b.Context(), acme, "", 10)
	b.must(err)
	b.same("members", len(found), 1)
}

// contend does the same for several names at once and counts the successes.
func (b *bench) contend(f func(name string) error) int64 {
	var ok atomic.Int64
	var wait sync.WaitGroup
	for _, name := range []string{"ana", "bob", "cleo", "dan"} {
		wait.Go(func() {
			if f(name) == nil {
				ok.Add(1)
			}
		})
	}
	wait.Wait()
	return ok.Load()
}

func invitationExpires(b *bench) {
	i := b.invitation(acme, "a", "viewer")
	b.clock.set(i.ExpiresAt - 1)
	_, err := b.Invitation(b.Context(), i.Hash)
	b.must(err)
	b.clock.set(i.ExpiresAt)
	_, err = b.Invitation(b.Context(), i.Hash)
	b.kind(err, consent.NotFound)
	b.kind(b.Join(b.Context(), i.Hash, newUser("ana"), joinedAs), consent.NotFound)
	b.sameInvitations(acme)
	next := b.invitation(acme, "b", "viewer") // which sweeps
	b.sameInvitations(acme, next)
}

func (b *bench) sameInvitations(organization string, want ...store.Invitation) {
	b.Helper()
	got, err := b.Invitations(b.Context(), organization)
	b.must(err)
	b.same("invitations to "+organization, got, want)
}

func uninvited(b *bench) {
	i, other := b.invitation(acme, "a", "viewer"), b.invitation(globex, "b", "operator")
	b.sameInvitations(acme, i)
	b.kind(b.Uninvite(b.Context(), globex, "a"), consent.NotFound)
	b.must(b.Uninvite(b.Context(), acme, "a", store.Change{Organization: acme, ID: store.NewID()}))
	b.sameInvitations(acme)
	b.sameInvitations(globex, other)
	b.kind(b.Join(b.Context(), i.Hash, newUser("ana"), joinedAs), consent.NotFound)
	b.kind(b.Uninvite(b.Context(), acme, "a", store.Change{Organization: acme, ID: store.NewID()}), consent.NotFound)
	b.same("recorded", len(b.recorded(acme, "")), 1)
}

func emailTaken(b *bench) {
	b.member(acme, "ana", "viewer")
	i := b.invitation(globex, "b", "viewer")
	other := newUser("ana")
	other.ID = "another"
	b.kind(b.Join(b.Context(), i.Hash, other, joinedAs), consent.Conflict)
	_, err := b.Invitation(b.Context(), i.Hash)
	b.must(err) // it can still be used
	b.same("recorded", len(b.recorded(globex, "")), 0)
}

func joinedTwice(b *bench) {
	ana := b.member(acme, "ana", "administrator")
	i := b.invitation(acme, "b", "viewer")
	b.kind(b.Join(b.Context(), i.Hash, ana, joinedAs), consent.Conflict)
	b.must(b.Join(b.Context(), b.invitation(globex, "c", "operator").Hash, ana, joinedAs))
	b.sameRoles(ana.ID, store.Membership{Organization: acme, Role: "administrator"}, store.Membership{Organization: globex, Role: "operator"})
}

func (b *bench) firstInvitation(id string) store.Invitation {
	b.Helper()
	i := store.Invitation{
		ID: id, Hash: [32]byte{2, 31: id[0]}, Organization: store.Everywhere, Role: "administrator", CreatedAt: noon, ExpiresAt: at(60), First: true,
	}
	b.must(b.Invite(b.Context(), i))
	return i
}

func firstInvitation(b *bench) {
	i := b.firstInvitation("a")
	b.member(acme, "ana", "viewer")
	_, err := b.Invitation(b.Context(), i.Hash)
	b.kind(err, consent.NotFound)
	b.kind(b.Join(b.Context(), i.Hash, newUser("bob"), joinedAs), consent.NotFound)
}

func firstContended(b *bench) {
	hashes := map[string][32]byte{}
	for _, name := range []string{"ana", "bob", "cleo", "dan"} {
		hashes[name] = b.firstInvitation(name).Hash
	}
	b.same("joined", b.contend(func(name string) error { return b.Join(b.Context(), hashes[name], newUser(name), joinedAs) }), int64(1))
}

func rolesChange(b *bench) {
	ana := b.member(acme, "ana", "viewer")
	b.must(b.SetRole(b.Context(), acme, ana.ID, "operator", store.Change{Organization: acme, ID: store.NewID(), Action: "role"}))
	b.sameRoles(ana.ID, store.Membership{Organization: acme, Role: "operator"})
	b.same("recorded", b.recorded(acme, "")[0].Action, "role")
	b.kind(b.SetRole(b.Context(), globex, ana.ID, "viewer"), consent.NotFound)
	b.kind(b.SetRole(b.Context(), acme, "nobody", "viewer"), consent.NotFound)
	b.kind(b.RemoveMember(b.Context(), globex, ana.ID), consent.NotFound)
}

func memberRemoved(b *bench) {
	ana := b.member(acme, "ana", "viewer")
	b.must(b.Join(b.Context(), b.invitation(globex, "g", "viewer").Hash, ana, joinedAs))
	b.session(ana, 1)
	b.must(b.RemoveMember(b.Context(), acme, ana.ID))
	b.sameRoles(ana.ID, store.Membership{Organization: globex, Role: "viewer"})
	_, _, err := b.Session(b.Context(), [32]byte{1})
	b.must(err)
	b.must(b.RemoveMember(b.Context(), globex, ana.ID))
	_, err = b.User(b.Context(), ana.ID)
	b.kind(err, consent.NotFound)
	_, _, err = b.Session(b.Context(), [32]byte{1})
	b.kind(err, consent.NotFound)
	b.member(acme, "ana", "viewer") // the address is free again
}

func lastAdministrator(b *bench) {
	ana, bob := b.member(store.Everywhere, "ana", "administrator"), b.member(store.Everywhere, "bob", "viewer")
	b.kind(b.RemoveMember(b.Context(), store.Everywhere, ana.ID), consent.Conflict)
	b.kind(b.SetRole(b.Context(), store.Everywhere, ana.ID, "operator"), consent.Conflict)
	b.sameRoles(ana.ID, store.Membership{Organization: store.Everywhere, Role: "administrator"})
	b.must(b.SetRole(b.Context(), store.Everywhere, bob.ID, "administrator"))
	b.must(b.RemoveMember(b.Context(), store.Everywhere, ana.ID))
	cleo := b.member(acme, "cleo", "administrator")
	b.must(b.RemoveMember(b.Context(), acme, cleo.ID)) // an organization can do without
}

func lastAdministratorContended(b *bench) {
	for _, name := range []string{"ana", "bob", "cleo", "dan"} {
		b.member(store.Everywhere, name, "administrator")
	}
	b.same("removed", b.contend(func(name string) error { return b.RemoveMember(b.Context(), store.Everywhere, "id-"+name) }), int64(3))
}

func memberPages(b *bench) {
	for _, name := range []string{"c", "a", "b"} {
		b.member(acme, name, "viewer")
	}
	b.member(globex, "z", "viewer")
	first, err := b.Members(b.Context(), acme, "", 2)
	b.must(err)
	rest, err := b.Members(b.Context(), acme, first[1].ID, 2)
	b.must(err)
	var names []string
	for _, m := range append(first, rest...) {
		names = append(names, m.Name+" "+m.Role)
	}
	b.same("members", names, []string{"a viewer", "b viewer", "c viewer"})
	b.same("since", first[0].Since, noon)
}

// session signs a user in for an hour.
func (b *bench) session(u store.User, n byte) store.Session {
	b.Helper()
	s := store.Session{Hash: [32]byte{n}, User: u.ID, CreatedAt: b.now(), SeenAt: b.now(), ExpiresAt: b.now().Add(time.Hour)}
	b.must(b.StartSession(b.Context(), s))
	return s
}

func sessions(b *bench) {
	ana := b.member(acme, "ana", "viewer")
	s, other := b.session(ana, 1), b.session(ana, 2)
	got, u, err := b.Session(b.Context(), s.Hash)
	b.must(err)
	b.same("session", *got, s)
	b.same("whose", *u, ana)

	b.must(b.KeepSession(b.Context(), s.Hash, at(1), at(90)))
	b.clock.set(s.ExpiresAt)
	got, _, err = b.Session(b.Context(), s.Hash)
	b.must(err)
	b.same("used", []consent.Time{got.SeenAt, got.ExpiresAt}, []consent.Time{at(1), at(90)})
	_, _, err = b.Session(b.Context(), other.Hash)
	b.kind(err, consent.NotFound)

	b.must(b.EndSession(b.Context(), s.Hash))
	_, _, err = b.Session(b.Context(), s.Hash)
	b.kind(err, consent.NotFound)
	b.must(b.EndSession(b.Context(), s.Hash))
	b.must(b.KeepSession(b.Context(), s.Hash, at(2), at(99)))
	_, _, err = b.Session(b.Context(), s.Hash)
	b.kind(err, consent.NotFound)
}

func passwordSet(b *bench) {
	ana, bob := b.member(acme, "ana", "viewer"), b.member(acme, "bob", "viewer")
	kept, other, others := b.session(ana, 1), b.session(ana, 2), b.session(bob, 3)
	b.must(b.SetPassword(b.Context(), ana.ID, "new hash", kept.Hash))
	u, err := b.User(b.Context(), ana.ID)
	b.must(err)
	b.same("password", u.Password, "new hash")
	for _, s := range []store.Session{kept, others} {
		_, _, err = b.Session(b.Context(), s.Hash)
		b.must(err)
	}
	_, _, err = b.Session(b.Context(), other.Hash)
	b.kind(err, consent.NotFound)
	b.kind(b.SetPassword(b.Context(), "nobody", "hash", kept.Hash), consent.NotFound)
}

func organizationPages(b *bench) {
	for _, organization := range []string{"c", "a", "b"} {
		b.must(b.SetFeature(b.Context(), organization, organization == "b"))
	}
	first, err := b.Organizations(b.Context(), "", 2)
	b.must(err)
	rest, err := b.Organizations(b.Context(), "b", 2)
	b.must(err)
	b.same("organizations", append(first, rest...), []store.Organization{{ID: "a", CreatedAt: noon}, {ID: "b", Actito: true, CreatedAt: noon}, {ID: "c", CreatedAt: noon}})
}
