package outbound

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A witness sees the answer whole, and the caller reads the same, up to where it
// breaks off.
func TestWitnessSeesWhatTheCallerReads(t *testing.T) {
	t.Parallel()
	broke := errors.New("broke off")
	for _, c := range []struct {
		body io.Reader
		want string
		err  error
	}{
		{strings.NewReader(`{"a":1}`), `{"a":1}`, nil},
		{io.MultiReader(strings.NewReader(`{"a`), broken{broke}), `{"a`, broke},
		{strings.NewReader(strings.Repeat("x", mostWitnessed+10)), strings.Repeat("x", mostWitnessed+10), nil},
	} {
		hc := New(Options{Network: network(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Date": {"d"}}, Body: io.NopCloser(c.body)}, nil
		})})
		var seen []Answer
		ctx := WithWitness(t.Context(), func(a Answer) { seen = append(seen, a) })
		resp, err := Send(ctx, hc, Request{Method: "GET", URL: "https://x.example/"})
		if err != nil {
			t.Fatal(err)
		}
		read, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(read) != c.want || !errors.Is(err, c.err) {
			t.Errorf("the caller reads %d bytes, %v; want %d, %v", len(read), err, len(c.want), c.err)
		}
		if len(seen) != 1 || string(seen[0].Body) != c.want[:min(len(c.want), mostWitnessed)] || seen[0].Status != 200 ||
			seen[0].Header.Get("Date") != "d" || time.Since(seen[0].At) > time.Minute {
			t.Errorf("the witness saw %d answers", len(seen))
		}
	}
}
