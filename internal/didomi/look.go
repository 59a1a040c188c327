package didomi

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"consentsync/internal/assumption"
)

// Look makes some eight calls that change nothing, and judges by their answers
// every assumption about Didomi. The regulation is one that the organization has.
// The client has to be a fresh one, as one that has a session already does not
// show how it is had.
func (c *Client) Look(ctx context.Context, regulation string) []assumption.Checked {
	s := &sight{}
	c.lookAround(ctx, s, regulation)
	return assumption.Judge(assumed, s)
}

// Assumed lists what is assumed about Didomi.
func Assumed() []assumption.Assumption { return assumption.Plain(assumed) }

// sight is what was seen.
type sight struct {
	session, stranger, users, secondPage assumption.Call
	events, event, noEvent, purposes     assumption.Call

	token    string
	page     []json.RawMessage // of users
	cursor   string            // after it
	second   []json.RawMessage // page of users
	person   string            // whose events were read
	hisOwn   []json.RawMessage // events
	purposed []Purpose
}

func (c *Client) lookAround(ctx context.Context, s *sight, regulation string) {
	s.session = assumption.Watch(ctx, func(ctx context.Context) error {
		token, err := c.tokens.Get(ctx, c.tokens.Epoch())
		s.token = token.Value
		return err
	})
	if s.session.Err != nil {
		return
	}
	s.stranger = assumption.Watch(ctx, func(ctx context.Context) error {
		return c.finish(ctx, call{op: usersOp, path: "/consents/users?organization_id=" + url.QueryEscape(c.organization)}, "no-token-of-didomi")
	})
	s.users = assumption.Watch(ctx, func(ctx context.Context) (err error) {
		s.page, s.cursor, err = c.Users(ctx, regulation, "")
		return err
	})
	if s.cursor != "" {
		s.secondPage = assumption.Watch(ctx, func(ctx context.Context) (err error) {
			s.second, _, err = c.Users(ctx, regulation, s.cursor)
			return err
		})
	}
	s.purposes = assumption.Watch(ctx, func(ctx context.Context) (err error) {
		s.purposed, err = c.Purposes(ctx)
		return err
	})
	s.noEvent = assumption.Watch(ctx, func(ctx context.Context) error { return c.oneEvent(ctx, "consentsync-has-no-such-event") })
	if s.person = anybody(s.page); s.person == "" {
		return
	}
	s.events = assumption.Watch(ctx, func(ctx context.Context) (err error) {
		s.hisOwn, err = c.EventsOf(ctx, s.person, regulation)
		return err
	})
	if id := idOf(s.hisOwn); id != "" {
		s.event = assumption.Watch(ctx, func(ctx context.Context) error { return c.oneEvent(ctx, id) })
	}
}

func (c *Client) oneEvent(ctx context.Context, id string) error {
	return c.tokens.Try(ctx, func(token string) error { return c.finish(ctx, c.eventCall(id), token) })
}

// anybody gives the organization_user_id of the first user that has one.
func anybody(page []json.RawMessage) string {
	for _, raw := range page {
		var u struct {
			ID string `json:"organization_user_id"`
		}
		if json.Unmarshal(raw, &u) == nil && u.ID != "" {
			return u.ID
		}
	}
	return ""
}

// idOf gives the id of the first event that has one.
func idOf(events []json.RawMessage) string {
	for _, raw := range events {
		var e struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(raw, &e) == nil && e.ID != "" {
			return e.ID
		}
	}
	return ""
}

// errNoObject is of a row that is no object.
var errNoObject = errors.New("a row is no object")

// rowsOf decodes rows of a list.
func rowsOf(raws []json.RawMessage) (rows []map[string]any, err error) {
	for _, raw := range raws {
		var row map[string]any
		if json.Unmarshal(raw, &row) != nil || row == nil {
			return nil, errNoObject
		}
		rows = append(rows, row)
	}
	return rows, nil
}
