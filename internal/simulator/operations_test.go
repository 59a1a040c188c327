package simulator

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestReadGivesTypedValues(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 2, 8, 30, 0, 0, time.UTC)
	b := direct(t, ActitoOptions{Now: func() time.Time { return at }})
	got := b.want("GET", annaPath, "", 200)
	want := map[string]any{
		"profileId": 1.0,
		"attributes": map[string]any{
			"profileId": 1.0, "creationMoment": "2026-11-02 08:30:00", "updateMoment": "2026-11-02 08:30:00",
			"emailAddress": "anna@example.com", "firstName": "Anna", "age": 42.0, "vip": true,
		},
		"subscriptions": map[string]any{
			"Newsletter": true, "Promotions": false, "SmsAlerts": false, "PartnerOffers": false,
		},
		"segmentations": map[string]any{},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestReadQueries(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{StringValues: true})
	got := b.want("GET", annaPath+"?subscriptions=Newsletter,SmsAlerts&includeNulls=true", "", 200)
	if subs := got["subscriptions"]; !reflect.DeepEqual(subs, map[string]any{"Newsletter": true, "SmsAlerts": false}) {
		t.Errorf("subscriptions: %v", subs)
	}
	attrs := got["attributes"].(map[string]any)
	if shop, has := attrs["shop"]; !has || shop != nil {
		t.Errorf("shop: %v, %v", shop, has)
	}
	if attrs["age"] != "42" || attrs["vip"] != "true" || attrs["profileId"] != "1" {
		t.Errorf("not strings: %v", attrs)
	}
}

func TestUpdateChangesOnlyWhatItIsGiven(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	out := b.want("PATCH", annaPath, `{"attributes":{"shop":"Ghent","firstName":null},"subscriptions":{"Promotions":true}}`, 200)
	if out["profileId"] != 1.0 {
		t.Errorf("answer: %v", out)
	}
	p, _ := b.Profile(SampleEntity, SampleTableID, "profileId", "1")
	wantAttrs := map[string]any{"emailAddress": "anna@example.com", "age": int64(42), "vip": true, "shop": "Ghent"}
	wantSubs := map[string]bool{"Newsletter": true, "Promotions": true, "SmsAlerts": false, "PartnerOffers": false}
	if !reflect.DeepEqual(p.Attributes, wantAttrs) || !reflect.DeepEqual(p.Subscriptions, wantSubs) {
		t.Errorf("profile: %+v", p)
	}
	b.want("PATCH", profilesPath+"/emailAddress=ben@example.com", `{"subscriptions":{"Promotions":true}}`, 404)
}

