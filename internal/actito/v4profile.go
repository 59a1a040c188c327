package actito

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

// v4 is version 4 of Actito's API for single profiles, which V5 replaces. The
// package comment says what of it is documented and what is guessed.
//
// Subscriptions are written with calls of their own, each of which two public
// clients make alike: that the body of a PUT may hold them too is nowhere shown,
// and a withdrawal in it might be answered with 200 and passed over.
type v4 struct{}

func (d v4) profiles(ref Ref) string {
	return ref.path("/profiles/v4") + "/entity/" + segment(ref.Entity) + "/table/" + segment(ref.TableName) + "/profile"
}

func (d v4) profile(ref Ref) string { return d.profiles(ref) + "/" + ref.key() }

func (d v4) subscriptions(ref Ref) string { return d.profile(ref) + "/subscription" }

// read asks for the subscriptions apart where the profile lists none: they have
// an address of their own, and an empty list may only say that.
func (d v4) read(ctx context.Context, c *Client, ref Ref) (Profile, error) {
	profile, err := d.find(ctx, c, ref)
	if err != nil || len(profile.Subscriptions) > 0 {
		return profile, err
	}
	profile.Subscriptions, err = d.held(ctx, c, ref)
	return profile, err
}

// find reads a profile without looking further for its subscriptions.
func (d v4) find(ctx context.Context, c *Client, ref Ref) (Profile, error) {
	return c.get(ctx, call{op: "actito.Read", method: http.MethodGet, path: d.profile(ref), private: []string{ref.Key}})
}

// held reads a profile's subscriptions. One that is not told is off.
func (d v4) held(ctx context.Context, c *Client, ref Ref) (map[string]bool, error) {
	req := call{op: "actito.Read", method: http.MethodGet, path: d.subscriptions(ref), private: []string{ref.Key}}
	body, err := c.call(ctx, req)
	if err != nil {
		return nil, err
	}
	told, err := parseHeld(body)
	return told, unreadable(req.op, err)
}

// parseHeld reads a profile's subscriptions: an object that has them, as public
// clients read it, or the bare list.
func parseHeld(body []byte) (map[string]bool, error) {
	answer, err := decode(body)
	if err != nil {
		return nil, err
	}
	if list, bare := answer.([]any); bare {
		answer = map[string]any{"subscriptions": list}
	}
	object, _ := answer.(map[string]any)
	profile, err := profileIn(object)
	if err == nil && profile.Subscriptions == nil {
		err = errors.New("the answer holds no subscriptions")
	}
	return profile.Subscriptions, err
}

// v4write is one call that writes: of a subscription, or of the attributes.
type v4write struct {
	call
	subscription string // empty for the attributes
	on           bool
}

