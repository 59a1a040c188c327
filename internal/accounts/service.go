package accounts

import (
	"cmp"
	"context"
	"fmt"
	"net/mail"
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

// Store is what accounts need of the database.
type Store interface {
	AnyUser(ctx context.Context) (bool, error)
	User(ctx context.Context, id string) (*store.User, error)
	UserByEmail(ctx context.Context, email string) (*store.User, error)
	Memberships(ctx context.Context, user string) ([]store.Membership, error)
	Members(ctx context.Context, organization, after string, limit int) ([]store.Member, error)
	SetRole(ctx context.Context, organization, user, role string, changes ...store.Change) error
	RemoveMember(ctx context.Context, organization, user string, changes ...store.Change) error
	SetPassword(ctx context.Context, user, password string, keep [32]byte) error

	StartSession(ctx context.Context, s store.Session) error
	Session(ctx context.Context, hash [32]byte) (*store.Session, *store.User, error)
	KeepSession(ctx context.Context, hash [32]byte, seen, expires consent.Time) error
	EndSession(ctx context.Context, hash [32]byte) error

	Invite(ctx context.Context, i store.Invitation, changes ...store.Change) error
	Invitation(ctx context.Context, hash [32]byte) (*store.Invitation, error)
	Invitations(ctx context.Context, organization string) ([]store.Invitation, error)
	Uninvite(ctx context.Context, organization, id string, changes ...store.Change) error
	Join(ctx context.Context, hash [32]byte, u store.User, change func(*store.Invitation) store.Change) error

	Feature(ctx context.Context, organization string) (exists, actito bool, err error)
	SetFeature(ctx context.Context, organization string, actito bool, changes ...store.Change) error
	Organizations(ctx context.Context, after string, limit int) ([]store.Organization, error)
	AddWebhookClient(ctx context.Context, c store.WebhookClient, changes ...store.Change) error
	WebhookClient(ctx context.Context, id string) (*store.WebhookClient, error)
	WebhookClients(ctx context.Context, organization string) ([]*store.WebhookClient, error)
	RotateWebhookClient(ctx context.Context, organization, id string, secret [32]byte, until consent.Time, changes ...store.Change) error
	RemoveWebhookClient(ctx context.Context, organization, id string, changes ...store.Change) error

	AddAPIKey(ctx context.Context, k store.APIKey, changes ...store.Change) error
	APIKey(ctx context.Context, id string) (*store.APIKey, error)
	APIKeys(ctx context.Context, organization, after string, limit int) ([]*store.APIKey, error)
	UseAPIKey(ctx context.Context, organization, id string, at consent.Time) error
	RevokeAPIKey(ctx context.Context, organization, id string, changes ...store.Change) error
}

// Service knows the users of the console.
type Service struct {
	store    Store
	now      func() time.Time
	attempts *attempts
}

// New makes the service; now is the database's clock.
func New(s Store, now func() time.Time) *Service {
	return &Service{store: s, now: now, attempts: newAttempts()}
}

// How long a session lives: without being used, and at all.
const (
	idleLife = 12 * time.Hour
	fullLife = 7 * 24 * time.Hour
	// keepEvery is how often it is stored that a session is used.
	keepEvery = 5 * time.Minute
)

// normalize gives the form in which an address is kept and looked for.
func normalize(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// errWrong is the one answer to an address or password that is wrong.
var errWrong = consent.Errorf(consent.Unauthorized, "accounts", "the e-mail address or the password is wrong")

// SignIn checks a password and gives the secret of a new session. from is where
// the attempt comes from.
func (s *Service) SignIn(ctx context.Context, email, password, from string) (secret string, err error) {
	email = normalize(email)
	at := s.now()
	if err := s.attempts.try(email, from, at); err != nil {
		return "", err
	}
	u, err := s.store.UserByEmail(ctx, email)
	if err != nil && consent.KindOf(err) != consent.NotFound {
		s.attempts.untried(email, from, at)
		return "", err
	}
	hash := ""
	if err == nil {
		hash = u.Password
	}
	if !passwordFits(password, hash) {
		return "", errWrong
	}
	s.attempts.succeeded(email, from, at)
	return s.start(ctx, u.ID)
}

// SignInAs gives the secret of a new session to whom a provider knows by an
// address that it has verified; Forbidden if there is no such user.
func (s *Service) SignInAs(ctx context.Context, email string) (secret string, err error) {
	u, err := s.store.UserByEmail(ctx, normalize(email))
	if err != nil {
		if consent.KindOf(err) == consent.NotFound {
			err = consent.Errorf(consent.Forbidden, "accounts", "nobody here has the address %s: ask an administrator of your organization for an invitation, and open its link", normalize(email))
		}
		return "", err
	}
	return s.start(ctx, u.ID)
}

// JoinVerified uses an invitation for whom a provider knows by an address that it
// has verified, makes the user without a password if there is none, and signs
// them in.
func (s *Service) JoinVerified(ctx context.Context, invitation, email, name string) (secret string, err error) {
	u, err := s.store.UserByEmail(ctx, normalize(email))
	if err == nil {
		a, err := s.actor(ctx, u)
		if err != nil {
			return "", err
		}
		if err := s.JoinAs(ctx, invitation, a); err != nil {
			return "", err
		}
		return s.start(ctx, u.ID)
	}
	if consent.KindOf(err) != consent.NotFound {
		return "", err
	}
	n := Newcomer{Email: email, Name: cmp.Or(strings.TrimSpace(name), normalize(email))}
	if err := n.identify(); err != nil {
		return "", err
	}
	made := store.User{ID: uuid.Must(uuid.NewV7()).String(), Email: n.Email, Name: n.Name}
	if err := s.join(ctx, invitation, made); err != nil {
		return "", err
	}
	return s.start(ctx, made.ID)
}

// start makes a session.
func (s *Service) start(ctx context.Context, user string) (secret string, err error) {
	secret = auth.NewSecret()
	now := consent.TimeOf(s.now())
	return secret, s.store.StartSession(ctx, store.Session{
		Hash: auth.Hash(secret), User: user, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(idleLife),
	})
}

// SignOut ends a session.
func (s *Service) SignOut(ctx context.Context, secret string) error {
	return s.store.EndSession(ctx, auth.Hash(secret))
}

// Actor gives who holds the secret of a session, with the roles that they have
// now; Unauthorized if nobody does. A session that is used goes on.
func (s *Service) Actor(ctx context.Context, secret string) (*Actor, error) {
	session, u, err := s.session(ctx, secret)
	if err != nil {
		return nil, err
	}
	now := consent.TimeOf(s.now())
	if now.Sub(session.SeenAt) >= keepEvery {
		ends := min(now.Add(idleLife), session.CreatedAt.Add(fullLife))
		if err := s.store.KeepSession(ctx, session.Hash, now, ends); err != nil {
			return nil, err
		}
	}
	return s.actor(ctx, u)
}

// Peek gives what Actor gives, and does not count as using the session: what a
// page does by itself keeps nobody signed in.
func (s *Service) Peek(ctx context.Context, secret string) (*Actor, error) {
	_, u, err := s.session(ctx, secret)
	if err != nil {
		return nil, err
	}
	return s.actor(ctx, u)
}

func (s *Service) session(ctx context.Context, secret string) (*store.Session, *store.User, error) {
	session, u, err := s.store.Session(ctx, auth.Hash(secret))
	if err != nil && consent.KindOf(err) == consent.NotFound {
		err = consent.Errorf(consent.Unauthorized, "accounts", "you are not signed in any more")
	}
	return session, u, err
}

func (s *Service) actor(ctx context.Context, u *store.User) (*Actor, error) {
	memberships, err := s.store.Memberships(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	a := &Actor{User: *u, roles: map[string]Role{}}
	for _, m := range memberships {
		a.roles[m.Organization] = Role(m.Role)
	}
	return a, nil
}

// ChangePassword sets a new password for who knows the old one, and ends all
// sessions but the one with this secret.
func (s *Service) ChangePassword(ctx context.Context, a *Actor, secret, old, password, from string) error {
	at := s.now()
	if err := s.attempts.try(a.Email, from, at); err != nil {
		return err
	}
	if !passwordFits(old, a.Password) {
		return incoming.RefuseField("old_password", "is not the password that you have now")
	}
	s.attempts.succeeded(a.Email, from, at)
	if err := checkPassword(password, a.Email); err != nil {
		return err
	}
	return s.store.SetPassword(ctx, a.ID, hashPassword(password), auth.Hash(secret))
}

// mostName is how many letters a user's name may have.
const mostName = 100

// Newcomer is what somebody says of themselves who uses an invitation.
type Newcomer struct{ Email, Name, Password string }

func (n *Newcomer) check() error {
	if err := n.identify(); err != nil {
		return err
	}
	return checkPassword(n.Password, n.Email)
}

// identify checks who somebody says that they are, and writes it as it is kept.
func (n *Newcomer) identify() error {
	n.Email, n.Name = normalize(n.Email), strings.TrimSpace(n.Name)
	address, err := mail.ParseAddress(n.Email)
	if err != nil || address.Address != n.Email || len(n.Email) > 254 {
		return incoming.RefuseField("email", "must be an address such as anna@example.com")
	}
	if n.Name == "" || utf8.RuneCountInString(n.Name) > mostName {
		return incoming.RefuseField("name", fmt.Sprintf("is required, in at most %d letters", mostName))
	}
	return nil
}

// Join uses an invitation, makes the user and signs them in.
func (s *Service) Join(ctx context.Context, invitation string, n Newcomer) (secret string, err error) {
	if _, err := s.store.Invitation(ctx, auth.Hash(invitation)); err != nil {
		return "", err
	}
	if err := n.check(); err != nil {
		return "", err
	}
	switch _, err := s.store.UserByEmail(ctx, n.Email); {
	case err == nil:
		return "", incoming.RefuseField("email", "belongs to somebody who has an account: sign in, and open the invitation again")
	case consent.KindOf(err) != consent.NotFound:
		return "", err
	}
	u := store.User{ID: uuid.Must(uuid.NewV7()).String(), Email: n.Email, Name: n.Name, Password: hashPassword(n.Password)}
	if err := s.join(ctx, invitation, u); err != nil {
		return "", err
	}
	return s.start(ctx, u.ID)
}

// JoinAs uses an invitation for who has an account already.
func (s *Service) JoinAs(ctx context.Context, invitation string, a *Actor) error {
	i, err := s.store.Invitation(ctx, auth.Hash(invitation))
	if err != nil {
		return err
	}
	if has := a.roles[i.Organization]; has != "" {
		return consent.Errorf(consent.Conflict, "accounts", "you are %s there already: an administrator can change that", has)
	}
	return s.join(ctx, invitation, a.User)
}

func (s *Service) join(ctx context.Context, invitation string, u store.User) error {
	ctx = changes.WithActor(ctx, u.Email)
	return s.store.Join(ctx, auth.Hash(invitation), u, func(i *store.Invitation) store.Change {
		return changes.New(ctx, s.now(), i.Organization, "", "user.joined",
			store.Detail{Name: "user", Is: u.Email}, store.Detail{Name: "role", Is: i.Role}, store.Detail{Name: "invited_by", Is: i.InvitedBy})
	})
}
