package actito

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

// WebhookEvent names what Actito tells of. Others than these exist.
type WebhookEvent string

// The events that matter here.
const (
	WebhookUpdatedSubscription WebhookEvent = "UPDATED_SUBSCRIPTION"
	WebhookCreate              WebhookEvent = "CREATE"
)

// Subscription is one webhook: the wish to be told of one kind of event in one
// profile table.
type Subscription struct {
	ID        string
	TableID   string
	Event     WebhookEvent
	TargetURL string
	// Headers are sent along with each event; the secret that proves that it is
	// Actito is among them. In what Actito tells of a webhook, nil says that the
	// headers are not known: nothing may be concluded from that.
	Headers map[string]string
	Active  bool
}

// String names a webhook without its secrets.
func (s Subscription) String() string {
	return fmt.Sprintf("webhook %s of %s on table %s", s.ID, s.Event, s.TableID)
}

// GoString is what %#v prints.
func (s Subscription) GoString() string { return s.String() }

// LogValue is what a log shows.
func (s Subscription) LogValue() slog.Value { return slog.StringValue(s.String()) }

const (
	webhookPage  = 100 // asked for; Actito may give less
	webhookPages = 50
)

// Webhooks lists the webhooks on an entity's profile tables: all of them, or
// none and an error. Webhooks on other things are left out. The error is
// TooLarge when there are more pages than are read.
func (c *Client) Webhooks(ctx context.Context, entity string) ([]Subscription, error) {
	const op = "actito.Webhooks"
	if err := checkSegments(op, "entity", entity); err != nil {
		return nil, err
	}
	var all []Subscription
	seen := map[string]bool{}
	for page := range webhookPages {
		body, err := c.call(ctx, c.hooks.list(entity, page))
		if page > 0 && outbound.StatusOf(err) == http.StatusNotFound {
			return all, nil // there is no such page
		}
		if err != nil {
			return nil, err
		}
		list, err := c.hooks.parseList(body)
		if err != nil {
			return nil, unreadable(op, err)
		}
		// A page may be shorter than asked for and not the last, or the same
		// each time. The one that tells nothing new is the end in any case.
		news := false
		for _, s := range list {
			if seen[s.ID] {
				continue
			}
			news, seen[s.ID] = true, true
			if s.on == "" || strings.EqualFold(s.on, onProfileTable) {
				all = append(all, s.Subscription)
			}
		}
		if !news {
			return all, nil
		}
	}
	return nil, consent.Errorf(consent.TooLarge, op, "the entity has more webhooks than can be read")
}

// CreateWebhook makes a webhook and gives its id; the ID given counts for
// nothing. The error is Unclear when it may have been made: Webhooks shows
// whether it was.
func (c *Client) CreateWebhook(ctx context.Context, entity string, s Subscription) (id string, err error) {
	const op = "actito.CreateWebhook"
	if err := s.check(op, entity); err != nil {
		return "", err
	}
	req, err := c.hooks.create(entity, s)
	if err != nil {
		return "", unwritable(op, err)
	}
	err = c.tokens.Try(ctx, func(token string) error {
		resp, err := c.do(ctx, req, token)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		// What can be read of an answer that breaks off may still name the id.
		if id = c.hooks.parseCreated(resp.Header, outbound.ReadBrief(resp)); id == "" {
			return consent.Errorf(consent.Unclear, op,
				"Actito took the webhook, and its answer names no id (%d)", resp.StatusCode)
		}
		return nil
	})
	return id, err
}

// ReplaceWebhook makes the webhook of that id like the one given. The error is
// NotFound when there is none, and Unclear when it may have been replaced.
func (c *Client) ReplaceWebhook(ctx context.Context, entity string, s Subscription) error {
	const op = "actito.ReplaceWebhook"
	if err := s.check(op, entity); err != nil {
		return err
	}
	if err := checkSegments(op, "webhook's id", s.ID); err != nil {
		return err
	}
	req, err := c.hooks.replace(entity, s)
	if err != nil {
		return unwritable(op, err)
	}
	_, err = c.call(ctx, req)
	return err
}

// DeleteWebhook removes a webhook. The error is NotFound when there is none,
// which whoever wants it gone may take for success.
func (c *Client) DeleteWebhook(ctx context.Context, entity, id string) error {
	if err := checkSegments("actito.DeleteWebhook", "entity", entity, "webhook's id", id); err != nil {
		return err
	}
	_, err := c.call(ctx, c.hooks.remove(entity, id))
	return err
}

// check refuses what Actito is documented not to take, and what could not be
// sent to us as a header.
func (s Subscription) check(op, entity string) error {
	if err := checkSegments(op, "entity", entity, "table", s.TableID); err != nil {
		return err
	}
	if s.Event == "" {
		return consent.Errorf(consent.Invalid, op, "the webhook's event is empty")
	}
	u, err := url.Parse(s.TargetURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return consent.Errorf(consent.Invalid, op, "the webhook's target is not a URL that begins with https://")
	}
	for name, value := range s.Headers {
		if strings.EqualFold(name, "Content-Type") {
			return consent.Errorf(consent.Invalid, op, "a webhook's Content-Type cannot be chosen")
		}
		if name == "" || strings.ContainsFunc(name, notToken) || value == "" || strings.ContainsFunc(value, notPrintable) {
			return consent.Errorf(consent.Invalid, op, "the name or the value of one of the webhook's headers cannot be sent")
		}
	}
	return nil
}

// notToken tells which characters no header's name can have (RFC 9110, 5.6.2).
func notToken(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func notPrintable(r rune) bool { return r < ' ' || r > '~' }

// private lists what was sent and must not come back in an error.
func (s Subscription) private() []string {
	all := []string{s.TargetURL}
	if u, err := url.Parse(s.TargetURL); err == nil {
		password, _ := u.User.Password()
		all = append(all, password)
		for _, values := range u.Query() {
			all = append(all, values...)
		}
	}
	for _, value := range s.Headers {
		all = append(all, value)
		// A host may echo the part after the scheme alone.
		all = append(all, strings.Fields(value)...)
	}
	return slices.DeleteFunc(all, func(value string) bool { return value == "" })
}
