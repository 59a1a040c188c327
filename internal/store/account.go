package store

import "consentsync/internal/consent"

// Everywhere stands for all organizations: whoever has a role in it has the
// role in each. It is no name that an organization can have.
const Everywhere = "*"

// User is somebody who signs in.
type User struct {
	ID        string
	Email     string // in lower case; no two users share one
	Name      string
	Password  string // its hash; empty for who signs in elsewhere
	CreatedAt consent.Time
}

// Membership is a user's role in an organization.
type Membership struct {
	Organization string
	Role         string
}

// Member is a user of an organization.
type Member struct {
	User
	Role  string
	Since consent.Time
}

// Session is that a user is signed in. Only the hash of what the browser holds
// is kept.
type Session struct {
	Hash      [32]byte
	User      string // id
	CreatedAt consent.Time
	SeenAt    consent.Time
	ExpiresAt consent.Time
}

// Invitation lets whoever holds its link become a user, once. Only the hash of
// what stands in the link is kept.
type Invitation struct {
	ID           string
	Hash         [32]byte
	Organization string
	Role         string
	Note         string // whom it is meant for
	InvitedBy    string
	CreatedAt    consent.Time
	ExpiresAt    consent.Time
	// First says that it is for the first user of all, and worth nothing once
	// there is one.
	First bool
}

// Organization is one that was created.
type Organization struct {
	ID        string
	Actito    bool // may use the Actito integration
	CreatedAt consent.Time
}
