package outbound

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"consentsync/internal/consent"
)

func TestSendWritesTheRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		request Request
		header  http.Header
		body    string
	}{
		{Request{Method: "GET"}, http.Header{"Accept": {"application/json"}}, ""},
		{
			Request{Method: "POST", Body: strings.NewReader("{}"), Size: 2, Authorization: "Bearer t"},
			http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}, "Authorization": {"Bearer t"}},
			"{}",
		},
		{
			Request{Method: "PUT", Body: strings.NewReader("a,b"), Size: 3, ContentType: "text/csv", Accept: "*/*"},
			http.Header{"Accept": {"*/*"}, "Content-Type": {"text/csv"}},
			"a,b",
		},
	} {
		sent := 0
		hc := &http.Client{Transport: network(func(r *http.Request) (*http.Response, error) {
			sent++
			body := ""
			if r.Body != nil {
				raw, _ := io.ReadAll(r.Body)
				body = string(raw)
			}
			if r.Method != c.request.Method || body != c.body || r.ContentLength != c.request.Size || r.GetBody != nil {
				t.Errorf("%+v: sent %s %q of %d bytes", c.request, r.Method, body, r.ContentLength)
			}
			for name := range r.Header {
				if got := r.Header.Get(name); got != c.header.Get(name) {
					t.Errorf("%+v: %s: %s", c.request, name, got)
				}
			}
			if len(r.Header) != len(c.header) {
				t.Errorf("%+v: sent %v", c.request, r.Header)
			}
			return &http.Response{StatusCode: 500, Body: http.NoBody}, nil
		})}
		c.request.URL = "https://x.example/"
		resp, err := Send(t.Context(), hc, c.request)
		if err != nil || resp.StatusCode != 500 || sent != 1 {
			t.Errorf("%+v: %v after %d calls", c.request, err, sent)
			continue
		}
		resp.Body.Close()
	}
}

func TestSendFailures(t *testing.T) {
	t.Parallel()
	hc := &http.Client{Transport: network(func(*http.Request) (*http.Response, error) { return nil, errors.New("reset") })}
	for _, c := range []struct {
		method, url string
		want        consent.Kind
	}{
		{"GET", "https://x.example/", consent.Transient},
		{"POST", "https://x.example/", consent.Unclear},
		{"DELETE", "https://x.example/", consent.Unclear},
		{"GET", "::", consent.Unauthorized},
	} {
		resp, err := Send(t.Context(), hc, Request{Op: "x", Method: c.method, URL: c.url})
		if err == nil {
			resp.Body.Close()
		}
		if e, ok := errors.AsType[*consent.Error](err); !ok || e.Kind != c.want || e.Op != "x" || strings.Contains(e.Message, "x.example") {
			t.Errorf("%s %s: %v", c.method, c.url, err)
		}
	}
}

func TestWithoutRedirects(t *testing.T) {
	t.Parallel()
	calls := 0
	given := &http.Client{Transport: network(func(*http.Request) (*http.Response, error) {
		calls++
		return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"/elsewhere"}}, Body: http.NoBody}, nil
	})}
	resp, err := get(t, t.Context(), WithoutRedirects(given), "https://x.example/")
	if err != nil || resp.StatusCode != 302 || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if given.CheckRedirect != nil {
		t.Error("the client given was changed")
	}
	if _, err := get(t, t.Context(), WithoutRedirects(nil), "http://127.0.0.1:1/"); !errors.Is(err, ErrRefused) {
		t.Errorf("without a client: %v", err)
	}
}

func TestSharedKeepsOneForEachAccount(t *testing.T) {
	t.Parallel()
	var shared Shared[string, *int]
	made := 0
	client := func(account string) *int {
		return shared.Get(account, func() *int { made++; return new(made) })
	}
	first := client("a")
	if client("a") != first || client("b") == first || made != 2 {
		t.Errorf("%d made", made)
	}
	for len(shared.clients) < mostShared {
		client(strconv.Itoa(len(shared.clients)))
	}
	if client("one too many"); len(shared.clients) != 1 {
		t.Errorf("%d are kept", len(shared.clients))
	}
}
