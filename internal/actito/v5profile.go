package actito

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

func (d v5) profiles(ref Ref) string {
	return ref.path("/profiles/v5") + "/entities/" + segment(ref.Entity) + "/profile-tables/" + segment(ref.TableID) + "/profiles"
}

func (d v5) profile(ref Ref) string { return d.profiles(ref) + "/" + ref.key() }

func (d v5) read(ctx context.Context, c *Client, ref Ref) (Profile, error) {
	return c.get(ctx, call{op: "actito.Read", method: http.MethodGet, path: d.profile(ref), private: []string{ref.Key}})
}

func (d v5) update(ctx context.Context, c *Client, ref Ref, change Change) error {
	req, err := d.write("actito.Update", http.MethodPatch, d.profile(ref), ref,
		v5Body{Attributes: change.Attributes, Subscriptions: change.Subscriptions})
	if err != nil {
		return unwritable(req.op, err)
	}
	return c.write(ctx, req, ref)
}

func (d v5) create(ctx context.Context, c *Client, ref Ref, change Change) error {
	if c.noPost.Load() {
		return d.replace(ctx, c, ref, change)
	}
	req, err := d.write("actito.Create", http.MethodPost, d.profiles(ref), ref, whole(ref, change))
	if err != nil {
		return unwritable(req.op, err)
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
		return d.replace(ctx, c, ref, change)
	}
	return err
}

// replace is create without the create operation.
func (d v5) replace(ctx context.Context, c *Client, ref Ref, change Change) error {
	_, err := c.Read(ctx, ref)
	if err == nil {
		return c.updateExisting(ctx, ref, change)
	}
	if consent.KindOf(err) != consent.NotFound {
		return err
	}
	req, err := d.write("actito.Create", http.MethodPut, d.profiles(ref), ref, whole(ref, change))
	if err != nil {
		return unwritable(req.op, err)
	}
	if err := c.write(ctx, req, ref); err != nil {
		return err
	}
	// A 404 to the POST can have passing reasons. Only a PUT that worked where
	// the POST did not shows that there is no POST.
	c.noPost.Store(true)
	if err := d.settle(ctx, c, ref, change); err != nil {
		return after(req.op, "the profile was made with a replacing PUT, and could not be checked after it", err)
	}
	return nil
}

// settle reads a profile back and mends it if it is not as wanted.
func (d v5) settle(ctx context.Context, c *Client, ref Ref, change Change) error {
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

// v5Body is the body of every write. Of an update only what it holds changes.
type v5Body struct {
	Key           map[string]any  `json:"key,omitempty"`
	Attributes    map[string]any  `json:"attributes,omitempty"`
	Subscriptions map[string]bool `json:"subscriptions,omitempty"`
}

// whole is the body that makes a profile: the key stands beside the attributes
// and among them.
func whole(ref Ref, change Change) v5Body {
	attributes := map[string]any{}
	maps.Copy(attributes, change.Attributes)
	// A number given for the key stays a number.
	if given, ok := attributes[ref.KeyAttribute]; !ok || fmt.Sprint(given) != ref.Key {
		attributes[ref.KeyAttribute] = ref.Key
	}
	return v5Body{
		Key:        map[string]any{ref.KeyAttribute: attributes[ref.KeyAttribute]},
		Attributes: attributes, Subscriptions: change.Subscriptions,
	}
}

func (d v5) write(op, method, path string, ref Ref, body v5Body) (call, error) {
	req := call{op: op, method: method, path: path, private: []string{ref.Key}}
	var err error
	if req.body, err = json.Marshal(body); err != nil {
		return req, err
	}
	// What was sent is read from the JSON, so that types of any kind count.
	sent, err := decodeObject(req.body)
	if err == nil {
		req.private = append(req.private, leaves(sent["attributes"])...)
	}
	return req, err
}

// leaves lists the strings and numbers in a value.
func leaves(v any) []string {
	switch v := v.(type) {
	case map[string]any:
		var all []string
		for _, inner := range v {
			all = append(all, leaves(inner)...)
		}
		return all
	case []any:
		var all []string
		for _, inner := range v {
			all = append(all, leaves(inner)...)
		}
		return all
	}
	if s := text(v); s != "" {
		return []string{s}
	}
	return nil
}
