package store

// ScanUser reads UserColumns.
func ScanUser(row Row) (*User, error) {
	u := &User{}
	return u, row.Scan(u.fields()...)
}

func (u *User) fields() []any {
	return []any{&u.ID, &u.Email, &u.Name, &u.Password, &u.CreatedAt}
}

// ScanMembership reads an organization and a role.
func ScanMembership(row Row) (m Membership, err error) {
	err = row.Scan(&m.Organization, &m.Role)
	return m, err
}

// ScanMember reads UserColumns, a role, and since when.
func ScanMember(row Row) (m Member, err error) {
	err = row.Scan(append(m.fields(), &m.Role, &m.Since)...)
	return m, err
}

// SignedIn is a session and whose it is.
type SignedIn struct {
	Session
	Whose User
}

// ScanSession reads when a session was made, used and ends, and UserColumns.
func ScanSession(hash [32]byte) func(Row) (*SignedIn, error) {
	return func(row Row) (*SignedIn, error) {
		s := &SignedIn{Session: Session{Hash: hash}}
		err := row.Scan(append([]any{&s.CreatedAt, &s.SeenAt, &s.ExpiresAt}, s.Whose.fields()...)...)
		s.User = s.Whose.ID
		return s, err
	}
}

// ScanInvitation reads InvitationColumns.
func ScanInvitation(row Row) (i Invitation, err error) {
	var hash []byte
	err = row.Scan(&i.Organization, &i.ID, &hash, &i.Role, &i.Note, &i.InvitedBy, &i.CreatedAt, &i.ExpiresAt, &i.First)
	copy(i.Hash[:], hash)
	return i, err
}

// ScanOrganization reads an organization, its feature, and when it was made.
func ScanOrganization(row Row) (o Organization, err error) {
	err = row.Scan(&o.ID, &o.Actito, &o.CreatedAt)
	return o, err
}

// ScanChange reads ChangeColumns.
func ScanChange(row Row) (c Change, err error) {
	var id []byte
	var details string
	if err := row.Scan(&c.Organization, &id, &c.Integration, &c.At, &c.By, &c.Action, &details); err != nil {
		return c, err
	}
	c.ID = ID(id)
	return c, FromJSON(details, &c.Details)
}

// ScanHeader reads HeaderColumns of an organization's event.
func ScanHeader(organization string) func(Row) (Event, error) {
	return func(row Row) (Event, error) {
		e := Event{Organization: organization}
		var id, person []byte
		if err := row.Scan(&id, &e.Type, &e.EntityID, &person, &e.Regulation, &e.ConsentAt, &e.ArrivedAt, &e.Outcome); err != nil {
			return e, err
		}
		e.ID = ID(id)
		copy(e.Person[:], person)
		return e, nil
	}
}
