package console

import (
	"net/http"

	"consentsync/internal/changes"
)

// changesData is what the list of changes is drawn from.
type changesData struct {
	Changes     []changes.View
	Next        string
	Integration string // empty for all
}

func (c *Console) changesPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	data := changesData{Integration: q.Get("integration")}
	var err error
	data.Changes, data.Next, err = changes.List(r.Context(), c.Changes, v.Organization, data.Integration, q.Get("before"), listed)
	if err != nil {
		return err
	}
	c.show(w, r, v, http.StatusOK, "changes", "Changes", data)
	return nil
}
