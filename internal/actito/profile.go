package actito

import (
	"context"
	"net/http"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

// Read gives what Actito holds about one profile. The error is NotFound when
// Actito answers 404, which it also does for other reasons.
func (c *Client) Read(ctx context.Context, ref Ref) (Profile, error) {
	if err := ref.check("actito.Read"); err != nil {
		return Profile{}, err
	}
	req := c.api.read(ref)
	body, err := c.call(ctx, req)
	if err != nil {
		return Profile{}, err
	}
	profile, err := c.api.parseProfile(body)
	return profile, unreadable(req.op, err)
}

// Update changes what the change names, and nothing else. The error is
// NotFound when there is no such profile.
func (c *Client) Update(ctx context.Context, ref Ref, change Change) error {
	if err := ref.check("actito.Update"); err != nil {
		return err
	}
	if len(change.Subscriptions)+len(change.Attributes) == 0 {
		return consent.Errorf(consent.Invalid, "actito.Update", "the change is empty")
	}
	req, err := c.api.update(ref, change)
	if err != nil {
		return unwritable(req.op, err)
	}
	return c.write(ctx, req, ref)
}

// write makes a call that changes a profile.
func (c *Client) write(ctx context.Context, req call, ref Ref) error {
	body, err := c.call(ctx, req)
	if err != nil || ref.Told == nil {
		return err
	}
	// V4 answered {"profileId": 7}; of V5 it is not known.
	if answer, err := decodeObject(body); err == nil {
		if id := text(field(answer, ProfileID)); id != "" {
			ref.Told(id)
		}
	}
	return nil
}

// Create makes a profile, or updates it if it exists.
//
// It uses the create operation. Where that does not exist (405, 501, or 404
// although the profile is not there), the replacing PUT must do, which could
// blank what somebody else wrote into a profile made in the same moment. So
// the profile is read first, and updated if it is there by now; and it is read
// back, and updated if a subscription differs from what was asked. What is
// left is an import that makes the profile in the milliseconds between the
// first read and the PUT: its values can be lost, and nobody can see it.
func (c *Client) Create(ctx context.Context, ref Ref, change Change) error {
	const op = "actito.Create"
	if err := ref.check(op); err != nil {
		return err
	}
	if c.noPost.Load() {
		return c.replace(ctx, ref, change)
	}
	req, err := c.api.create(ref, change)
	if err != nil {
		return unwritable(op, err)
	}
	err = c.write(ctx, req, ref)
	switch outbound.StatusOf(err) {
	case http.StatusConflict:
		updateErr := c.updateExisting(ctx, ref, change)
		if consent.KindOf(updateErr) == consent.NotFound {
			// What exists is another profile, with the same value in some
			// other unique attribute.
			return err
		}
		return updateErr
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return c.replace(ctx, ref, change)
	}
	return err
}

// replace is Create without the create operation.
func (c *Client) replace(ctx context.Context, ref Ref, change Change) error {
	_, err := c.Read(ctx, ref)
	if err == nil {
		return c.updateExisting(ctx, ref, change)
	}
	if consent.KindOf(err) != consent.NotFound {
		return err
	}
	req, err := c.api.replace(ref, change)
	if err != nil {
		return unwritable(req.op, err)
	}
	if err := c.write(ctx, req, ref); err != nil {
		return err
	}
	// A 404 to the POST can have passing reasons. Only a PUT that worked where
	// the POST did not shows that there is no POST.
	c.noPost.Store(true)
	if err := c.settle(ctx, ref, change); err != nil {
		// The PUT was applied, so no error after it may say that nothing was.
		return &consent.Error{
			Kind: consent.Unclear, Op: req.op, Err: err, RetryAfter: consent.RetryAfter(err),
			Message: "the profile was made with a replacing PUT, and could not be checked after it",
		}
	}
	return nil
}

// settle reads a profile back and mends it if it is not as wanted.
func (c *Client) settle(ctx context.Context, ref Ref, change Change) error {
	back, err := c.Read(ctx, ref)
	if err != nil {
		return err
	}
	for name, want := range change.Subscriptions {
		if back.Subscriptions[name] != want {
			return c.updateExisting(ctx, ref, change)
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

func (r Ref) check(op string) error {
	if r.KeyAttribute == "" || r.Key == "" {
		return consent.Errorf(consent.Invalid, op, "the profile's key is empty")
	}
	return checkSegments(op, "entity", r.Entity, "table", r.TableID)
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
