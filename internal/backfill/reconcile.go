package backfill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// ReconcileStore is what reconciling needs of the database.
type ReconcileStore interface {
	Now(ctx context.Context) (consent.Time, error)
	Integration(ctx context.Context, k store.IntegrationKey) (*store.Integration, error)
	StartReconciliation(ctx context.Context, r *store.Reconciliation, changes ...store.Change) error
	Reconciliation(ctx context.Context, k store.IntegrationKey, id store.ID) (*store.Reconciliation, error)
	Reconciliations(ctx context.Context, k store.IntegrationKey, limit int) ([]*store.Reconciliation, error)
	Reconciling(ctx context.Context) ([]*store.Reconciliation, error)
	StageHeld(ctx context.Context, r *store.Reconciliation, rows []store.HeldRow) error
	HeldRows(ctx context.Context, r *store.Reconciliation, slice int) ([]store.HeldRow, error)
	SaveReconciliation(ctx context.Context, r *store.Reconciliation, s store.ReconciliationStep) error
	Reprojection(ctx context.Context, k store.IntegrationKey) (r store.Reprojection, ok bool, err error)
	ForgetHeld(ctx context.Context, k store.IntegrationKey, keep store.ID, limit int) (more bool, err error)
	StartRetry(ctx context.Context, k store.IntegrationKey, only store.Only, changes ...store.Change) error
	AllIntegrations(ctx context.Context, after store.IntegrationKey, limit int) ([]*store.Integration, error)
	People
}

// Reconciler compares what Actito holds, as an export of the table or reads of its
// profiles say, with what it should hold, and repairs as far as the policy lets it.
//
// It believes them only where nothing is known since they were made. It turns
// nothing on without everybody being counted first (R23). What is read, and when,
// see RunReads.
type Reconciler struct {
	Store  ReconcileStore
	Hasher *store.Hasher
	Holds  func(licence string) bool
	// Read reads a person's profile when nothing else wants the call, as
	// deliver.Engine.ReadSpare does. Subscriptions is nil if the answer does not
	// tell them.
	Read func(ctx context.Context, i *store.Integration, userID string) (subscriptions map[string]bool, at consent.Time, err error)
	// Due and Changed: see Importer.
	Due, Changed func()
	Log          *slog.Logger
	Metrics      *Metrics // nil tells nothing

	readers readers
}

// ReconcileInput is how a reconciliation is to be made.
type ReconcileInput struct {
	// AsOf is when the export was made, in RFC 3339.
	AsOf   string `json:"as_of"`
	Policy string `json:"policy"` // report, withdrawals-only (default) or all
	// Source names the file, for a rerun that goes on with it.
	Source string `json:"source"`
	// Columns are the subscriptions that the rows have.
	Columns []string `json:"columns"`
}

// ReconciliationView is a reconciliation as it is shown.
type ReconciliationView struct {
	ID            string                    `json:"id"`
	IntegrationID string                    `json:"integration_id"`
	State         store.ReconciliationState `json:"state"`
	Policy        store.Policy              `json:"policy"`
	AsOf          consent.Time              `json:"as_of"`
	Source        string                    `json:"source"`
	Columns       []string                  `json:"columns"`
	Rows          int64                     `json:"rows"`
	Fingerprint   string                    `json:"fingerprint"`
	StartedAt     consent.Time              `json:"started_at"`
	EndedAt       *consent.Time             `json:"ended_at"`
	Report        store.DriftReport         `json:"report"`
}

func reconciliationView(r *store.Reconciliation) *ReconciliationView {
	v := &ReconciliationView{
		r.RunID.String(), r.ID, r.State, r.Policy, r.AsOf, r.Source, r.Columns, r.Rows, r.Fingerprint, r.StartedAt, r.EndedAt.OrNil(), r.Report,
	}
	for _, list := range []*[]string{&v.Columns, &v.Report.UnknownSubscriptions, &v.Report.MissingColumns} {
		if *list == nil {
			*list = []string{}
		}
	}
	if v.Report.Examples == nil {
		v.Report.Examples = []store.DriftExample{}
	}
	return v
}

const mostColumns = 1000

