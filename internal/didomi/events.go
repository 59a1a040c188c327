package didomi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const (
	// maxBatch is how many events one call may hold
	// (https://developers.didomi.io/integrations/batch-import).
	maxBatch = 100
	// mostFailures is after how many events in a row that Didomi fails at it is
	// no longer the events that are suspected.
	mostFailures = 3
)

// outgoing is an event ready to be sent.
type outgoing struct {
	index  int // among those that CreateEvents was given
	id     string
	person string
	body   json.RawMessage
}

// CreateEvents creates events, at most 100 with one call, and asks Didomi not to
// tell its integrations, ourselves among them. It may be repeated with the same
// events: Didomi creates none twice.
//
// It gives an error for each event, nil where the event is in Didomi now.
// Invalid means that this event is refused; Unclear that it may be there;
// everything else that it is not, for a reason that is not the event's. Err is
// such a reason, or Unclear, when the work ended with it: it stands for each
// event of the call that failed, and those after it were not sent.
//
// What Didomi does with a list of which one event is bad is not documented. So
// when a list is refused, or its answer leaves events out, these are sent one
// by one.
func (c *Client) CreateEvents(ctx context.Context, events []Event) (each []error, err error) {
	each = make([]error, len(events))
	var ready []outgoing
	for i, e := range events {
		body, err := e.encode()
		if err != nil {
			each[i] = err
			continue
		}
		ready = append(ready, outgoing{i, e.ID, e.OrganizationUserID, body})
	}
	for len(ready) > 0 && err == nil {
		batch := ready[:min(len(ready), maxBatch)]
		ready = ready[len(batch):]
		err = c.createBatch(ctx, batch, each)
	}
	leave(ready, each, err)
	return each, err
}

func (c *Client) createBatch(ctx context.Context, batch []outgoing, each []error) error {
	if len(batch) == 1 {
		return c.createSingly(ctx, batch, each)
	}
	answer, err := c.send(ctx, batch)
	switch consent.KindOf(err) {
	case consent.Invalid, consent.Conflict:
		return c.createSingly(ctx, batch, each)
	}
	if err == nil {
		return c.createSingly(ctx, leftOut(batch, answer), each)
	}
	for _, e := range batch {
		each[e.index] = err
	}
	return err
}

// createSingly sends events one by one. One that is refused stops no other, and
// neither does one that Didomi fails at, unless that happens again and again.
func (c *Client) createSingly(ctx context.Context, batch []outgoing, each []error) error {
	var failed error // of the last events
	failures := 0
	for i, e := range batch {
		_, err := c.send(ctx, batch[i:i+1])
		if consent.KindOf(err) == consent.Conflict {
			err = c.confirm(ctx, e)
		}
		each[e.index] = err
		switch {
		case err == nil, consent.KindOf(err) == consent.Invalid, outbound.StatusOf(err) == http.StatusConflict:
			failed, failures = nil, 0
			continue
		case outbound.StatusOf(err) >= 500 && failures+1 < mostFailures:
			failed, failures = err, failures+1
			continue
		}
		leave(batch[i+1:], each, err)
		return err
	}
	return failed
}

// confirm looks whether an event is there that Didomi answered to exist. That
// answer may be about something else, such as the version of the user, and a
// withdrawal must not get lost over it. Where events cannot be read by the key
// the answer has to be believed.
func (c *Client) confirm(ctx context.Context, e outgoing) error {
	req := c.eventCall(e.id)
	req.private = []string{e.person}
	err := c.tokens.Try(ctx, func(token string) error { return c.finish(ctx, req, token) })
	switch {
	case err == nil:
		return nil
	case outbound.StatusOf(err) == http.StatusNotFound:
		return &consent.Error{
			Kind: consent.Unclear, Op: createOp, Err: outbound.Status(http.StatusConflict),
			Message: "Didomi answers that the event contradicts something that it holds (409), but does not show the event",
		}
	case consent.KindOf(err) == consent.Forbidden, consent.KindOf(err) == consent.Invalid:
		return nil
	}
	return &consent.Error{
		Kind: consent.Unclear, Op: createOp, RetryAfter: consent.RetryAfter(err), Err: err,
		Message: "Didomi answers that the event exists, which could not be confirmed: " + consent.MessageOf(err),
	}
}

// eventCall reads one event.
func (c *Client) eventCall(id string) call {
	return call{op: createOp, path: "/consents/events/" + url.PathEscape(id) + "?organization_id=" + url.QueryEscape(c.organization)}
}

// leave says of events that they were not sent, because of err.
func leave(unsent []outgoing, each []error, err error) {
	if err == nil {
		return
	}
	kind := consent.KindOf(err)
	if kind == consent.Unclear {
		kind = consent.Transient
	}
	for _, e := range unsent {
		each[e.index] = &consent.Error{
			Kind: kind, Op: createOp, RetryAfter: consent.RetryAfter(err),
			Message: "not sent, since the call before failed: " + consent.MessageOf(err),
		}
	}
}

// send makes one call, with one event as itself and several as a list. It gives
// the answer to a list, nil where it cannot be read: the status alone says that
// the call was a success.
func (c *Client) send(ctx context.Context, batch []outgoing) (answer []byte, err error) {
	req := call{
		op:   createOp,
		path: "/consents/events?organization_id=" + url.QueryEscape(c.organization) + "&$disable_integrations=true",
		body: batch[0].body,
	}
	if len(batch) > 1 {
		bodies := make([]json.RawMessage, len(batch))
		for i, e := range batch {
			bodies[i] = e.body
		}
		if req.body, err = json.Marshal(bodies); err != nil {
			return nil, fmt.Errorf("%s: %w", createOp, err)
		}
	}
	for _, e := range batch {
		req.private = append(req.private, e.person)
	}
	err = c.tokens.Try(ctx, func(token string) error {
		if len(batch) == 1 {
			return c.finish(ctx, req, token)
		}
		resp, err := c.do(ctx, req, token)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		answer, _ = outbound.ReadBody(resp, maxAnswer)
		return nil
	})
	return answer, err
}

// finish makes a call of which the status alone is the answer.
func (c *Client) finish(ctx context.Context, req call, token string) error {
	resp, err := c.do(ctx, req, token)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	outbound.ReadBrief(resp)
	return nil
}

// leftOut gives the events that the answer to a list does not name, or names as
// refused. An answer that is no list of events, each with an id, and refusals
// tells nothing of single ones.
func leftOut(batch []outgoing, answer []byte) []outgoing {
	var list []struct {
		ID   string `json:"id"`
		Code int    `json:"code"` // of a refusal
	}
	if !bytes.HasPrefix(bytes.TrimSpace(answer), []byte("[")) || json.Unmarshal(answer, &list) != nil {
		return nil
	}
	named := make(map[string]bool, len(list))
	for _, e := range list {
		if e.ID == "" && e.Code == 0 {
			return nil
		}
		named[e.ID] = e.Code == 0
	}
	var rest []outgoing
	for _, e := range batch {
		if !named[e.id] {
			rest = append(rest, e)
		}
	}
	return rest
}
