package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"consentsync/internal/incoming"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

func (a *API) simulateIntegration(r *http.Request, k store.IntegrationKey) (int, any, error) {
	o, body, err := simulation(r)
	if err != nil {
		return 0, nil, err
	}
	s, err := a.Integrations.Simulate(r.Context(), k, body, o)
	return http.StatusOK, s, err
}

func (a *API) simulateNewIntegration(r *http.Request, organization string) (int, any, error) {
	o, body, err := simulation(r)
	if err != nil {
		return 0, nil, err
	}
	s, err := a.Integrations.SimulateNew(r.Context(), organization, body, o)
	return http.StatusOK, s, err
}

// mostSeconds bounds a simulation; the answer has to be written before the
// server gives the request up.
const mostSeconds = 100

// simulation reads how a simulation is to be made, and of what. An empty body is
// an empty object.
func simulation(r *http.Request) (o integration.SimulateOptions, body []byte, err error) {
	if o.Live, err = flag(r, "live", true); err != nil {
		return o, nil, err
	}
	if o.Most, err = secondsOf(r, mostSeconds); err != nil {
		return o, nil, err
	}
	body, err = readBody(r)
	if len(body) == 0 {
		body = []byte(`{}`)
	}
	return o, body, err
}

// secondsOf reads for how long people may be looked at.
func secondsOf(r *http.Request, absent int) (time.Duration, error) {
	seconds := absent
	if text := r.URL.Query().Get("seconds"); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil || seconds < 1 || seconds > mostSeconds {
			return 0, incoming.RefuseField("seconds", fmt.Sprintf("must be a whole number from 1 to %d", mostSeconds))
		}
	}
	return time.Duration(seconds) * time.Second, nil
}

// flag reads a switch of the query.
func flag(r *http.Request, name string, absent bool) (bool, error) {
	switch r.URL.Query().Get(name) {
	case "":
		return absent, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, incoming.RefuseField(name, "must be true or false")
}
