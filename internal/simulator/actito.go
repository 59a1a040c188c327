package simulator

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// What NewActito holds from the start, unless it is asked to be bare.
const (
	SampleEntity  = "acme"
	SampleTableID = "16"
	SampleKey     = "sample-api-key"
	// SampleETL changes profiles that are there, SampleETLUpsert makes new ones
	// too. Both load SampleTable by emailAddress.
	SampleETL       = "77"
	SampleETLUpsert = "78"
)

// SubscriptionsShape says how a table's structure lists its subscriptions. The
// published example breaks off before them.
type SubscriptionsShape string

// The shapes of a structure's subscriptions.
const (
	SubscriptionObjects SubscriptionsShape = "objects" // [{"name": "Newsletter"}]
	SubscriptionNames   SubscriptionsShape = "names"   // ["Newsletter"]
)

// ActitoOptions tunes a simulated Actito. The zero value behaves as documented.
type ActitoOptions struct {
	// Bare starts without the sample entity, table and API key.
	Bare bool

	// Now and Sleep replace the clock. Sleep returns early, with an error, when
	// its context ends.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error

	// TokenLife is how long a token is good for: 15 minutes by default.
	TokenLife time.Duration
	// Latency passes on every call before anything is done.
	Latency time.Duration
	// MaxConcurrent requests of a licence are served at once, the rest get 429.
	// 0 is the documented 5, a negative number is no limit.
	MaxConcurrent int
	// CallsPerMinute of a licence are served at full speed, the rest slowly.
	// 0 is the documented 100, a negative number is no limit.
	CallsPerMinute int
	// RetryAfter is sent with a 429, in whole seconds; 0 sends none.
	RetryAfter time.Duration

	// NoCreateOperation answers 405 to POST on a table's profiles.
	NoCreateOperation bool
	// SubscriptionsShape is SubscriptionObjects by default.
	SubscriptionsShape SubscriptionsShape
	// ListIsShort makes the list of tables give ids and names only.
	ListIsShort bool
	// StringValues gives every attribute's value as a string, as V4 did.
	StringValues bool

	// LoadsPerDay of a table are taken, the rest get 429. 0 is the documented 24,
	// a negative number is no limit.
	LoadsPerDay int
	// MaxLoadBytes of a file are taken: the documented 100 MB by default.
	MaxLoadBytes int64
	// LoadDelay passes before a load changes anything: 2 s by default, none when
	// negative.
	LoadDelay time.Duration
	// LoadRowsPerSecond go into a table: 20,000 by default, as many as can be
	// when negative.
	LoadRowsPerSecond int
	// LoadResults is LoadResultsRows by default.
	LoadResults LoadResults

	// NoCampaignList answers 404 to the list of campaigns, which is not documented
	// for transactional ones.
	NoCampaignList bool
	// BornWith are the subscriptions that a profile begins with which a message
	// makes.
	BornWith []string

	// AllowHTTPWebhooks takes webhooks whose target is not https, which a test
	// or a demo without certificates needs.
	AllowHTTPWebhooks bool
	// WebhookHeaders is HeadersShown by default.
	WebhookHeaders HeadersShape
	// WebhookHTTP tells webhooks: with ten seconds' patience by default.
	WebhookHTTP *http.Client
	// WebhookRetries are the waits before each further attempt. By default there
	// are three, of less than two seconds together; an empty list that is not nil
	// is none.
	WebhookRetries []time.Duration
	// Webhooks says how they are delivered, until DeliverWebhooks changes it.
	Webhooks WebhookOptions

	// Seed makes faults of a given probability repeatable.
	Seed uint64
	// KeepCalls is how many calls are remembered at least: 50,000 by default.
	KeepCalls int
}

// Actito is an in-memory Actito over HTTP. It speaks V5, of single profiles V4
// too, and V4 where there is no V5. It is safe for concurrent use. Writes are
// atomic: a refused one changes nothing. Nothing waits for a webhook to be told.
//
// URLs are those of the reorganised API, with a category before the version
// (http://cdn3.actito.com/fe/actito-documentation/docs/API-reference-reorganization);
// the older ones without a category are answered too.
type Actito struct {
	opts    ActitoOptions
	journal *journal
	limits  *limits
	faults  *faults
	access  *access
	loads   *loads

	webhooks *webhooks

	*later

	// writing is held from before a change until its hook has returned, so that
	// hooks see changes one at a time and in order. It is taken before mu.
	writing  sync.Mutex
	onChange func(Change)

	mu       sync.Mutex
	entities []*entity
	outbox   []Sent
	onSent   func(Sent)
}

