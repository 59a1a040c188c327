package actito

import (
	"cmp"
	"context"
	"slices"

	"consentsync/internal/consent"
)

// dialect is how a version of the API reads and writes one profile. What is
// given to it was checked. Its methods are those of Client with the same names.
type dialect interface {
	read(ctx context.Context, c *Client, ref Ref) (Profile, error)
	update(ctx context.Context, c *Client, ref Ref, change Change) error
	create(ctx context.Context, c *Client, ref Ref, change Change) error
}

func (c *Client) dialect(ref Ref) dialect {
	if ref.Dialect == DialectV4 {
		return v4{}
	}
	return c.api
}

// path gives where the addresses of profiles begin.
func (r Ref) path(usual string) string { return cmp.Or(r.Path, usual) }

// key writes the profile's key as a segment of a path.
func (r Ref) key() string { return segment(r.KeyAttribute) + "=" + segment(r.Key) }

// Read gives what Actito holds about one profile. The error is NotFound when
// Actito answers 404, which it also does for other reasons.
func (c *Client) Read(ctx context.Context, ref Ref) (Profile, error) {
	if err := ref.check("actito.Read"); err != nil {
		return Profile{}, err
	}
	return c.dialect(ref).read(ctx, c, ref)
}

// Update changes what the change names, and nothing else. The error is
// NotFound when there is no such profile.
//
// In V4 a change of several things takes several calls, withdrawals first. An
// error after one of them was applied is Unclear.
func (c *Client) Update(ctx context.Context, ref Ref, change Change) error {
	if err := ref.check("actito.Update"); err != nil {
		return err
	}
	if len(change.Subscriptions)+len(change.Attributes) == 0 {
		return consent.Errorf(consent.Invalid, "actito.Update", "the change is empty")
	}
	return c.dialect(ref).update(ctx, c, ref, change)
}

// Create makes a profile, or updates it if it exists.
//
// It uses the create operation. Where V5's does not exist (405, 501, or 404
// although the profile is not there), the replacing PUT must do, which could
// blank what somebody else wrote into a profile made in the same moment. So
// the profile is read first, and updated if it is there by now; and it is read
// back, and updated if a subscription differs from what was asked. What is
// left is an import that makes the profile in the milliseconds between the
// first read and the PUT: its values can be lost, and nobody can see it.
//
// Whether V4's takes subscriptions is inferred: they are read back, and those
// that differ are written.
func (c *Client) Create(ctx context.Context, ref Ref, change Change) error {
	if err := ref.check("actito.Create"); err != nil {
		return err
	}
	return c.dialect(ref).create(ctx, c, ref, change)
}

// get makes a call that reads a profile.
func (c *Client) get(ctx context.Context, req call) (Profile, error) {
	body, err := c.call(ctx, req)
	if err != nil {
		return Profile{}, err
	}
	profile, err := parseProfile(body)
	return profile, unreadable(req.op, err)
}

// write makes a call that changes a profile.
func (c *Client) write(ctx context.Context, req call, ref Ref) error {
	body, err := c.call(ctx, req)
	if err != nil || ref.Told == nil {
		return err
	}
	// V4 answers {"profileId": 7}; of V5 it is not known.
	if answer, err := decodeObject(body); err == nil {
		if id := text(field(answer, ProfileID)); id != "" {
			ref.Told(id)
		}
	}
	return nil
}

// updateExisting is Update, for a profile known to exist: with nothing to
// change, there is nothing to do.
func (c *Client) updateExisting(ctx context.Context, ref Ref, change Change) error {
	if len(change.Subscriptions)+len(change.Attributes) == 0 {
		return nil
	}
	return c.Update(ctx, ref, change)
}

// after is an error that came once something had been applied, so that it may
// not say that nothing was.
func after(op, message string, err error) error {
	return &consent.Error{Kind: consent.Unclear, Op: op, Err: err, RetryAfter: consent.RetryAfter(err), Message: message}
}

func (r Ref) check(op string) error {
	if r.KeyAttribute == "" || r.Key == "" {
		return consent.Errorf(consent.Invalid, op, "the profile's key is empty")
	}
	table := r.TableID
	if r.Dialect == DialectV4 {
		table = r.TableName
	}
	return checkSegments(op, "entity", r.Entity, "table", table)
}

// checkSegments refuses names that cannot stand alone in a path: an empty one
// would address the collection, and servers resolve dots even when encoded.
func checkSegments(op string, pairs ...string) error {
	for pair := range slices.Chunk(pairs, 2) {
		switch what, segment := pair[0], pair[1]; segment {
		case "":
			return consent.Errorf(consent.Invalid, op, "the %s is empty", what)
		case ".", "..":
			return consent.Errorf(consent.Invalid, op, "the %s cannot be %q", what, segment)
		}
	}
	return nil
}

// unreadable is the error of a read whose answer makes no sense. It keeps the
// parser's text, which names no value of the answer.
func unreadable(op string, err error) error {
	if err == nil {
		return nil
	}
	return &consent.Error{
		Kind: consent.Transient, Op: op, Err: err,
		Message: "Actito's answer could not be understood",
	}
}

func unwritable(op string, err error) error {
	return &consent.Error{
		Kind: consent.Invalid, Op: op, Err: err,
		Message: "the change cannot be written as JSON",
	}
}
