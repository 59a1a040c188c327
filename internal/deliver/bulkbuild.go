package deliver

import (
	"context"
	"maps"
	"slices"
	"strings"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

// builder chooses who goes into a load.
type builder struct {
	*courier
	i        *store.Integration
	target   Target
	bulk     Bulk
	decision plan.Decision
	stale    bool // the integration was changed meanwhile
}

// buildPage is how many people are looked at, and put into a load, at a time.
const buildPage = 200

// pages walks through what is due, from the most urgent class of the decision
// on and behind those whom the single lane will have served sooner.
func (b *builder) pages(ctx context.Context, f func([]*store.Delivery) (more bool, err error)) error {
	k := store.IntegrationKey{Organization: b.i.Organization, ID: b.i.ID}
	leave := b.decision.Leave
	for class := range store.Class(plan.Classes) {
		var cursor store.DueCursor
		for {
			page, err := b.store.DuePage(ctx, k, store.TargetActito, class, cursor, buildPage)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			cursor = store.After(page[len(page)-1])
			skip := min(leave, len(page))
			leave -= skip
			if page = page[skip:]; len(page) == 0 {
				continue
			}
			if more, err := f(page); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// columns gives the set of subscriptions that the most people of a sample
// have to have written: a file has one set of columns, and every cell of it is
// filled (R22). It gives none where too few people would share a file.
func (b *builder) columns(ctx context.Context) ([]string, error) {
	const sample = 1000
	sets := make(map[string][]string)
	counts := make(map[string]int)
	seen := 0
	err := b.pages(ctx, func(page []*store.Delivery) (bool, error) {
		for _, d := range page {
			j, err := b.prepare(ctx, b.i, b.target, d)
			if err != nil {
				if consent.KindOf(err) == consent.Transient {
					return false, err
				}
				continue // the single lane sets the person aside
			}
			seen++
			if b.fits(j) {
				names := slices.Sorted(maps.Keys(j.whole.Subscriptions))
				name := strings.Join(names, "\x00")
				sets[name] = names
				counts[name]++
			}
		}
		return seen < sample, nil
	})
	best := ""
	for name, n := range counts {
		if n > counts[best] || n == counts[best] && name < best {
			best = name
		}
	}
	// A sample that is not the whole backlog stands for more than itself.
	if seen < sample && counts[best] < plan.MinRows || counts[best]*10 < plan.MinRows {
		return nil, err
	}
	return sets[best], err
}

// fits tells whether a person can go by bulk at all.
func (b *builder) fits(j *job) bool {
	if len(j.whole.Subscriptions) == 0 || j.Readback > 0 || j.ReadbackAt > 0 || b.isBusy(j.profile()) || b.bulk.RowBytes(j.userID, 1) == 0 {
		return false
	}
	return plan.Loadable(b.i, j.Known)
}

// row gives what a person has in a file with these columns. What the file has
// beyond the difference must be off already: to write a refusal once more does
// no harm, to write a grant once more could undo a choice made in Actito.
func (b *builder) row(j *job, columns []string) (store.Joining, bool) {
	join := store.Joining{LoadRow: store.LoadRow{
		Person: j.Person, UserID: j.userID, Version: j.Version, Class: j.Class, DueAt: j.DueAt, Rest: len(j.whole.Attributes) > 0,
		Stranger: !j.Known.Confirmed() && !b.i.Settings.UpsertMode,
	}}
	sent := 0
	for _, name := range columns {
		on, differs := j.whole.Subscriptions[name]
		want, wanted := j.projection.Subscriptions[name]
		switch {
		case differs:
			sent++
		case !wanted || want.On:
			return join, false
		}
		join.On = append(join.On, on)
	}
	if sent < len(j.whole.Subscriptions) {
		return join, false
	}
	join.Doubt = j.Known.Doubt(join.Difference(columns))
	return join, true
}

// fill puts all who share the columns into the load, until the file is full.
func (b *builder) fill(ctx context.Context, load *store.Load) error {
	room := b.bulk.MostBytes() - b.bulk.RowBytes(string(make([]byte, 255)), 0) // the header
	for _, name := range load.Columns {
		room -= 2*len(name) + 32
	}
	return b.pages(ctx, func(page []*store.Delivery) (bool, error) {
		var joining []store.Joining
		for _, d := range page {
			j, err := b.prepare(ctx, b.i, b.target, d)
			if err != nil {
				if consent.KindOf(err) == consent.Transient {
					return false, err
				}
				continue
			}
			if !b.fits(j) {
				continue
			}
			join, ok := b.row(j, load.Columns)
			if size := b.bulk.RowBytes(j.userID, len(load.Columns)); ok && size > 0 {
				if room -= size; room < 0 {
					break
				}
				joining = append(joining, join)
			}
		}
		changed, err := b.changed(ctx, b.i)
		if err != nil || changed {
			b.stale = changed // what was compared under old settings is not sent
			return false, err
		}
		if len(joining) > 0 {
			if _, err := b.store.JoinLoad(ctx, b.currentLease(), load, joining); err != nil {
				return false, err
			}
		}
		return room >= 0, ctx.Err()
	})
}
