package simulator

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// run is a load under way.
type run struct {
	a       *Actito
	x       *execution
	etl     ETL
	columns []column
	file    []byte
	fate    Effect
	seen    map[string]struct{} // the keys so far
	// The cells of a row that are no key.
	attributes, subscriptions map[string]any
}

// runLoad puts a file's rows into its table, in simulated time, unless the
// simulation ends before.
func (a *Actito) runLoad(r *run) {
	reason, err := "", a.opts.Sleep(a.life, max(0, a.opts.LoadDelay))
	if err == nil {
		reason, err = r.rows()
	}
	r.file, r.seen = nil, nil
	a.loads.mu.Lock()
	defer a.loads.mu.Unlock()
	a.loads.running--
	a.loads.ended.Broadcast()
	if err != nil {
		return // the simulation has ended, the load has not
	}
	r.x.Finished, r.x.Reason, r.x.Status = a.opts.Now(), reason, LoadSucceeded
	switch {
	case reason != "":
		r.x.Status = LoadFailed
	case r.x.RowsInError > 0:
		r.x.Status = LoadSucceededInPart
	}
}

// rows goes through the file and says why it has to stop, if it has. The error
// is the end of the simulation.
func (r *run) rows() (reason string, err error) {
	records, openErr := openFile(r.file)
	if openErr != nil {
		return openErr.Error(), nil
	}
	end := -1
	switch r.fate {
	case EffectLoadFails:
		return loadFailedByInjection, nil
	case EffectLoadFailsMidway:
		end = r.count() / 2
	case EffectLoadPretends:
		rows := r.count()
		r.a.loads.mu.Lock()
		defer r.a.loads.mu.Unlock()
		r.x.Rows = rows
		return "", nil
	}
	_, _ = records.Read() // the header was read before
	r.seen = map[string]struct{}{}
	r.attributes, r.subscriptions = map[string]any{}, map[string]any{}
	pause := max(1, r.a.opts.LoadRowsPerSecond/40) // rows
	for n := 0; ; n++ {
		if r.a.opts.LoadRowsPerSecond > 0 && n > 0 && n%pause == 0 {
			err := r.a.opts.Sleep(r.a.life, time.Duration(pause)*time.Second/time.Duration(r.a.opts.LoadRowsPerSecond))
			if err != nil {
				return "", err
			}
		}
		if r.a.life.Err() != nil {
			return "", r.a.life.Err()
		}
		if n == end {
			return loadFailedByInjection, nil
		}
		cells, readErr := records.Read()
		switch {
		case errors.Is(readErr, io.EOF):
			return "", nil
		case readErr != nil:
			return fmt.Sprintf("row %d cannot be read", n+1), nil
		}
		if gone := r.row(n+1, cells); gone != nil {
			return gone.Error(), nil
		}
	}
}

// count tells how many rows the file has.
func (r *run) count() int {
	records, err := openFile(r.file)
	n := -1
	for ; err == nil; n++ {
		_, err = records.Read()
		if _, malformed := errors.AsType[*csv.ParseError](err); malformed {
			err = nil
		}
	}
	return n - 1
}

var errTableGone = errors.New("the table is gone")

// row applies one row and notes what came of it. The error stops the load.
func (r *run) row(n int, cells []string) error {
	key, err := r.understand(cells)
	if err == nil {
		err = r.put(key)
	}
	if errors.Is(err, errTableGone) {
		return err
	}
	r.a.loads.mu.Lock()
	defer r.a.loads.mu.Unlock()
	r.x.Rows++
	if err != nil {
		r.x.RowsInError++
		r.x.errors = append(r.x.errors, rowError{n, strings.Clone(key), err.Error()})
	}
	return nil
}

// understand reads a row's cells. An empty one blanks an attribute and turns a
// subscription off.
func (r *run) understand(cells []string) (key string, err error) {
	if len(cells) != len(r.columns) {
		return "", fmt.Errorf("the row has %d cells, the header %d", len(cells), len(r.columns))
	}
	clear(r.attributes)
	clear(r.subscriptions)
	for i, c := range r.columns {
		cell := cells[i]
		yes, isBool := fileTruth(cell)
		switch {
		case c.key:
			key = cell
		case c.subscription && (isBool || cell == ""):
			r.subscriptions[c.name] = yes
		case c.subscription:
			err = errors.Join(err, fmt.Errorf("subscription %s takes TRUE or FALSE", c.name))
		case cell == "":
			r.attributes[c.name] = nil
		case c.attribute.form() == "BOOLEAN" && isBool:
			r.attributes[c.name] = yes
		default:
			r.attributes[c.name] = strings.Clone(cell)
		}
	}
	_, twice := r.seen[key]
	switch {
	case key == "":
		return key, errors.New("the key is empty")
	case !utf8.ValidString(strings.Join(cells, "")):
		return key, errors.New("the row is not UTF-8")
	case twice:
		return key, errors.New("the key stands in the file twice")
	}
	key = strings.Clone(key)
	r.seen[key] = struct{}{}
	return key, err
}

// put changes a profile in the way that a call does.
func (r *run) put(key string) error {
	r.a.loads.mu.Lock()
	refuseKey := r.a.loads.refuse
	r.a.loads.mu.Unlock()
	if refuseKey != nil {
		if reason := refuseKey(key); reason != "" {
			return errors.New(reason)
		}
	}
	c := Change{At: r.a.opts.Now(), Kind: KindUpdate, Load: r.x.ID, Entity: r.x.Entity, Table: r.x.Table}
	return r.a.write(&c, func() error {
		t, err := r.a.table(r.x.Entity, r.x.Table)
		if err != nil {
			return errTableGone
		}
		p, err := t.find(profileKey{r.etl.Key, key})
		if err != nil {
			return err
		}
		next := t.blank()
		switch {
		case p != nil:
			c.Before, next = p.clone(), p.clone()
		case r.etl.Mode != CreateUpdate || r.etl.Key == attrProfileID:
			return refuse(http.StatusNotFound, "there is no such profile")
		default:
			c.Kind = KindCreate
			r.attributes[r.etl.Key] = key
		}
		if err := t.merge(&next, r.attributes, r.subscriptions); err != nil {
			return err
		}
		err = t.put(&next, c.At)
		c.After = next
		return err
	})
}
