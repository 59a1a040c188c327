package simulator

import (
	"reflect"
	"testing"
)

func TestV4Profiles(t *testing.T) {
	t.Parallel()
	b := direct(t, ActitoOptions{})
	const profiles = "/profiles/v4/entity/acme/table/Profiles/profile"
	const anna = profiles + "/emailAddress=anna@example.com"
	got := b.want("GET", anna, "", 200)
	on := []any{map[string]any{"name": "Newsletter", "subscribe": true}}
	if !reflect.DeepEqual(got["subscriptions"], on) || !reflect.DeepEqual(b.want("GET", anna+"/subscription", "", 200)["subscriptions"], on) {
		t.Errorf("subscriptions: %v", got)
	}
	attributes := got["attributes"].([]any)
	if first := attributes[0]; !reflect.DeepEqual(first, map[string]any{"name": "profileId", "value": "1"}) {
		t.Errorf("the first attribute: %v", first)
	}

	b.want("DELETE", anna+"/subscription/Newsletter", "", 200)
	b.want("DELETE", anna+"/subscription/Newsletter", "", 404) // it is off
	b.want("POST", anna+"/subscription/SmsAlerts", "", 200)
	b.want("POST", anna+"/subscription/NoSuch", "", 404)
	b.want("POST", anna+"/subscription/SmsAlerts", "{}", 400)
	b.want("PUT", anna+"/subscription/SmsAlerts", "", 405)
	b.want("PUT", "/v4/entity/acme/table/16/profile/7", `{"attributes":[]}`, 404)
	b.want("PUT", "/v4/entity/acme/table/16/profile/1", `{"attributes":[{"name":"shop","value":"Ghent"},{"name":"vip","value":null},{"name":"age","value":"43"}]}`, 200)
	for _, bad := range []string{
		`{"attributes":{"shop":"x"}}`, `{"attributes":[{"name":"age","value":43}]}`, `{"attributes":[{"name":"nosuch","value":"x"}]}`, `{"nosuch":[]}`, ``,
	} {
		b.want("PUT", anna, bad, 400)
	}
	p, _ := b.Profile(SampleEntity, SampleTableID, "profileId", "1")
	wantAttributes := map[string]any{"emailAddress": "anna@example.com", "firstName": "Anna", "age": int64(43), "shop": "Ghent"}
	wantSubscriptions := map[string]bool{"Newsletter": false, "Promotions": false, "SmsAlerts": true, "PartnerOffers": false}
	if !reflect.DeepEqual(p.Attributes, wantAttributes) || !reflect.DeepEqual(p.Subscriptions, wantSubscriptions) {
		t.Errorf("profile: %+v", p)
	}

	const ben = `{"attributes":[{"name":"emailAddress","value":"ben@example.com"}],"subscriptions":[{"name":"Promotions","subscribe":true}],
		"dataCollectionInformation":{"source":"Didomi"}}`
	if out := b.want("POST", profiles+"?allowUpdate=false", ben, 201); out["profileId"] != 2.0 {
		t.Errorf("answer: %v", out)
	}
	b.want("POST", profiles+"?allowUpdate=false", ben, 409)
	b.want("POST", profiles+"?allowUpdate=true", ben, 200)
	b.want("DELETE", profiles+"/2", "", 204)
	b.want("GET", profiles+"/2/subscription", "", 404)
	if last := b.Calls()[len(b.Calls())-1]; last.Kind != KindSubscriptions || last.Table != SampleTableID || last.Key != "profileId=2" {
		t.Errorf("the last call: %+v", last)
	}
}