// Start begins a reconciliation, in the place of one that is not done.
func (c *Reconciler) Start(ctx context.Context, k store.IntegrationKey, in ReconcileInput) (*ReconciliationView, error) {
	i, err := c.Store.Integration(ctx, k)
	if err != nil {
		return nil, err
	}
	now, err := c.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	r := &store.Reconciliation{
		IntegrationKey: k, RunID: store.NewID(), State: store.ReconciliationLoading, Policy: store.PolicyWithdrawals, Source: in.Source,
		Columns: in.Columns, StartedAt: now,
	}
	if in.Policy != "" {
		r.Policy = store.Policy(in.Policy)
	}
	switch err := r.AsOf.UnmarshalText([]byte(in.AsOf)); {
	case err != nil || in.AsOf == "":
		return nil, incoming.RefuseField("as_of", "must be when the export was made, such as 2026-11-02T09:00:00Z")
	case r.AsOf > now:
		return nil, incoming.RefuseField("as_of", "must not lie ahead")
	case !slices.Contains([]store.Policy{store.PolicyReport, store.PolicyWithdrawals, store.PolicyAll}, r.Policy):
		return nil, incoming.RefuseField("policy", "must be report, withdrawals-only or all")
	case in.Source == store.SourceReads:
		return nil, incoming.RefuseField("source", fmt.Sprintf("must be another name: %q are the profiles that the server reads by itself", store.SourceReads))
	case in.Source != "" && !nameable(in.Source):
		return nil, incoming.RefuseField("source", fmt.Sprintf("must be a text of at most %d bytes", mostName))
	case len(in.Columns) == 0 || len(in.Columns) > mostColumns:
		return nil, incoming.RefuseField("columns", fmt.Sprintf("must name 1 to %d subscriptions", mostColumns))
	}
	mapped := 0
	for n, name := range in.Columns {
		if name == "" || slices.Contains(in.Columns[:n], name) {
			return nil, incoming.RefuseField("columns", fmt.Sprintf("column %d is empty or named twice", n+1))
		}
		if _, there := i.Snapshot.Subscription(name); !there {
			r.Report.UnknownSubscriptions = append(r.Report.UnknownSubscriptions, name)
		}
	}
	for _, m := range i.Settings.Mappings {
		if slices.Contains(in.Columns, m.ID) {
			mapped++
		} else {
			r.Report.MissingColumns = append(r.Report.MissingColumns, m.ID)
		}
	}
	if mapped == 0 {
		return nil, incoming.RefuseField("columns", "none of them is a subscription that the integration maps: is it the export of its table?")
	}
	details := []store.Detail{{Name: "policy", Is: string(r.Policy)}, {Name: "as_of", Is: in.AsOf}}
	if err := c.Store.StartReconciliation(ctx, r, changes.New(ctx, now.Std(), k.Organization, k.ID, "reconciliation.started", details...)); err != nil {
		return nil, err
	}
	return reconciliationView(r), nil
}

// HeldPart is a part of an export: rows, one a line.
type HeldPart struct {
	From        int64 // how many rows come before
	Fingerprint string
	Body        []byte
}

// heldRow is what a line says: the value of the unique key, and the subscriptions
// that the export says something of.
type heldRow struct {
	Key           string          `json:"key"`
	Subscriptions map[string]bool `json:"subscriptions"`
}

// Take takes a part of the export.
func (c *Reconciler) Take(ctx context.Context, k store.IntegrationKey, id string, p HeldPart) (*ReconciliationView, error) {
	r, err := c.one(ctx, k, id)
	if err != nil {
		return nil, err
	}
	switch {
	case r.State != store.ReconciliationLoading:
		return nil, consent.Errorf(consent.Conflict, "backfill.Take", "the reconciliation takes no more rows: it is %s", r.State)
	case p.From != r.Rows:
		return nil, consent.Errorf(consent.Conflict, "backfill.Take", "it goes on after row %d, not after row %d", r.Rows, p.From)
	}
	lines := bytes.Split(bytes.TrimSuffix(p.Body, []byte("\n")), []byte("\n"))
	if len(lines) > mostPartRows {
		return nil, consent.Errorf(consent.TooLarge, "backfill.Take", "a part has at most %d rows: send smaller ones", mostPartRows)
	}
	column := make(map[string]int, len(r.Columns))
	for n, name := range r.Columns {
		column[name] = n
	}
	var rows []store.HeldRow
	for n, line := range lines {
		var in heldRow
		if err := json.Unmarshal(line, &in); err != nil || in.Key == "" {
			r.Report.Unreadable++
			continue
		}
		cells := bytes.Repeat([]byte("-"), len(r.Columns))
		for name, on := range in.Subscriptions {
			at, there := column[name]
			if !there {
				return nil, incoming.RefuseField("subscriptions", fmt.Sprintf("row %d has %q, which is none of the columns", r.Rows+int64(n)+1, clipped(name)))
			}
			cells[at] = '0'
			if on {
				cells[at] = '1'
			}
		}
		rows = append(rows, store.HeldRow{Person: c.Hasher.Person(k.Organization, consent.Subject{OrganizationUserID: in.Key}), Cells: string(cells)})
	}
	r.Rows, r.Fingerprint = r.Rows+int64(len(lines)), p.Fingerprint
	if err := c.Store.StageHeld(ctx, r, rows); err != nil {
		return nil, err
	}
	return reconciliationView(r), nil
}

