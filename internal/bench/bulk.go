package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/integration"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

// oneByOne is the budget of calls a minute that the bulk lane is compared with.
const oneByOne = 90

// bulked is what it took to have many changed profiles synced by bulk.
type bulked struct {
	people int           // who had changed
	single int           // of them, those who went one by one meanwhile
	all    time.Duration // from resuming until everybody was synced
	peak   int64         // of the server's resident memory, in bytes
	cpu    time.Duration // of the server
	loads  []bulkLoad
}

// bulkLoad is how the time of a load was spent.
type bulkLoad struct {
	rows, fileBytes int
	choosing        time.Duration // from resuming, or the end of the load before
	building        time.Duration // putting people into it
	handing         time.Duration // writing the file and sending it
	actito          time.Duration // the simulated Actito's own time, as little as it takes
	noticing        time.Duration // until we asked and were told
	ending          time.Duration // recording the end of each row
}

// ours is all of a load's time that is not Actito's.
func (l bulkLoad) ours() time.Duration {
	return l.choosing + l.building + l.handing + l.ending
}

// took is how long all loads take if Actito takes in so many rows a second. We
// ask for the result ever more rarely, the last time after an eighth of what
// it took, and after a minute, at most.
func (b *bulked) took(rowsPerSecond int) time.Duration {
	var sum time.Duration
	for _, l := range b.loads {
		actito := time.Duration(l.rows) * time.Second / time.Duration(rowsPerSecond)
		sum += l.ours() + actito + min(time.Minute, max(2*time.Second, actito/8))
	}
	return sum
}

// oneByOne is how long the same people take at one call each.
func (b *bulked) oneByOne() time.Duration {
	return time.Duration(b.people) * time.Minute / oneByOne
}

// bulk has the program sync many changed profiles by bulk: a tenth of them, to
// see what grows with their number, and all.
func (b *bench) bulk(ctx context.Context, r *report) error {
	for _, people := range []int{b.profiles / 10, b.profiles} {
		result, err := b.bulkOf(ctx, people)
		if err != nil {
			return err
		}
		progress("%s", result.note())
		r.bulk = append(r.bulk, result)
	}
	return nil
}

func (b *bench) bulkOf(ctx context.Context, people int) (result bulked, err error) {
	// Its own speed is not measured but assumed: see took.
	sim, actitoURL, stop, err := actito(ctx, simulator.ActitoOptions{LoadDelay: -1, LoadRowsPerSecond: -1})
	if err != nil {
		return result, err
	}
	defer stop()
	dir := filepath.Join(b.dir, fmt.Sprintf("bulk-%d", people))
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	id, wanted, err := b.changed(ctx, dir, people, sim, actitoURL)
	if err != nil {
		return result, err
	}
	p, err := b.serve(ctx, dir)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	progress("syncing %d changed profiles", people)
	if result, err = syncAll(ctx, p, id, people, sim); err != nil {
		return result, err
	}
	return result, heldAsWanted(sim, wanted)
}

