package outbound

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

// Answer is an answer as it came.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte        // as far as it is short; see mostWitnessed
	At     time.Time     // when its head came, by this machine's clock
	Took   time.Duration // from the end of the pace's wait to its head
}

// mostWitnessed bounds what a witness is shown of a body.
const mostWitnessed = 8 << 20

type witnessKey struct{}

// WithWitness shows every answer under the context to witness before the caller
// gets it, which then reads the same. It is for who wants to know the form of an
// answer that a client reads into its own words. Witness may be called by another
// goroutine, since a token may be fetched by one.
func WithWitness(ctx context.Context, witness func(Answer)) context.Context {
	return context.WithValue(ctx, witnessKey{}, witness)
}

// show shows an answer to the witness of its request, if there is one.
func show(req *http.Request, began time.Time, resp *http.Response) {
	witness, ok := req.Context().Value(witnessKey{}).(func(Answer))
	if !ok {
		return
	}
	at := time.Now()
	// What breaks off here breaks off for the caller too.
	read, err := io.ReadAll(io.LimitReader(resp.Body, mostWitnessed))
	witness(Answer{Status: resp.StatusCode, Header: resp.Header, Body: read, At: at, Took: at.Sub(began)})
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = broken{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(read), rest), resp.Body}
}

// broken is the rest of an answer that broke off.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