func TestRefusedUpdateChangesNothing(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	table := SampleTable()
	table.ID = "17"
	table.Attributes = append(table.Attributes,
		Attribute{Name: "code", MinLength: 2, MaxLength: 3},
		Attribute{Name: "must", Mandatory: true},
		Attribute{Name: "tags", MultiValued: true})
	b.AddTable(SampleEntity, table)
	for _, email := range []string{"anna@example.com", "ben@example.com"} {
		_, err := b.PutProfile(SampleEntity, "17", map[string]any{"emailAddress": email, "must": "x", "tags": []string{"a"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	before, _ := b.Profile(SampleEntity, "17", "emailAddress", "anna@example.com")
	path := strings.Replace(annaPath, "/16/", "/17/", 1)
	for _, attr := range []string{
		`"nosuch":"x"`, `"profileId":5`, `"updateMoment":"2026-01-01 00:00:00"`,
		`"age":"old"`, `"age":1.5`, `"age":true`, `"vip":"maybe"`, `"vip":[true]`, `"shop":5`, `"shop":{}`,
		`"code":"x"`, `"code":"four"`, `"must":null`, `"must":""`, `"tags":"a"`, `"tags":[1]`,
		`"emailAddress":"ben@example.com"`, `"emailAddress":"nobody"`, `"sex":"X"`, `"motherLanguage":"nld"`,
		`"birthDate":"yesterday"`, `"lastVisit":"2026-13-01 00:00:00"`,
	} {
		b.want("PATCH", path, `{"attributes":{"firstName":"Changed",`+attr+`},"subscriptions":{"Newsletter":true}}`, 400)
	}
	for _, subs := range []string{`{"NoSuch":true}`, `{"Newsletter":"true"}`, `{"Newsletter":null}`} {
		b.want("PATCH", path, `{"attributes":{"firstName":"Changed"},"subscriptions":`+subs+`}`, 400)
	}
	for _, body := range []string{``, `[]`, `{"attributes":`, `{"subscriptions":["Newsletter"]}`} {
		b.want("PATCH", path, body, 400)
	}
	if after, _ := b.Profile(SampleEntity, "17", "emailAddress", "anna@example.com"); !reflect.DeepEqual(before, after) {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	for _, c := range b.Calls() {
		if c.Applied {
			t.Errorf("applied: %+v", c)
		}
	}
}

func TestValuesTaken(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	b.want("PATCH", annaPath, `{"attributes":{"age":"43","vip":"false","birthDate":"1980-02-29","lastVisit":"2026-11-02T08:30:00Z",
		"sex":"F","motherLanguage":"nl","emailAddress":"anna@example.com"}}`, 200)
	p, _ := b.Profile(SampleEntity, SampleTableID, "emailAddress", "anna@example.com")
	if p.Attributes["age"] != int64(43) || p.Attributes["vip"] != false || p.Attributes["birthDate"] != "1980-02-29" {
		t.Errorf("attributes: %v", p.Attributes)
	}
}

func TestUniqueValueMoves(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	b.want("PATCH", annaPath, `{"attributes":{"emailAddress":"new@example.com"}}`, 200)
	b.want("GET", annaPath, "", 404)
	b.want("POST", profilesPath, `{"key":{"emailAddress":"anna@example.com"}}`, 201)
	b.want("PATCH", annaPath, `{"attributes":{"emailAddress":"new@example.com"}}`, 400)
}

func TestCreate(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	body := `{"key":{"emailAddress":"ben@example.com"},"attributes":{"age":5},"subscriptions":{"SmsAlerts":true}}`
	if out := b.want("POST", profilesPath, body, 201); out["profileId"] != 2.0 {
		t.Errorf("answer: %v", out)
	}
	b.want("POST", profilesPath, body, 409)
	p, ok := b.Profile(SampleEntity, SampleTableID, "emailAddress", "ben@example.com")
	if !ok || p.ID != 2 || p.Attributes["age"] != int64(5) || !p.Subscriptions["SmsAlerts"] || p.Subscriptions["Newsletter"] {
		t.Errorf("profile: %+v", p)
	}
	for _, bad := range []string{
		`{"attributes":{"emailAddress":"c@example.com"}}`,
		`{"key":{}}`,
		`{"key":{"emailAddress":null}}`,
		`{"key":{"emailAddress":"c@example.com","customerId":"c"}}`,
		`{"key":{"firstName":"C"}}`,
		`{"key":{"profileId":9}}`,
		`{"key":{"emailAddress":"c"}}`,
		`{"key":{"emailAddress":"c@example.com"},"attributes":{"emailAddress":"d@example.com"}}`,
	} {
		b.want("POST", profilesPath, bad, 400)
	}
	if n := len(b.Profiles(SampleEntity, SampleTableID)); n != 2 {
		t.Errorf("%d profiles, want 2", n)
	}
}

func TestCreateNeedsMandatoryValues(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	b.AddTable(SampleEntity, Table{ID: "17", Name: "Strict", Attributes: []Attribute{
		{Type: "EMAIL_ADDRESS", Name: "emailAddress", Unique: true, Mandatory: true},
		{Type: "LASTNAME", Name: "lastName", Mandatory: true},
		{Name: "customerId", Unique: true},
	}})
	path := strings.Replace(profilesPath, "/16/", "/17/", 1)
	b.want("POST", path, `{"key":{"emailAddress":"a@example.com"}}`, 400)
	b.want("POST", path, `{"key":{"customerId":"7"},"attributes":{"lastName":"A"}}`, 400)
	b.want("POST", path, `{"key":{"customerId":"7"},"attributes":{"lastName":"A","emailAddress":"a@example.com"}}`, 201)
	b.want("PUT", path, `{"key":{"customerId":"7"},"attributes":{"emailAddress":"a@example.com"}}`, 400)
}

func TestNoCreateOperation(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{NoCreateOperation: true})
	b.want("POST", profilesPath, `{"key":{"emailAddress":"ben@example.com"}}`, 405)
	b.want("PUT", profilesPath, `{"key":{"emailAddress":"ben@example.com"}}`, 200)
}

func TestReplaceBlanksWhatItIsNotGiven(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	out := b.want("PUT", profilesPath, `{"key":{"emailAddress":"anna@example.com"},"attributes":{"shop":"Lille"},"subscriptions":{"Promotions":true}}`, 200)
	if out["profileId"] != 1.0 {
		t.Errorf("answer: %v", out)
	}
	p, _ := b.Profile(SampleEntity, SampleTableID, "profileId", "1")
	if !reflect.DeepEqual(p.Attributes, map[string]any{"emailAddress": "anna@example.com", "shop": "Lille"}) ||
		p.Subscriptions["Newsletter"] || !p.Subscriptions["Promotions"] {
		t.Errorf("profile: %+v", p)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	b.want("DELETE", annaPath, "", 204)
	b.want("DELETE", annaPath, "", 404)
	b.want("GET", annaPath, "", 404)
}

func TestChangesAreTold(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	var told []Change
	b.OnChange(func(c Change) { told = append(told, c) })
	b.want("PATCH", annaPath, `{"subscriptions":{"Newsletter":false}}`, 200)
	b.want("PATCH", annaPath, `{"subscriptions":{"Nothing":false}}`, 400)
	if _, err := b.PutProfile(SampleEntity, SampleTableID,
		map[string]any{"profileId": 1}, map[string]bool{"Newsletter": true}); err != nil {
		t.Fatal(err)
	}
	b.DeleteProfile(SampleEntity, SampleTableID, "emailAddress", "anna@example.com")
	if b.DeleteProfile(SampleEntity, SampleTableID, "emailAddress", "anna@example.com") {
		t.Error("deleted twice")
	}
	if len(told) != 3 {
		t.Fatalf("%d changes told, want 3: %+v", len(told), told)
	}
	if c := told[0]; c.Edit || c.Kind != KindUpdate || !c.Before.Subscriptions["Newsletter"] || c.After.Subscriptions["Newsletter"] {
		t.Errorf("update: %+v", c)
	}
	if c := told[1]; !c.Edit || c.Kind != KindUpdate || !c.After.Subscriptions["Newsletter"] {
		t.Errorf("edit: %+v", c)
	}
	if c := told[2]; !c.Edit || c.Kind != KindDelete || c.Before.ID != 1 || c.After.ID != 0 {
		t.Errorf("delete: %+v", c)
	}
}

func TestCopiesAreDeep(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	p, _ := b.Profile(SampleEntity, SampleTableID, "profileId", "1")
	p.Attributes["firstName"] = "Changed"
	p.Subscriptions["Newsletter"] = false
	b.want("PATCH", annaPath, `{"attributes":{"shop":"Lille"}}`, 200)
	b.Calls()[1].Attributes["shop"] = "Changed"
	again, _ := b.Profile(SampleEntity, SampleTableID, "profileId", "1")
	if again.Attributes["firstName"] != "Anna" || !again.Subscriptions["Newsletter"] || b.Calls()[1].Attributes["shop"] != "Lille" {
		t.Error("a copy shares its maps")
	}
}
