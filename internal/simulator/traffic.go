package simulator

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// TrafficOptions says who makes choices.
type TrafficOptions struct {
	// People is how many there are: 100 by default.
	People       int
	Organization string
	// Rand makes the traffic repeatable; it is used by the Traffic alone.
	Rand *rand.Rand
	Now  func() time.Time
}

// Traffic makes up consent events of believable people, a quarter of them
// withdrawals. It is safe for concurrent use; with the same Rand and clock it
// makes the same events.
type Traffic struct {
	opts TrafficOptions
	mu   sync.Mutex
}

// Person is somebody in the traffic.
type Person struct {
	ID                  string // the organization_user_id, an e-mail address
	DidomiUserID        string
	FirstName, LastName string
	Shop                string
	Age                 int
}

var (
	firstNames = strings.Fields("Anna Ben Clara David Emma Farid Greta Hugo Ines Jonas Karin Louis Mia Noor Oscar Paula Quentin Rosa Samuel Tara Ugo Vera Wout Yasmine Zoe")
	lastNames  = strings.Fields("Smith Dubois Janssens Meyer Rossi Garcia Peeters Martin Novak Jensen Silva Weber Lambert Ferrari Andersson Kowalski Moreau")
	shops      = strings.Fields("Brussels Paris Ghent Lille Cologne Milan Madrid")
)

// NewTraffic makes a generator of events.
func NewTraffic(opts TrafficOptions) *Traffic {
	if opts.People <= 0 {
		opts.People = 100
	}
	if opts.Rand == nil {
		opts.Rand = rand.New(rand.NewPCG(1, 1)) //nolint:gosec // has to be repeatable
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Traffic{opts: opts}
}

// People is how many people there are.
func (t *Traffic) People() int { return t.opts.People }

// Person gives the i-th person, the same one each time. No mail can reach any of
// them: example.com is reserved (RFC 2606).
func (t *Traffic) Person(i int) Person {
	first := firstNames[i%len(firstNames)]
	last := lastNames[i/len(firstNames)%len(lastNames)]
	return Person{
		ID:           strings.ToLower(fmt.Sprintf("%s.%s%d@example.com", first, last, i)),
		DidomiUserID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i),
		FirstName:    first,
		LastName:     last,
		Shop:         shops[i%len(shops)],
		Age:          18 + i*7%70,
	}
}

// Next gives the payload of one more event.created webhook: one person allows or
// withdraws one or two of the purposes newsletter and promotions and the channels
// email and sms.
func (t *Traffic) Next() map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.opts.Rand
	p := t.Person(r.IntN(t.opts.People))
	e := Event{
		ID:                 randomUUID(r),
		DidomiUserID:       p.DidomiUserID,
		OrganizationUserID: p.ID,
		CreatedAt:          t.opts.Now(),
		Purposes:           Choices{},
		Channels:           Choices{},
	}
	allowed := r.IntN(4) > 0
	for range 1 + r.IntN(2) {
		switch r.IntN(4) {
		case 0:
			e.Purposes["newsletter"] = new(allowed)
		case 1:
			e.Purposes["promotions"] = new(allowed)
		case 2:
			e.Channels["email"] = new(allowed)
		case 3:
			e.Channels["sms"] = new(allowed)
		}
	}
	if r.IntN(2) == 0 {
		e.Metadata = map[string]any{
			"firstName": p.FirstName, "lastName": p.LastName, "shop": p.Shop, "age": p.Age,
		}
	}
	return EventCreated(t.opts.Organization, e)
}

// Disorder encodes payloads, repeats each with the probability dupRate and
// shuffles them all. Repetitions are equal byte by byte.
func Disorder(r *rand.Rand, payloads []map[string]any, dupRate float64) [][]byte {
	var out [][]byte
	for _, p := range payloads {
		body, err := json.Marshal(p)
		if err != nil {
			panic(err) // only a payload not made here
		}
		out = append(out, body)
		if r.Float64() < dupRate {
			out = append(out, body)
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func randomUUID(r *rand.Rand) string {
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32N(256)) //nolint:gosec // below 256
	}
	return formatUUID(b)
}