// End says that all rows are there: comparing begins.
func (c *Reconciler) End(ctx context.Context, k store.IntegrationKey, id string) (*ReconciliationView, error) {
	r, err := c.one(ctx, k, id)
	if err != nil {
		return nil, err
	}
	switch {
	case r.State == store.ReconciliationReplaced:
		return nil, r.Superseded()
	case r.State != store.ReconciliationLoading:
		return reconciliationView(r), nil
	case r.Rows == r.Report.Unreadable:
		return nil, consent.Errorf(consent.Conflict, "backfill.End", "no row of it could be read, so that everybody would seem to be missing: send the rows first")
	}
	r.State = store.ReconciliationComparing
	if err := c.Store.SaveReconciliation(ctx, r, store.ReconciliationStep{}); err != nil {
		return nil, err
	}
	return reconciliationView(r), nil
}

// Get reads one.
func (c *Reconciler) Get(ctx context.Context, k store.IntegrationKey, id string) (*ReconciliationView, error) {
	r, err := c.one(ctx, k, id)
	if err != nil {
		return nil, err
	}
	return reconciliationView(r), nil
}

func (c *Reconciler) one(ctx context.Context, k store.IntegrationKey, id string) (*store.Reconciliation, error) {
	var run store.ID
	if run.UnmarshalText([]byte(id)) != nil {
		return nil, consent.Errorf(consent.NotFound, "backfill.Reconciliation", "no such reconciliation")
	}
	return c.Store.Reconciliation(ctx, k, run)
}

// List reads those of an integration, the newest first: how drift develops.
func (c *Reconciler) List(ctx context.Context, k store.IntegrationKey, limit int) (views []*ReconciliationView, err error) {
	if _, err := c.Store.Integration(ctx, k); err != nil {
		return nil, err
	}
	found, err := c.Store.Reconciliations(ctx, k, limit)
	views = []*ReconciliationView{}
	for _, r := range found {
		views = append(views, reconciliationView(r))
	}
	return views, err
}

// Run compares until ctx ends.
func (c *Reconciler) Run(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		if err := c.work(ctx); err != nil && ctx.Err() == nil {
			c.Log.ErrorContext(ctx, "a reconciliation failed, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// work goes on with every reconciliation of the licences that this node holds. An
// error of one holds up no other.
func (c *Reconciler) work(ctx context.Context) error {
	running, err := c.Store.Reconciling(ctx)
	for _, r := range running {
		if e := c.compare(ctx, r); e != nil && consent.KindOf(e) != consent.Conflict && ctx.Err() == nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

// compare compares everybody who is left. Conflict if that is not to be done now.
func (c *Reconciler) compare(ctx context.Context, r *store.Reconciliation) error {
	if _, err := c.ours(ctx, r); err != nil {
		return err // before anybody is read
	}
	held := heldAfter(r.Cursor)
	err := walk(ctx, c.Store, r.IntegrationKey, r.Cursor, func(people []*store.Compared, end []byte) error {
		for more := true; more; {
			i, err := c.ours(ctx, r)
			if err != nil {
				return err
			}
			rows, to, err := held.upTo(ctx, c.Store, r, end)
			if err != nil {
				return err
			}
			some := upTo(people, to)
			if err := c.page(ctx, i, r, some, rows, to); err != nil {
				return err
			}
			people, more = people[len(some):], !bytes.Equal(to, end)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.finish(ctx, r)
}

// ours gives the integration as it is now. Conflict if the reconciliation is not
// ours to go on with: it is gone with its integration, another node does, or
// everybody is being compared already.
// What is to be turned on must not come between those whom that has counted (R23).
func (c *Reconciler) ours(ctx context.Context, r *store.Reconciliation) (*store.Integration, error) {
	i, err := c.Store.Integration(ctx, r.IntegrationKey)
	switch {
	case consent.KindOf(err) == consent.NotFound, err == nil && !c.Holds(i.Licence):
		return nil, consent.Errorf(consent.Conflict, "backfill.reconcile", "another node goes on, or the integration is gone")
	case err != nil:
		return nil, err
	}
	return i, c.uncounted(ctx, r)
}

// uncounted is an error, Conflict, while everybody is being compared and what is to
// be turned on would come between.
func (c *Reconciler) uncounted(ctx context.Context, r *store.Reconciliation) error {
	if r.Policy != store.PolicyAll {
		return nil
	}
	_, running, err := c.Store.Reprojection(ctx, r.IntegrationKey)
	if err == nil && running {
		err = consent.Errorf(consent.Conflict, "backfill.reconcile", "everybody is being compared")
	}
	return err
}
