package simulator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTokenIsAsDocumented(t *testing.T) {
	t.Parallel()
	b := serve(t, ActitoOptions{})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/auth/token", nil)
	r.Header.Set("Authorization", SampleKey)
	r.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	if out["expiresIn"] != "900s" || out["tokenType"] != "bearer" || out["scope"] != "read write" ||
		!strings.Contains(out["accessToken"], "%2B") || len(out["jti"]) != 36 {
		t.Errorf("token: %v", out)
	}
}

func TestTokenEnds(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	b := direct(t, ActitoOptions{Now: func() time.Time { return now }})
	b.want("GET", annaPath, "", http.StatusOK)

	now = now.Add(15*time.Minute - 1)
	b.want("GET", annaPath, "", http.StatusOK)
	now = now.Add(1)
	b.want("GET", annaPath, "", http.StatusUnauthorized)

	b.token = b.fetchToken(SampleKey)
	b.want("GET", annaPath, "", http.StatusOK)
	b.ExpireTokens()
	b.want("GET", annaPath, "", http.StatusUnauthorized)

	b.token = b.fetchToken(SampleKey)
	b.RevokeKey(SampleKey)
	b.want("GET", annaPath, "", http.StatusUnauthorized)
}

func TestWhoMayNotCall(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	ask := func(path, authorization, accept string) int {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		return w.Code
	}
	for _, c := range []struct {
		path, authorization, accept string
		want                        int
	}{
		{"/auth/token", "wrong", "application/json", 401},
		{"/auth/token", "Bearer " + SampleKey, "application/json", 401},
		{"/auth/token", "", "", 401},
		{"/auth/token", SampleKey, "text/html", 406},
		{annaPath, "", "", 401},
		{annaPath, b.token, "", 401},
		{annaPath, "Bearer x", "", 401},
		{annaPath, "Bearer " + b.token, "text/html, application/xml", 406},
		{annaPath, "Bearer " + b.token, "text/html, application/json;q=0.5", 200},
		{annaPath, "Bearer " + b.token, "", 200},
	} {
		if got := ask(c.path, c.authorization, c.accept); got != c.want {
			t.Errorf("%s as %q accepting %q: %d, want %d", c.path, c.authorization, c.accept, got, c.want)
		}
	}
}

func TestRights(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	b.AddKey("reader", RightReadProfiles)
	b.token = b.fetchToken("reader")
	b.want("GET", annaPath, "", 200)
	b.want("GET", "/entities/v5/entities", "", 200)
	b.want("PATCH", annaPath, `{"subscriptions":{"Newsletter":false}}`, 403)
	b.want("GET", "/profile-table-structure/v5/entities/acme/profile-tables", "", 403)
	if !b.newsletter() {
		t.Error("a call without the right changed something")
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/entities/v5/entities", 200},
		{"GET", "/v5/entities", 200},
		{"GET", "/profile-table-structure/v5/entities/acme/profile-tables", 200},
		{"GET", "/profile-table-structure/v5/entities/acme/profile-tables/16", 200},
		{"GET", "/v5/entities/acme/profile-tables/16", 200},
		{"GET", "/profile-table-structure/v5/entities/nobody/profile-tables", 404},
		{"GET", "/profile-table-structure/v5/entities/acme/profile-tables/17", 404},
		{"GET", "/profiles/v5/entities/acme/profile-tables/16", 404}, // another category
		{"GET", annaPath, 200},
		{"GET", "/v5/entities/acme/profile-tables/16/profiles/emailAddress=anna@example.com", 200},
		{"GET", profilesPath + "/emailAddress%3Danna%40example.com", 200},
		{"GET", profilesPath + "/1", 200},
		{"GET", profilesPath + "/profileId=1", 200},
		{"GET", profilesPath + "/2", 404},
		{"GET", profilesPath + "/profileId=x", 400},
		{"GET", profilesPath + "/emailAddress=ben@example.com", 404},
		{"GET", profilesPath + "/emailAddress=ANNA@example.com", 404},
		{"GET", profilesPath + "/firstName=Anna", 400}, // not unique
		{"GET", profilesPath + "/anna", 400},
		{"GET", profilesPath, 405},
		{"PUT", annaPath, 405},
		{"POST", "/auth/token", 405},
		{"GET", "/v4/entity", 404},
		{"GET", "/", 404},
	} {
		if got, _ := b.call(c.method, c.path, ""); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, got, c.want)
		}
	}
}

func TestKeyIsDecodedOnce(t *testing.T) {
	t.Parallel()
	b := serve(t, ActitoOptions{})
	for _, id := range []string{"a/b", "a%2Fb", "a=b", "a+b", "a b", "é?#"} {
		if _, err := b.PutProfile(SampleEntity, SampleTableID, map[string]any{"customerId": id}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for escaped, id := range map[string]string{
		"a%2Fb": "a/b", "a%252Fb": "a%2Fb", "a%3Db": "a=b", "a=b": "a=b",
		"a+b": "a+b", "a%20b": "a b", "%C3%A9%3F%23": "é?#",
	} {
		out := b.want("GET", profilesPath+"/customerId="+escaped, "", 200)
		if got := out["attributes"].(map[string]any)["customerId"]; got != id {
			t.Errorf("%s found %q, want %q", escaped, got, id)
		}
	}
}

func TestStructureShapes(t *testing.T) {
	t.Parallel()
	const list = "/profile-table-structure/v5/entities/acme/profile-tables"

	b := direct(t, ActitoOptions{})
	one := b.want("GET", list+"/16", "", 200)
	first := one["subscriptions"].([]any)[0]
	if !reflect.DeepEqual(first, map[string]any{"name": "Newsletter"}) {
		t.Errorf("subscription: %v", first)
	}
	id := one["attributes"].([]any)[0]
	if !reflect.DeepEqual(id, map[string]any{
		"type": "CUSTOM", "name": "profileId", "unique": true, "mandatory": true,
		"valueType": "INTEGER", "multiValued": false,
	}) {
		t.Errorf("attribute: %v", id)
	}
	all := b.want("GET", list, "", 200)["profileTables"].([]any)
	if !reflect.DeepEqual(all[0], any(one)) {
		t.Errorf("the list differs from the table: %v", all[0])
	}

	b = direct(t, ActitoOptions{SubscriptionsShape: SubscriptionNames, ListIsShort: true})
	if got := b.want("GET", list+"/16", "", 200)["subscriptions"].([]any)[1]; got != "Promotions" {
		t.Errorf("subscription: %v", got)
	}
	all = b.want("GET", list, "", 200)["profileTables"].([]any)
	if !reflect.DeepEqual(all[0], map[string]any{"id": "16", "name": "Profiles"}) {
		t.Errorf("short list: %v", all[0])
	}
}

func TestTableGoesAndComesBack(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	b.RemoveTable(SampleEntity, SampleTableID)
	b.want("GET", annaPath, "", 404)
	b.want("GET", "/profile-table-structure/v5/entities/acme/profile-tables/16", "", 404)
	b.RestoreTable(SampleEntity, SampleTableID)
	b.want("GET", annaPath, "", 200)
}

func TestSubscriptionMadeAnewForgets(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	b.RemoveSubscription(SampleEntity, SampleTableID, "Newsletter")
	b.want("PATCH", annaPath, `{"subscriptions":{"Newsletter":true}}`, 400)
	b.AddSubscription(SampleEntity, SampleTableID, "Newsletter")
	if b.newsletter() {
		t.Error("the choice survived")
	}
}