// NewActito makes a simulated Actito that is ready to be asked: unless it is
// bare it holds [SampleTable] with the id [SampleTableID] in the entity
// [SampleEntity], and takes the API key [SampleKey].
func NewActito(opts ActitoOptions) *Actito {
	opts = opts.withDefaults()
	a := &Actito{
		opts:    opts,
		journal: newJournal(opts.KeepCalls),
		limits:  newLimits(opts.MaxConcurrent, opts.CallsPerMinute),
		faults:  newFaults(opts.Seed),
		access:  newAccess(opts.TokenLife),
		loads:   newLoads(),
		later:   newLater(opts.Sleep),

		webhooks: newWebhooks(opts),
	}
	if !opts.Bare {
		a.AddTable(SampleEntity, SampleTable())
		a.AddETL(SampleEntity, ETL{SampleETL, SampleTableID, "emailAddress", UpdateOnly})
		a.AddETL(SampleEntity, ETL{SampleETLUpsert, SampleTableID, "emailAddress", CreateUpdate})
		for _, c := range sampleCampaigns() {
			a.AddCampaign(SampleEntity, c)
		}
		a.AddKey(SampleKey)
	}
	return a
}

func (o ActitoOptions) withDefaults() ActitoOptions {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.TokenLife == 0 {
		o.TokenLife = 15 * time.Minute
	}
	if o.MaxConcurrent == 0 {
		o.MaxConcurrent = 5
	}
	if o.CallsPerMinute == 0 {
		o.CallsPerMinute = 100
	}
	if o.SubscriptionsShape == "" {
		o.SubscriptionsShape = SubscriptionObjects
	}
	if o.LoadsPerDay == 0 {
		o.LoadsPerDay = 24
	}
	if o.MaxLoadBytes == 0 {
		o.MaxLoadBytes = 100_000_000
	}
	if o.LoadDelay == 0 {
		o.LoadDelay = 2 * time.Second
	}
	if o.LoadRowsPerSecond == 0 {
		o.LoadRowsPerSecond = 20_000
	}
	if o.LoadResults == "" {
		o.LoadResults = LoadResultsRows
	}
	if o.WebhookHeaders == "" {
		o.WebhookHeaders = HeadersShown
	}
	if o.WebhookHTTP == nil {
		o.WebhookHTTP = defaultWebhookHTTP()
	}
	if o.WebhookRetries == nil {
		o.WebhookRetries = []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, time.Second}
	}
	if o.KeepCalls == 0 {
		o.KeepCalls = 50_000
	}
	return o
}

// ServeHTTP answers Actito's API and, under /_simulator/, whoever drives the
// simulation from outside.
func (a *Actito) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		a.serveControl(w, r)
		return
	}
	q := readRequest(r, a.opts.MaxLoadBytes)
	a.findTable(q)
	e := a.journal.begin(a.opts.Now(), q, a.namesOf(q))
	out := a.handle(r.Context(), q, e)
	// The client learns nothing before the books are closed: whoever sends its
	// next call after this answer does not overlap with this one.
	e.answered(a.opts.Now(), out.status)
	if out.late > 0 {
		a.applyLater(q, e, out.late)
	} else {
		e.leave()
	}
	out.send(w)
}

// handle admits a request, lets faults strike and does what was asked. It
// does not stop when the client leaves: a change under way is still made.
func (a *Actito) handle(client context.Context, q *request, e *entry) outcome {
	if q.refusal != nil && q.refusal.status != http.StatusBadRequest {
		return refused(q.refusal)
	}
	var slow time.Duration
	if q.kind != KindToken {
		licence, no := a.access.admit(q, a.opts.Now())
		if no != nil {
			return refused(no)
		}
		leave, delay, ok := a.limits.enter(licence, a.opts.Now())
		defer leave()
		if !ok {
			return a.tooMany()
		}
		slow = delay
	}
	f, latency := a.faults.meet(q)
	e.met(f.Effect)
	if a.opts.Sleep(a.life, a.opts.Latency+slow+latency) != nil { //nolint:contextcheck // a call goes on after its client has left
		return outcome{hangUp: true}
	}
	return a.carryOut(client, q, e, f)
}

// apply does what a request asks for and notes whether it changed anything.
func (a *Actito) apply(q *request, e *entry) outcome {
	out := a.perform(q)
	if q.kind.writes() && out.status < 300 {
		e.applied(q.load)
	}
	return out
}

// applyLater makes a change after its call is over, unless the simulation ends
// before.
func (a *Actito) applyLater(q *request, e *entry, d time.Duration) {
	a.after(d, func() { a.apply(q, e) }, e.leave)
}

// Settle returns when no late application is outstanding. It does not wait for
// loads; SettleLoads does.
func (a *Actito) Settle() { a.settle() }

// Close ends everything that waits: withheld answers are broken off, late
// applications dropped, loads left unfinished and webhooks not told. Call it
// before closing the server, which would otherwise wait for them.
func (a *Actito) Close() {
	a.end()
	a.Settle()
	a.SettleLoads()
	a.endWebhooks()
}
