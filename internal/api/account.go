package api

import "net/http"

func (a *API) listAccount(r *http.Request) (int, any, error) {
	organization, body, err := a.setUp(r)
	if err != nil {
		return 0, nil, err
	}
	v, err := a.Integrations.Account(r.Context(), organization, body)
	return http.StatusOK, v, err
}

// choicesSeconds is for how long people are looked at where nobody says.
const choicesSeconds = 3

func (a *API) listChoices(r *http.Request) (int, any, error) {
	organization, body, err := a.setUp(r)
	if err != nil {
		return 0, nil, err
	}
	most, err := secondsOf(r, choicesSeconds)
	if err != nil {
		return 0, nil, err
	}
	v, err := a.Integrations.Choices(r.Context(), organization, body, most)
	return http.StatusOK, v, err
}

// setUp reads what an integration that is being set up has so far. Its secrets
// stand in the body, never in the address.
func (a *API) setUp(r *http.Request) (organization string, body []byte, err error) {
	if organization, err = a.organization(r); err != nil {
		return "", nil, err
	}
	body, err = readBody(r)
	return organization, body, err
}
