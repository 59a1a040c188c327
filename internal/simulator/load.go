package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// ETLMode says what becomes of a row for which there is no profile.
type ETLMode string

// The modes of an ETL.
const (
	UpdateOnly   ETLMode = "UPDATE_ONLY"
	CreateUpdate ETLMode = "CREATE_UPDATE"
)

// ETL puts the rows of files into a table. A file has a header line; the columns
// are attributes, by their name, and subscriptions, like subscriptions#Name.
type ETL struct {
	ID    string
	Table string // its id
	Key   string // the unique attribute that has to be a column
	Mode  ETLMode
}

// LoadResults says what an execution tells about its rows. None of it is
// documented.
type LoadResults string

// The forms of an execution's result.
const (
	LoadResultsRows   LoadResults = "rows"   // numbers and a list of the refused rows
	LoadResultsCounts LoadResults = "counts" // numbers
	LoadResultsNone   LoadResults = "none"   // the status, which is SUCCESS however many were refused
	LoadResultsFile   LoadResults = "file"   // a link to a CSV of the refused rows
)

// The statuses of an execution. Only SUCCESS is documented.
const (
	LoadRunning           = "RUNNING"
	LoadSucceeded         = "SUCCESS"
	LoadSucceededInPart   = "SUCCESS_WITH_ERRORS"
	LoadFailed            = "FAILED"
	loadFailedByInjection = "an injected fault"
)

// Load is an execution of an ETL.
type Load struct {
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	// Finished is zero while it runs.
	Finished time.Time `json:"finished,omitzero"`
	ETL      string    `json:"etl"`
	Entity   string    `json:"entity"`
	Table    string    `json:"table"`
	Status   string    `json:"status"`
	Reason   string    `json:"reason,omitempty"` // of a failure
	// Rows were read so far, those in error included.
	Rows        int `json:"rows"`
	RowsInError int `json:"rowsInError"`
}

type rowError struct {
	Row     int    `json:"row"` // the first after the header is 1
	Key     string `json:"key"`
	Message string `json:"message"`
}

// execution is a load with all that belongs to it; loads.mu guards it.
type execution struct {
	Load
	errors []rowError
}

type loads struct {
	mu      sync.Mutex
	ended   *sync.Cond
	running int
	list    []*execution
	recent  map[string][]time.Time // by table, of the last 24 hours
	refuse  func(key string) string
}

func newLoads() *loads {
	l := &loads{recent: map[string][]time.Time{}}
	l.ended = sync.NewCond(&l.mu)
	return l
}

func (l *loads) newDay() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.recent)
}

// AddETL makes an ETL, and its entity if need be. It replaces one of the same id.
func (a *Actito) AddETL(entity string, etl ETL) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.madeEntity(entity)
	e.etls = append(slices.DeleteFunc(e.etls, func(other ETL) bool { return other.ID == etl.ID }), etl)
}

// RefuseInLoads has f look at the key of each row: a row for which it gives a
// text is refused with that.
func (a *Actito) RefuseInLoads(f func(key string) string) {
	a.loads.mu.Lock()
	defer a.loads.mu.Unlock()
	a.loads.refuse = f
}

// Loads gives copies of the loads begun, in their order.
func (a *Actito) Loads() []Load {
	a.loads.mu.Lock()
	defer a.loads.mu.Unlock()
	list := make([]Load, len(a.loads.list))
	for i, x := range a.loads.list {
		list[i] = x.Load
	}
	return list
}

// SettleLoads returns when no load runs, but for those that an injected fault
// keeps from ending.
func (a *Actito) SettleLoads() {
	a.loads.mu.Lock()
	defer a.loads.mu.Unlock()
	for a.loads.running > 0 {
		a.loads.ended.Wait()
	}
}

// routeLoads finds out what a path below an entity is for. That of an execution
// stands as a link in the sample of a webhook
// (https://developers.actito.com/docs/integration-framework/webhooks/events/triggers),
// the one that triggers is documented
// (https://developers.actito.com/docs/use-cases/datasync/api/migrating-v4-imports),
// that of the refused rows is ours.
func (q *request) routeLoads(entity string, parts []string) bool {
	get := func(kind Kind) map[string]Kind { return map[string]Kind{http.MethodGet: kind} }
	q.entity = entity
	switch {
	case len(parts) == 3 && parts[0] == "etls" && parts[2] == "trigger-execution":
		q.etl = parts[1]
		q.choose(map[string]Kind{http.MethodPost: KindTrigger})
	case len(parts) == 2 && parts[0] == "etl-executions":
		q.load = parts[1]
		q.choose(get(KindExecution))
	case len(parts) == 3 && parts[0] == "etl-executions" && parts[2] == "row-errors":
		q.load = parts[1]
		q.choose(get(KindRowErrors))
	default:
		return false
	}
	return true
}

