package simulator

import (
	"encoding/json"
	"testing"
	"time"
)

func TestControl(t *testing.T) {
	t.Parallel()
	b := serve(t, ActitoOptions{})
	b.want("POST", "/_simulator/profiles", `{"attributes":{"emailAddress":"ben@example.com","age":7},"subscriptions":{"SmsAlerts":true}}`, 200)
	b.want("POST", "/_simulator/profiles", `{"attributes":{"nosuch":"x"}}`, 400)
	b.want("POST", "/_simulator/profiles", `{"entity":"nobody","attributes":{}}`, 400)

	_, raw := b.rawCall(t.Context(), "GET", "/_simulator/profiles", "")
	var profiles []storedProfile
	if err := json.Unmarshal(raw, &profiles); err != nil {
		t.Fatal(err)
	}
	if len(profiles) != 2 || profiles[1].Entity != SampleEntity || profiles[1].Attributes["age"] != 7.0 || !profiles[1].Subscriptions["SmsAlerts"] {
		t.Errorf("profiles: %s", raw)
	}

	b.want("POST", "/_simulator/faults", `{"kind":"update","effect":"status","status":503,"latency":"1ms","times":1}`, 204)
	b.want("PATCH", annaPath, turnOff, 503)
	b.want("PATCH", annaPath, turnOff, 200)
	b.want("POST", "/_simulator/faults", `{"effect":"status","status":503}`, 204)
	b.want("DELETE", "/_simulator/faults", "", 204)
	b.want("PATCH", annaPath, turnOn, 200)
	for _, bad := range []string{`{"effect":"nonsense"}`, `{"effect":"status"}`, `{"latency":"soon"}`, `{"effcet":""}`, ``} {
		b.want("POST", "/_simulator/faults", bad, 400)
	}
	b.want("GET", "/_simulator/nothing", "", 404)

	_, raw = b.rawCall(t.Context(), "GET", "/_simulator/calls?kind=update", "")
	var calls []Call
	if err := json.Unmarshal(raw, &calls); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 3 || calls[0].Status != 503 || calls[0].Applied || calls[2].Subscriptions["Newsletter"] != true ||
		time.Since(calls[0].Started) > time.Hour {
		t.Errorf("calls: %s", raw)
	}
}
