package api

import (
	"net/http"
)

func (a *API) createEmail(r *http.Request) (int, any, error) {
	return a.saveEmail(r, http.StatusCreated, func(organization string, body []byte, look bool) (any, error) {
		return a.Emails.Create(r.Context(), organization, body, look)
	})
}

func (a *API) changeEmail(r *http.Request) (int, any, error) {
	return a.saveEmail(r, http.StatusOK, func(organization string, body []byte, look bool) (any, error) {
		return a.Emails.Change(r.Context(), organization, r.PathValue("id"), body, look)
	})
}

func (a *API) saveEmail(r *http.Request, status int, save func(organization string, body []byte, look bool) (any, error)) (int, any, error) {
	organization, err := a.organization(r)
	if err != nil {
		return 0, nil, err
	}
	look, err := flag(r, "check", true)
	if err != nil {
		return 0, nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return 0, nil, err
	}
	view, err := save(organization, body, look)
	return status, view, err
}

func (a *API) listEmails(r *http.Request, organization string) (int, any, error) {
	views, err := a.Emails.List(r.Context(), organization)
	return page(views, "", err)
}

func (a *API) getEmail(r *http.Request, organization string) (int, any, error) {
	view, err := a.Emails.Get(r.Context(), organization, r.PathValue("id"))
	return http.StatusOK, view, err
}

func (a *API) deleteEmail(r *http.Request, organization string) (int, any, error) {
	return http.StatusNoContent, nil, a.Emails.Delete(r.Context(), organization, r.PathValue("id"))
}

func (a *API) testEmail(r *http.Request, organization string) (int, any, error) {
	body, err := readBody(r)
	if err != nil {
		return 0, nil, err
	}
	view, err := a.Emails.Test(r.Context(), organization, r.PathValue("id"), body)
	return http.StatusAccepted, view, err
}

func (a *API) sendEmail(r *http.Request, organization string) (int, any, error) {
	body, err := readBody(r)
	if err != nil {
		return 0, nil, err
	}
	view, fresh, err := a.Emails.Send(r.Context(), organization, body)
	if !fresh {
		return http.StatusOK, view, err
	}
	return http.StatusAccepted, view, err
}

func (a *API) listMessages(r *http.Request, organization string) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	q := r.URL.Query()
	return page(a.Emails.Messages(r.Context(), organization, q.Get("state"), q.Get("cursor"), limit))
}

func (a *API) countMessages(r *http.Request, organization string) (int, any, error) {
	counts, err := a.Emails.Counts(r.Context(), organization)
	return http.StatusOK, counts, err
}

func (a *API) getMessage(r *http.Request, organization string) (int, any, error) {
	view, err := a.Emails.Message(r.Context(), organization, r.PathValue("id"))
	return http.StatusOK, view, err
}

func (a *API) repeatMessage(r *http.Request, organization string) (int, any, error) {
	view, err := a.Emails.Again(r.Context(), organization, r.PathValue("id"))
	return http.StatusAccepted, view, err
}