// etl finds an ETL and its table, with Actito.mu held.
func (a *Actito) etl(q *request) (ETL, *table, error) {
	e := a.entity(q.entity)
	if e == nil {
		return ETL{}, nil, refuse(http.StatusNotFound, "there is no entity %q", q.entity)
	}
	i := slices.IndexFunc(e.etls, func(etl ETL) bool { return etl.ID == q.etl })
	if i < 0 {
		return ETL{}, nil, refuse(http.StatusNotFound, "there is no ETL %q", q.etl)
	}
	t, err := a.table(q.entity, e.etls[i].Table)
	return e.etls[i], t, err
}

// triggerLoad looks at the file as far as its header and begins an execution.
func (a *Actito) triggerLoad(q *request) (outcome, error) {
	a.mu.Lock()
	etl, t, err := a.etl(q)
	var columns []column
	if err == nil {
		columns, err = t.columnsOf(q.file, etl)
	}
	a.mu.Unlock()
	if err != nil {
		return outcome{}, err
	}
	x, ok := a.begin(q, etl)
	if !ok {
		out := refused(refuse(http.StatusTooManyRequests, "too many loads of this table today"))
		out.setRetryAfter(a.opts.RetryAfter)
		return out, nil
	}
	q.load = x.ID
	if q.fate != EffectLoadStalls {
		go a.runLoad(&run{a: a, x: x, etl: etl, columns: columns, file: q.file, fate: q.fate})
	}
	return answer(http.StatusAccepted, map[string]string{"id": x.ID}), nil
}

// begin makes an execution unless the table had its loads of the last 24 hours.
func (a *Actito) begin(q *request, etl ETL) (*execution, bool) {
	now, name := a.opts.Now(), q.entity+"/"+etl.Table
	l := a.loads
	l.mu.Lock()
	defer l.mu.Unlock()
	recent := slices.DeleteFunc(l.recent[name], func(t time.Time) bool { return !t.After(now.Add(-24 * time.Hour)) })
	if a.opts.LoadsPerDay >= 0 && len(recent) >= a.opts.LoadsPerDay {
		return nil, false
	}
	l.recent[name] = append(recent, now)
	x := &execution{Load: Load{
		ID: strconv.Itoa(1001 + len(l.list)), Started: now,
		ETL: etl.ID, Entity: q.entity, Table: etl.Table, Status: LoadRunning,
	}}
	l.list = append(l.list, x)
	if q.fate != EffectLoadStalls {
		l.running++
	}
	return x, true
}

// found gives an execution, with loads.mu held.
func (l *loads) found(q *request) (*execution, error) {
	for _, x := range l.list {
		if x.ID == q.load && x.Entity == q.entity {
			return x, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "there is no execution %q", q.load)
}

func (a *Actito) readExecution(q *request) (outcome, error) {
	a.loads.mu.Lock()
	defer a.loads.mu.Unlock()
	x, err := a.loads.found(q)
	if err != nil {
		return outcome{}, err
	}
	status := x.Status
	if status == LoadSucceededInPart && a.opts.LoadResults == LoadResultsNone {
		status = LoadSucceeded
	}
	body := map[string]any{"id": x.ID, "etl": map[string]string{"id": x.ETL}, "status": status}
	if x.Reason != "" {
		body["message"] = x.Reason
	}
	if x.Finished.IsZero() {
		return answer(http.StatusOK, body), nil
	}
	switch a.opts.LoadResults {
	case LoadResultsRows:
		body["rowErrors"] = append([]rowError{}, x.errors...) // an empty list is one
		fallthrough
	case LoadResultsCounts:
		body["rows"], body["rowsInError"] = x.Rows, x.RowsInError
	case LoadResultsFile:
		href := fmt.Sprintf("/mass-imports/v5/entities/%s/etl-executions/%s/row-errors", q.entity, x.ID)
		body["_links"] = map[string]any{"rowErrors": map[string]string{"href": href}}
	}
	return answer(http.StatusOK, body), nil
}
