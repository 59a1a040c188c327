package assumption

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

// Call is one call as it went; the zero value is one that was not made.
type Call struct {
	Made   bool
	Answer outbound.Answer // the last; its status is 0 where none came
	Err    error
}

// Watch makes a call and keeps its answer as it came.
func Watch(ctx context.Context, do func(context.Context) error) Call {
	var mu sync.Mutex
	var last outbound.Answer
	err := do(outbound.WithWitness(ctx, func(a outbound.Answer) {
		mu.Lock()
		defer mu.Unlock()
		last = a
	}))
	mu.Lock()
	defer mu.Unlock()
	// A witness that is late, since the caller gave up, must not write to what is given.
	return Call{Made: true, Answer: last, Err: err}
}

// JSON decodes the answer; ok is false where it is no JSON.
func (c *Call) JSON() (answer any, ok bool) {
	d := json.NewDecoder(bytes.NewReader(c.Answer.Body))
	d.UseNumber()
	return answer, d.Decode(&answer) == nil
}

// Judged gives the verdict of a call that was answered well, by the decoded
// answer, and else says why there is none.
func (c *Call) Judged(well func(answer any) Verdict) Verdict {
	if v, ok := c.Open(); ok {
		return v
	}
	answer, isJSON := c.JSON()
	switch status := c.Answer.Status; {
	case status/100 != 2:
		return Fails("the answer is %d", status)
	case !isJSON:
		return Fails("the answer (%d) is not JSON", status)
	case c.Err != nil:
		return Fails("the answer (%d) has the form %s and cannot be understood: %s", status, Form(answer), reasonOf(c.Err))
	}
	return well(answer)
}

// Open gives the verdict of a call of whose answer nothing can be told; ok is
// false if something can.
func (c *Call) Open() (v Verdict, ok bool) {
	switch status := c.Answer.Status; {
	case !c.Made:
		return Open("it was not asked for, since what comes before it failed, was not there or was not given"), true
	case status == http.StatusForbidden:
		return Open("the API key lacks the right for this (403)"), true
	case consent.KindOf(c.Err) == consent.Unauthorized, status == 0, status == http.StatusUnauthorized, status == http.StatusTooManyRequests, status >= 500:
		return Open("%s", cmp.Or(consent.MessageOf(c.Err), "no answer came")), true
	}
	return Verdict{}, false
}

// Stranger gives the verdict of a call that was made with a made-up token.
func (c *Call) Stranger() Verdict {
	if c.Answer.Status == http.StatusUnauthorized {
		return Holds("a made-up token is answered with 401")
	}
	return c.Judged(func(any) Verdict { return Fails("a made-up token is taken") })
}

// reasonOf gives the words of the reader of an answer, which name no value.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*consent.Error](err); ok {
		if e.Err != nil {
			return e.Err.Error()
		}
		return e.Message
	}
	return err.Error()
}