// update makes a call for each subscription, withdrawals first, and one for the
// attributes.
func (d v4) update(ctx context.Context, c *Client, ref Ref, change Change) error {
	writes, err := d.writes(ref, change)
	if err != nil {
		return err
	}
	for n, w := range writes {
		err := d.one(ctx, c, ref, w, n == 0)
		if err != nil && n > 0 {
			return after(w.op, "a part of the change was applied, and what followed was not: "+consent.MessageOf(err), err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d v4) writes(ref Ref, change Change) ([]v4write, error) {
	var writes []v4write
	for _, on := range []bool{false, true} {
		method := map[bool]string{false: http.MethodDelete, true: http.MethodPost}[on]
		for _, name := range sortedKeys(change.Subscriptions) {
			if change.Subscriptions[name] != on {
				continue
			}
			if err := checkSegments("actito.Update", "subscription", name); err != nil {
				return nil, err
			}
			req := call{op: "actito.Update", method: method, path: d.subscriptions(ref) + "/" + segment(name), private: []string{ref.Key}}
			writes = append(writes, v4write{req, name, on})
		}
	}
	if len(change.Attributes) == 0 {
		return writes, nil
	}
	req, err := d.body("actito.Update", http.MethodPut, d.profile(ref), ref, Change{Attributes: change.Attributes})
	return append(writes, v4write{call: req}), err
}

// one makes one of the calls of an update; unsure says that nothing has shown
// yet that the profile is there.
func (d v4) one(ctx context.Context, c *Client, ref Ref, w v4write, unsure bool) error {
	if w.subscription == "" && unsure {
		// A PUT might make the profile: Actito says that of PUT in general.
		if _, err := d.find(ctx, c, ref); err != nil && consent.KindOf(err) != consent.Forbidden {
			return err
		}
	}
	err := c.write(ctx, w.call, ref)
	if w.subscription != "" && outbound.StatusOf(err) == http.StatusNotFound {
		return d.notFound(ctx, c, ref, w, err)
	}
	return err
}

// notFound tells what a 404 to a subscription means: that there is no profile,
// that there is no such subscription, or that the profile does not have it, which
// is what a withdrawal wants.
func (d v4) notFound(ctx context.Context, c *Client, ref Ref, w v4write, cause error) error {
	told, err := d.held(ctx, c, ref)
	switch kind := consent.KindOf(err); {
	case err != nil && (kind == consent.NotFound || kind == consent.Forbidden):
		return cause
	case err != nil:
		return err
	case w.on:
		return &consent.Error{
			Kind: consent.Invalid, Op: w.op, Err: errors.New("HTTP 404"), Message: fmt.Sprintf("there is a profile, and no subscription %q for it (404)", w.subscription),
		}
	case !told[w.subscription]:
		return nil
	}
	return &consent.Error{
		Kind: consent.Transient, Op: w.op, Err: errors.New("HTTP 404"),
		Message: fmt.Sprintf("Actito does not find the subscription %q, of which it does not say that it is off (404)", w.subscription),
	}
}

// create asks for a profile to be made and for none to be changed: which profile
// is meant shows in the attributes alone, and one that had another unique value
// of them would be somebody else's.
func (d v4) create(ctx context.Context, c *Client, ref Ref, change Change) error {
	req, err := d.body("actito.Create", http.MethodPost, d.profiles(ref)+"?allowUpdate=false", ref, change)
	if err != nil {
		return err
	}
	err = c.write(ctx, req, ref)
	switch consent.KindOf(err) {
	case consent.Invalid, consent.Conflict:
		// What is answered where the profile exists is not known.
		if _, readErr := d.find(ctx, c, ref); readErr != nil {
			return err
		}
		return c.updateExisting(ctx, ref, change)
	}
	if err != nil || len(change.Subscriptions) == 0 {
		return err
	}
	if err := d.settle(ctx, c, ref, change.Subscriptions); err != nil {
		return after(req.op, "the profile was made, and its subscriptions could not be seen to: "+consent.MessageOf(err), err)
	}
	return nil
}

// settle reads back the subscriptions of a profile that was made, and writes
// those that are not as wanted.
func (d v4) settle(ctx context.Context, c *Client, ref Ref, wanted map[string]bool) error {
	told, err := d.held(ctx, c, ref)
	if err != nil {
		return err
	}
	differ := Change{Subscriptions: map[string]bool{}}
	for name, want := range wanted {
		if told[name] != want {
			differ.Subscriptions[name] = want
		}
	}
	return c.updateExisting(ctx, ref, differ)
}

// v4Body is the body of a write. Attributes have texts for values, as in answers.
type v4Body struct {
	Attributes    []v4Attribute    `json:"attributes"`
	Subscriptions []v4Subscription `json:"subscriptions,omitempty"`
}

type v4Attribute struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

type v4Subscription struct {
	Name      string `json:"name"`
	Subscribe bool   `json:"subscribe"`
}

// body builds a call with a body. That of a new profile begins with its key.
func (d v4) body(op, method, path string, ref Ref, change Change) (call, error) {
	req := call{op: op, method: method, path: path, private: []string{ref.Key}}
	var body v4Body
	if method == http.MethodPost {
		body.Attributes = append(body.Attributes, v4Attribute{ref.KeyAttribute, ref.Key})
	}
	for _, name := range sortedKeys(change.Attributes) {
		if name == ref.KeyAttribute && method == http.MethodPost {
			continue
		}
		value, err := asTexts(change.Attributes[name])
		if err != nil {
			return req, unwritable(op, err)
		}
		body.Attributes = append(body.Attributes, v4Attribute{name, value})
		req.private = append(req.private, leaves(value)...)
	}
	for _, name := range sortedKeys(change.Subscriptions) {
		body.Subscriptions = append(body.Subscriptions, v4Subscription{name, change.Subscriptions[name]})
	}
	req.body, _ = json.Marshal(body) // texts always can be
	return req, nil
}

// asTexts writes a value, or each of a list, as text. No value stays none.
func asTexts(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	decoded, err := decode(raw)
	switch v := decoded.(type) {
	case nil:
		return nil, err
	case map[string]any:
		return nil, errors.New("an attribute's value is an object")
	case []any:
		for i, element := range v {
			v[i] = scalar(element)
		}
	default:
		return scalar(v), nil
	}
	return decoded, nil
}
