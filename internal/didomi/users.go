package didomi

import (
	"context"
	"encoding/json"
	"net/url"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

const (
	usersOp  = "didomi.Users"
	eventsOp = "didomi.EventsOf"
	// mostEventPages bounds how many pages of one person's events are read.
	mostEventPages = 50
)

// Users gives a page of the organization's users under a regulation, as Didomi
// shows them, from a cursor on; next is empty at the end. Didomi documents neither
// an order nor a filter by date, pages of 100, and the cursor
// (https://developers.didomi.io/api-and-platform/consents/users/query-user).
func (c *Client) Users(ctx context.Context, regulation, cursor string) (page []json.RawMessage, next string, err error) {
	path := "/consents/users?organization_id=" + url.QueryEscape(c.organization) + "&regulation=" + url.QueryEscape(regulation)
	if cursor != "" {
		path += "&$cursor=" + url.QueryEscape(cursor)
	}
	return c.list(ctx, call{op: usersOp, path: path})
}

// EventsOf gives the confirmed events of a person under a regulation, as Didomi
// shows them (https://developers.didomi.io/api-and-platform/consents/events/query-consent-events).
func (c *Client) EventsOf(ctx context.Context, organizationUserID, regulation string) (all []json.RawMessage, err error) {
	path := "/consents/events?organization_id=" + url.QueryEscape(c.organization) + "&regulation=" + url.QueryEscape(regulation) +
		"&organization_user_id=" + url.QueryEscape(organizationUserID)
	cursor := ""
	for range mostEventPages {
		req := call{op: eventsOp, path: path, private: []string{organizationUserID}}
		if cursor != "" {
			req.path += "&$cursor=" + url.QueryEscape(cursor)
		}
		page, next, err := c.list(ctx, req)
		if err != nil {
			return nil, err
		}
		if all = append(all, page...); next == "" {
			return all, nil
		}
		cursor = next
	}
	return all, nil
}

// list reads a page of a list. Didomi's guides show {data, cursor}, its OpenAPI
// has a bare array: both are read. A cursor may be a text or a number.
func (c *Client) list(ctx context.Context, req call) (page []json.RawMessage, next string, err error) {
	var answer []byte
	err = c.tokens.Try(ctx, func(token string) error {
		resp, err := c.do(ctx, req, token)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if answer, err = outbound.ReadBody(resp, maxAnswer); err != nil {
			return outbound.Classify(req.op, err)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	page, next, ok := parseList(answer)
	if !ok {
		return nil, "", consent.Errorf(consent.Transient, req.op, "Didomi's answer is not a list")
	}
	return page, next, nil
}

// parseList reads the answer of a list; next is empty at the end.
func parseList(answer []byte) (page []json.RawMessage, next string, ok bool) {
	if json.Unmarshal(answer, &page) == nil && page != nil {
		return page, "", true
	}
	var list struct {
		Data   []json.RawMessage `json:"data"`
		Cursor json.RawMessage   `json:"cursor"`
	}
	if json.Unmarshal(answer, &list) != nil || list.Data == nil {
		return nil, "", false
	}
	if json.Unmarshal(list.Cursor, &next) != nil && len(list.Cursor) > 0 && string(list.Cursor) != "null" {
		next = string(list.Cursor)
	}
	return list.Data, next, true
}
