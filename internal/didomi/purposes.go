package didomi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

// Purpose is a purpose of the organization.
type Purpose struct {
	// ID is that by which events name it, as far as we can tell: the one of the
	// SDK where the purpose has one.
	ID string
	// Name is in any language, English if there is one; it may be empty.
	Name string
	// Type is Didomi's discriminator, "purpose" where it says nothing.
	Type string
}

const (
	purposesOp   = "didomi.Purposes"
	purposesPage = 100 // what Didomi's lists give at most
	mostPurposes = 5000
)

// Purposes lists the organization's purposes: GET /metadata/purposes of
// https://api.didomi.io/openapi.json. Preferences, their values and channels
// have no list there.
func (c *Client) Purposes(ctx context.Context) ([]Purpose, error) {
	var all []Purpose
	for len(all) < mostPurposes {
		page, err := c.purposesPage(ctx, len(all))
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < purposesPage {
			break
		}
	}
	return all, nil
}

func (c *Client) purposesPage(ctx context.Context, skip int) ([]Purpose, error) {
	req := call{op: purposesOp, path: fmt.Sprintf("/metadata/purposes?organization_id=%s&$limit=%d&$skip=%d", url.QueryEscape(c.organization), purposesPage, skip)}
	var answer []byte
	err := c.tokens.Try(ctx, func(token string) error {
		resp, err := c.do(ctx, req, token)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, failed := outbound.ReadBody(resp, maxAnswer)
		answer = body
		if failed != nil {
			return outbound.Classify(purposesOp, failed)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, ok := parsePurposes(answer)
	if !ok {
		return nil, consent.Errorf(consent.Transient, purposesOp, "Didomi's answer is not a list of purposes")
	}
	return page, nil
}

// parsePurposes reads a page of them.
func parsePurposes(answer []byte) (page []Purpose, ok bool) {
	var list struct {
		Data []struct {
			ID          string            `json:"id"`
			Type        string            `json:"type"`
			Description map[string]string `json:"description"`
			Namespaces  struct{ Didomi, Custom string }
		} `json:"data"`
	}
	if json.Unmarshal(answer, &list) != nil {
		return nil, false
	}
	for _, p := range list.Data {
		name := p.Description["en"]
		for _, language := range slices.Sorted(maps.Keys(p.Description)) {
			name = cmp.Or(name, p.Description[language])
		}
		page = append(page, Purpose{cmp.Or(p.Namespaces.Didomi, p.Namespaces.Custom, p.ID), name, cmp.Or(p.Type, "purpose")})
	}
	return page, true
}
