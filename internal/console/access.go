package console

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"

	"consentsync/internal/accounts"
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// accessData is what the page is drawn from that lets programs in: Didomi, by
// its webhooks, and whatever calls the API.
type accessData struct {
	*Form   // of a new key
	Clients []*accounts.WebhookClientView
	Keys    []keyRow
	Next    string
	// What was made just now, with its secret.
	Key    *accounts.APIKeyView
	Client *accounts.WebhookClientView
	// Rotated tells that the client was there, and has another secret.
	Rotated bool
	// Webhook and Token are the addresses that Didomi has to know.
	Webhook, Token string
}

// keyRow is a key of the API.
type keyRow struct {
	accounts.APIKeyView
	Ended bool
}

// OfPlatform tells whether these are keys to all organizations: Didomi calls
// each one by itself.
func (v *visit) OfPlatform() bool { return v.Organization == store.Everywhere }

// reached gives the address at which the reader of a page reaches us.
func (c *Console) reached(r *http.Request) string { return cmp.Or(c.PublicURL, "http://"+r.Host) }

func newKeyForm() *Form { return newForm("role", string(accounts.Viewer), "expires_in_days", "90") }

func (c *Console) accessPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showAccess(w, r, v, accessData{Form: newKeyForm()})
}

func (c *Console) showAccess(w http.ResponseWriter, r *http.Request, v *visit, data accessData) error {
	data.Webhook, data.Token = c.reached(r)+"/webhooks/didomi/"+url.PathEscape(v.Organization), c.reached(r)+"/oauth/token"
	var err error
	if !v.OfPlatform() {
		if data.Clients, err = c.Accounts.WebhookClients(r.Context(), v.Organization); err != nil {
			return err
		}
	}
	keys, next, err := c.Accounts.APIKeys(r.Context(), v.Organization, r.URL.Query().Get("after"), listed)
	if err != nil {
		return err
	}
	data.Next = next
	for _, k := range keys {
		data.Keys = append(data.Keys, keyRow{k, k.ExpiresAt <= consent.TimeOf(c.Now())})
	}
	c.show(w, r, v, data.status(), "access", "Access", data)
	return nil
}

// addKey makes a key of the API, which is shown in this answer alone.
func (c *Console) addKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	days, err := strconv.Atoi(f.Get("expires_in_days"))
	if err != nil {
		days = 0 // as much out of bounds as what is no number
	}
	key, err := c.Accounts.AddAPIKey(v.acting(r), v.Organization, accounts.NewAPIKey{Name: f.Get("name"), Role: f.Get("role"), Days: &days})
	if err != nil && !f.refused(err) {
		return err
	}
	if err == nil {
		f = newKeyForm()
	}
	return c.showAccess(w, r, v, accessData{Form: f, Key: key})
}

func (c *Console) revokeKey(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Accounts.RevokeAPIKey(v.acting(r), v.Organization, r.PathValue("key_id")); err != nil {
		return err
	}
	done(w, r, v.Base()+"/access", "revoked")
	return nil
}

// addClient makes credentials of Didomi's, whose secret is shown in this answer
// alone.
func (c *Console) addClient(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	client, err := c.Accounts.AddWebhookClient(v.acting(r), v.Organization, f.Get("kind"))
	if err != nil {
		return err
	}
	return c.showAccess(w, r, v, accessData{Form: newKeyForm(), Client: client})
}

// rotateClient gives credentials of Didomi's another secret, shown in this answer
// alone.
func (c *Console) rotateClient(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	hours, err := strconv.Atoi(f.Get("previous_for_hours"))
	if err != nil {
		hours = -1
	}
	client, err := c.Accounts.RotateWebhookClient(v.acting(r), v.Organization, r.PathValue("client_id"), &hours)
	if err != nil {
		return err
	}
	return c.showAccess(w, r, v, accessData{Form: newKeyForm(), Client: client, Rotated: true})
}

func (c *Console) removeClient(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Accounts.RemoveWebhookClient(v.acting(r), v.Organization, r.PathValue("client_id")); err != nil {
		return err
	}
	done(w, r, v.Base()+"/access", "client-removed")
	return nil
}