// changed makes a database in which so many people are due who have a profile:
// half of them have granted all and half have withdrawn all, and Actito holds
// the contrary. The integration is paused. wanted tells who has granted.
func (b *bench) changed(ctx context.Context, dir string, people int, sim *simulator.Actito, actitoURL string) (id string, wanted map[string]bool, err error) {
	p, err := b.serve(ctx, dir)
	if err != nil {
		return "", nil, err
	}
	id, err = pausedForBulk(ctx, p, actitoURL)
	if err := errors.Join(err, p.stop()); err != nil {
		return "", nil, err
	}
	progress("filling the store with %d people who are due", people)
	w, err := newWebhooks(people)
	if err != nil {
		return "", nil, err
	}
	wanted = make(map[string]bool, people)
	w.templates = [][]string{w.templates[0], w.templates[len(w.templates)-1]} // all withdrawn, all granted
	// One after the other, so that their order has nothing to do with where they
	// lie in the database.
	began := time.Now().Add(-time.Duration(people) * time.Millisecond)
	at := func(person int) time.Time { return began.Add(time.Duration(person) * time.Millisecond) }
	err = inStore(ctx, dir, func(e *sqlite.Engine, _ *store.Hasher) error {
		return acceptAll(ctx, e, w, at, func(batch []store.Inbound) error {
			for _, in := range batch {
				person, withdraws := in.Message.OrganizationUserID, in.Message.Withdraws()
				wanted[person] = !withdraws
				if _, err := sim.PutProfile(simulator.SampleEntity, simulator.SampleTableID,
					map[string]any{"emailAddress": person}, subscriptions(withdraws)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return "", nil, err
	}
	return id, wanted, confirmContrary(ctx, dir)
}

// pausedForBulk makes an integration that loads in bulk, and waits until nobody
// is left to be compared because it is new.
func pausedForBulk(ctx context.Context, p *process, actitoURL string) (id string, err error) {
	made, err := setUp(ctx, p.url, actitoURL, func(in object) {
		maps.Copy(in["properties"].(object), object{
			"calls_per_minute": oneByOne, "etl_id": simulator.SampleETL, "etl_updates_only": true,
			"attributes": []any{}, // what a file cannot hold would follow one by one
		})
	})
	if err != nil {
		return "", err
	}
	id = made.Integration
	at := p.url + "/v1/marketplace/integrations/" + id
	if err := ask(ctx, http.MethodPost, at+"/pause", nil, nil); err != nil {
		return "", err
	}
	for {
		var view integration.View
		if err := ask(ctx, http.MethodGet, at, nil, &view); err != nil || view.Reprojection == nil {
			return id, err
		}
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return "", err
		}
	}
}

func subscriptions(on bool) map[string]bool {
	return map[string]bool{"Newsletter": on, "Promotions": on, "SmsAlerts": on}
}

// confirmContrary writes down for everybody who is due that Actito confirmed
// the contrary of what they now want, past the store: by its own methods it
// would take as many loads to get there.
func confirmContrary(ctx context.Context, dir string) (err error) {
	known := func(on bool) string {
		k := consent.Known{}.Confirm(consent.Difference{Subscriptions: subscriptions(on)}, consent.TimeOf(time.Now()))
		text, _ := json.Marshal(k) // has no value that cannot be written
		return string(text)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "consentsync.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, `UPDATE deliveries SET known = CASE class WHEN ? THEN ? ELSE ? END`,
		int64(store.LiveWithdrawal), known(true), known(false))
	return err
}

// syncAll resumes the integration and follows its loads until nobody is due.
func syncAll(ctx context.Context, p *process, id string, people int, sim *simulator.Actito) (result bulked, err error) {
	sim.ResetCounters()
	at := p.url + "/v1/marketplace/integrations/" + id
	before, err := p.cpuTime()
	if err != nil {
		return result, err
	}
	began := time.Now()
	if err := ask(ctx, http.MethodPost, at+"/resume", map[string]any{}, nil); err != nil {
		return result, err
	}
	done := make(map[store.ID]time.Time)
	var plan integration.PlanView
	for {
		if err := wait(ctx, 250*time.Millisecond); err != nil {
			return result, err
		}
		plan = integration.PlanView{}
		if err := ask(ctx, http.MethodGet, at+"/plan", nil, &plan); err != nil {
			return result, err
		}
		open := false
		for _, l := range plan.Loads {
			if _, noted := done[l.ID]; l.State == store.LoadDone && !noted {
				done[l.ID] = time.Now()
			}
			open = open || l.State != store.LoadDone
			if l.State == store.LoadDone && l.Outcome != store.LoadConfirmed {
				return result, fmt.Errorf("a load ended as %s: %s", l.Outcome, l.Reason)
			}
		}
		if finished := int(plan.Spent.Loaded) + sim.CallCount(simulator.KindUpdate); !open && len(done) > 0 && finished >= people {
			break
		}
	}
	result.people, result.single, result.all = people, sim.CallCount(simulator.KindUpdate), time.Since(began)
	result.loads = timesOf(began, plan.Loads, done, sim)
	after, err1 := p.cpuTime()
	result.cpu = after - before
	var err2 error
	result.peak, err2 = p.peakMemory()
	return result, errors.Join(err1, err2)
}

// timesOf puts together what the program and the simulated Actito tell of loads.
func timesOf(began time.Time, loads []integration.LoadView, done map[store.ID]time.Time, sim *simulator.Actito) []bulkLoad {
	theirs := make(map[string]simulator.Load)
	for _, l := range sim.Loads() {
		theirs[l.ID] = l
	}
	bytes := make(map[string]int)
	for _, c := range sim.Calls() {
		if c.Kind == simulator.KindTrigger {
			bytes[c.Load] = c.FileBytes
		}
	}
	var list []bulkLoad
	for _, l := range slices.Backward(loads) { // the newest stands first
		x := theirs[l.Execution]
		list = append(list, bulkLoad{
			rows: int(l.People), fileBytes: bytes[x.ID],
			choosing: l.CreatedAt.Std().Sub(began), building: l.StartedAt.Sub(l.CreatedAt),
			handing: x.Started.Sub(l.StartedAt.Std()), actito: x.Finished.Sub(x.Started),
			noticing: l.EndedAt.Std().Sub(x.Finished), ending: done[l.ID].Sub(l.EndedAt.Std()),
		})
		began = done[l.ID]
	}
	return list
}

// heldAsWanted makes sure that nothing was only said to be synced.
func heldAsWanted(sim *simulator.Actito, wanted map[string]bool) error {
	profiles := sim.Profiles(simulator.SampleEntity, simulator.SampleTableID)
	for _, p := range profiles {
		person, _ := p.Attributes["emailAddress"].(string)
		for name, on := range subscriptions(wanted[person]) {
			if p.Subscriptions[name] != on {
				return fmt.Errorf("profile %d has %s %t, and should not", p.ID, name, !on)
			}
		}
	}
	if len(profiles) != len(wanted) {
		return fmt.Errorf("there are %d profiles of %d people", len(profiles), len(wanted))
	}
	return nil
}
