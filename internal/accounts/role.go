// Package accounts knows who uses the console, and what each may do where.
//
// A password is kept as its argon2id hash and a session or invitation as the
// hash of a random secret, so that the database alone lets nobody in. Signing
// in takes the same time whether the address is known or not, and gets slower
// with every failure. An invitation works once. What a user may do is read with
// every request: a role that is taken away is gone at once.
package accounts

import (
	"slices"

	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// Role is what a user may do in an organization. Each includes those before it.
type Role string

// The roles. A viewer sees everything but the personal data of people whom they
// did not ask for by name; an operator sees it, and repairs; an administrator
// configures, and says who may do what.
const (
	Viewer        Role = "viewer"
	Operator      Role = "operator"
	Administrator Role = "administrator"
)

// Roles lists them, the weakest first.
var Roles = []Role{Viewer, Operator, Administrator}

// Includes tells whether r may do what other may.
func (r Role) Includes(other Role) bool {
	return slices.Index(Roles, r) >= slices.Index(Roles, other) && slices.Contains(Roles, r)
}

// Actor is a user who is signed in.
type Actor struct {
	store.User
	roles map[string]Role
}

// Role gives the role in an organization; empty for none.
func (a *Actor) Role(organization string) Role {
	own, everywhere := a.roles[organization], a.roles[store.Everywhere]
	if everywhere.Includes(own) || own == "" {
		return everywhere
	}
	return own
}

// May tells whether the user has at least a role in an organization.
func (a *Actor) May(organization string, role Role) bool {
	return a.Role(organization).Includes(role)
}

// Platform tells whether the user administers all organizations.
func (a *Actor) Platform() bool { return a.roles[store.Everywhere] == Administrator }

// Everywhere tells whether the user has a role in every organization.
func (a *Actor) Everywhere() bool { return a.roles[store.Everywhere] != "" }

// Organizations lists those that the user has a role of their own in.
func (a *Actor) Organizations() []string {
	var own []string
	for organization := range a.roles {
		if organization != store.Everywhere {
			own = append(own, organization)
		}
	}
	slices.Sort(own)
	return own
}

func parseRole(text string) (Role, error) {
	if r := Role(text); slices.Contains(Roles, r) {
		return r, nil
	}
	return "", incoming.RefuseField("role", "must be viewer, operator or administrator")
}
