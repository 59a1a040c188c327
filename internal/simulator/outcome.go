package simulator

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// outcome is what a client gets to see of its call.
type outcome struct {
	status int
	header http.Header
	body   []byte
	// hangUp breaks the connection instead of answering.
	hangUp bool
	// late asks for the call's change to be made that long after its end.
	late time.Duration
}

func answer(status int, v any) outcome {
	body, err := json.Marshal(v)
	if err != nil {
		return refused(refuse(http.StatusInternalServerError, "the simulator cannot encode its answer: %v", err))
	}
	return outcome{
		status: status,
		header: http.Header{"Content-Type": {"application/json"}},
		body:   body,
	}
}

// refused answers with an error. The body of Actito's errors is not documented.
func refused(no *refusal) outcome {
	out := answer(no.status, map[string]string{"message": no.message})
	maps.Copy(out.header, no.header)
	return out
}

// tooMany is the answer to one request too many at a time
// (https://developers.actito.com/docs/integration-framework/apis/limitations).
func (a *Actito) tooMany() outcome {
	out := refused(refuse(http.StatusTooManyRequests, "too many concurrent requests"))
	out.setRetryAfter(a.opts.RetryAfter)
	return out
}

func (o *outcome) setRetryAfter(d time.Duration) {
	if d > 0 {
		o.header.Set("Retry-After", strconv.Itoa(int((d+time.Second-1)/time.Second)))
	}
}

func (o *outcome) send(w http.ResponseWriter) {
	if o.hangUp {
		hangUp(w)
		return
	}
	maps.Copy(w.Header(), o.header)
	w.WriteHeader(o.status)
	_, _ = w.Write(o.body) //nolint:gosec // it is JSON, or what a test asked for
}

// hangUp resets the connection, so that the client sees neither an answer nor
// an orderly end.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
