package deliver

import (
	"context"

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

// columns gives the subscriptions that the file has: those that serve most people
// of a sample (R22). It gives none where too few people would share a file.
func (b *builder) columns(ctx context.Context) ([]string, error) {
	const enough = 1000
	var sample []plan.Cells
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
				sample = append(sample, cells(j))
			}
		}
		return seen < enough, nil
	})
	best, people := plan.Columns(sample)
	// A sample that is not the whole backlog stands for more than itself.
	if seen < enough && people < plan.MinRows || people*10 < plan.MinRows {
		return nil, err
	}
	return best, err
}

// cells tells what a file could have of a person.
func cells(j *job) plan.Cells {
	c := plan.Cells{Differ: j.whole.Subscriptions, Off: make(map[string]bool)}
	for name, want := range j.projection.Subscriptions {
		if _, differs := c.Differ[name]; !differs && !want.On {
			c.Off[name] = true
		}
	}
	return c
}

// fits tells whether a person can go by bulk at all.
func (b *builder) fits(j *job) bool {
	if len(j.whole.Subscriptions) == 0 || j.Readback > 0 || j.ReadbackAt > 0 || b.isBusy(j.profile()) || b.bulk.RowBytes(j.userID, 1) == 0 {
		return false
	}
	return plan.Loadable(b.i, j.Known)
}

// row gives what a person has in a file with these columns; ok is false for whom
// they do not suit.
func (b *builder) row(j *job, columns []string) (join store.Joining, ok bool) {
	on, ok := cells(j).In(columns)
	if !ok {
		return join, false
	}
	join.LoadRow = store.LoadRow{
		Person: j.Person, UserID: j.userID, Version: j.Version, Class: j.Class, DueAt: j.DueAt, On: on, Rest: len(j.whole.Attributes) > 0,
		Stranger: !j.Known.Confirmed() && !b.i.Settings.UpsertMode,
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
