package accounts

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"consentsync/internal/auth"
	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// MemberView is a user of an organization as shown.
type MemberView struct {
	ID    string       `json:"id"`
	Email string       `json:"email"`
	Name  string       `json:"name"`
	Role  Role         `json:"role"`
	Since consent.Time `json:"since"`
}

// InvitationView is an invitation as shown. Only the answer to its making has
// its address.
type InvitationView struct {
	ID        string       `json:"id"`
	Role      Role         `json:"role"`
	Note      string       `json:"note"`
	InvitedBy string       `json:"invited_by"`
	CreatedAt consent.Time `json:"created_at"`
	ExpiresAt consent.Time `json:"expires_at"`
	URL       string       `json:"url,omitempty"`
}

// Members lists the users of an organization, from after one; next is empty at
// the end.
func (s *Service) Members(ctx context.Context, organization, after string, limit int) (views []MemberView, next string, err error) {
	if err := s.exists(ctx, organization); err != nil {
		return nil, "", err
	}
	found, err := s.store.Members(ctx, organization, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].ID
	}
	views = []MemberView{}
	for _, m := range found {
		views = append(views, MemberView{m.ID, m.Email, m.Name, Role(m.Role), m.Since})
	}
	return views, next, nil
}

// exists refuses organizations that there are not.
func (s *Service) exists(ctx context.Context, organization string) error {
	if organization == store.Everywhere {
		return nil
	}
	exists, _, err := s.store.Feature(ctx, organization)
	if err == nil && !exists {
		err = consent.Errorf(consent.NotFound, "accounts", "there is no organization %q: create it with PUT /v1/premium-features/{organization_id}", organization)
	}
	return err
}

// SetRole changes what a member may do.
func (s *Service) SetRole(ctx context.Context, organization, user, role string) error {
	r, err := parseRole(role)
	if err != nil {
		return err
	}
	u, err := s.store.User(ctx, user)
	if err != nil {
		return err
	}
	was, err := s.roleOf(ctx, organization, user)
	if err != nil {
		return err
	}
	return s.store.SetRole(ctx, organization, user, string(r), changes.New(ctx, s.now(), organization, "", "user.role_changed",
		store.Detail{Name: "user", Is: u.Email}, store.Detail{Name: "role", Was: was, Is: string(r)}))
}

// Remove takes an organization from a user. Who has none left is forgotten.
func (s *Service) Remove(ctx context.Context, organization, user string) error {
	u, err := s.store.User(ctx, user)
	if err != nil {
		return err
	}
	was, err := s.roleOf(ctx, organization, user)
	if err != nil {
		return err
	}
	return s.store.RemoveMember(ctx, organization, user, changes.New(ctx, s.now(), organization, "", "user.removed",
		store.Detail{Name: "user", Was: u.Email}, store.Detail{Name: "role", Was: was}))
}

func (s *Service) roleOf(ctx context.Context, organization, user string) (string, error) {
	memberships, err := s.store.Memberships(ctx, user)
	if err != nil {
		return "", err
	}
	for _, m := range memberships {
		if m.Organization == organization {
			return m.Role, nil
		}
	}
	return "", consent.Errorf(consent.NotFound, "accounts", "no such user")
}

const (
	invitationLife = 7 * 24 * time.Hour
	firstLife      = 24 * time.Hour
	mostNote       = 200
)

// InvitationPath is where an invitation is used, below the console's address.
const InvitationPath = "/invitations/"

// Invite makes an invitation to an organization, to be used below base.
func (s *Service) Invite(ctx context.Context, base, organization, role, note string) (*InvitationView, error) {
	r, err := parseRole(role)
	if err != nil {
		return nil, err
	}
	if note = strings.TrimSpace(note); utf8.RuneCountInString(note) > mostNote {
		return nil, incoming.RefuseField("note", fmt.Sprintf("must be at most %d letters", mostNote))
	}
	if err := s.exists(ctx, organization); err != nil {
		return nil, err
	}
	return s.invite(ctx, base, store.Invitation{Organization: organization, Role: string(r), Note: note}, invitationLife)
}

// First makes the invitation of the first user, who administers everything; it
// is worth nothing once there is a user, or after a day. Nil when there is one
// already.
func (s *Service) First(ctx context.Context, base string) (*InvitationView, error) {
	if any, err := s.store.AnyUser(ctx); err != nil || any {
		return nil, err
	}
	return s.invite(ctx, base, store.Invitation{Organization: store.Everywhere, Role: string(Administrator), Note: "first start", First: true}, firstLife)
}

func (s *Service) invite(ctx context.Context, base string, i store.Invitation, life time.Duration) (*InvitationView, error) {
	secret := auth.NewSecret()
	i.ID, i.Hash, i.InvitedBy = uuid.Must(uuid.NewV7()).String(), auth.Hash(secret), changes.Actor(ctx)
	i.CreatedAt = consent.TimeOf(s.now())
	i.ExpiresAt = i.CreatedAt.Add(life)
	err := s.store.Invite(ctx, i, changes.New(ctx, s.now(), i.Organization, "", "user.invited",
		store.Detail{Name: "role", Is: i.Role}, store.Detail{Name: "note", Is: i.Note}))
	if err != nil {
		return nil, err
	}
	v := invitationView(i)
	v.URL = strings.TrimSuffix(base, "/") + InvitationPath + secret
	return &v, nil
}

func invitationView(i store.Invitation) InvitationView {
	return InvitationView{ID: i.ID, Role: Role(i.Role), Note: i.Note, InvitedBy: i.InvitedBy, CreatedAt: i.CreatedAt, ExpiresAt: i.ExpiresAt}
}

// Invitations lists those that can still be used.
func (s *Service) Invitations(ctx context.Context, organization string) ([]InvitationView, error) {
	if err := s.exists(ctx, organization); err != nil {
		return nil, err
	}
	found, err := s.store.Invitations(ctx, organization)
	if err != nil {
		return nil, err
	}
	views := []InvitationView{}
	for _, i := range found {
		views = append(views, invitationView(i))
	}
	return views, nil
}

// Invited tells what an invitation is for, to who holds its secret.
func (s *Service) Invited(ctx context.Context, secret string) (organization string, role Role, err error) {
	i, err := s.store.Invitation(ctx, auth.Hash(secret))
	if err != nil {
		return "", "", err
	}
	return i.Organization, Role(i.Role), nil
}

// Uninvite takes an invitation back.
func (s *Service) Uninvite(ctx context.Context, organization, id string) error {
	return s.store.Uninvite(ctx, organization, id, changes.New(ctx, s.now(), organization, "", "user.uninvited",
		store.Detail{Name: "invitation", Was: id}))
}
