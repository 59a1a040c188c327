package integration

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"consentsync/internal/actito"
	"consentsync/internal/doctor"
)

// That the time for looking is up while an end answers slowly is no failure of
// theirs.
func TestExaminationThatIsCutOffBlamesNobody(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel() // the time is up
		<-ended
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(ended) }) // a token is asked for on behalf of all: that goes on
	s := &Service{Accounts: actito.NewAccounts(slow.Client()), AllowPrivate: true, Now: time.Now}
	var r doctor.Report
	err := s.ExamineFile(ctx, []byte(`{"type_id": "actito", "authentication": {"private_api_key": "k"}, "mappings": [{"id": "News", "value": "consents_purposes_news_enabled"}],
		"properties": {"base_url": "`+slow.URL+`", "entity_id": "e", "table_name": "t", "user_unique_key": "mail"}}`), doctor.Ask{}, &r)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Status == doctor.Failed {
			t.Errorf("%s: %s", f.About, f.Says)
		}
	}
}
