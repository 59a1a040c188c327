package actito

import (
	"context"
	"io"
	"iter"
	"net/http"
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
)

// MaxLoadBytes is what Actito takes of a zipped file. A load keeps its text
// below it too, so that it cannot depend on how well the text shrinks, nor on
// which of the two is meant.
const MaxLoadBytes = 100_000_000

const (
	maxResult     = 32 << 20 // of an execution's own answer
	maxResultFile = 2 * MaxLoadBytes
)

// fileTimeout bounds a call that carries a file, either way: 100 MB in that time
// need 1.4 Mbit/s.
const fileTimeout = 10 * time.Minute

// Load is one file for an ETL, which somebody has set up in Actito for the
// columns that LoadColumns gives.
type Load struct {
	Entity, ETLID string
	KeyAttribute  string   // heads the first column
	Subscriptions []string // the other columns, in this order
	// Rows is read once. An error ends it, and nothing is sent.
	Rows iter.Seq2[LoadRow, error]
}

// LoadRow is one profile of a load: its unique key's value, and one on or off
// for each subscription.
type LoadRow struct {
	Key string
	On  []bool
}

// LoadState is how far an execution has come.
type LoadState string

// The states of an execution.
const (
	LoadRunning LoadState = "running"
	// LoadSucceeded may still have refused rows.
	LoadSucceeded LoadState = "succeeded"
	// LoadFailed says nothing of the rows: some may have been applied before.
	LoadFailed LoadState = "failed"
)

// LoadResult is what Actito tells about an execution.
type LoadResult struct {
	State  LoadState
	Status string // as Actito names it
	Reason string // why it failed, as far as told, cut and masked
	// Told says that the load has succeeded and that every row it refused is
	// among Refused, with its key or its number: a row that is not, nor stands
	// beside one told by its number alone, was applied. Where it is false no
	// row may be taken for applied.
	Told bool
	// Refused gives the refused rows that were told, also where Told is false.
	// It is nil for none and can be read once. Whoever meets a key in it that the
	// load did not hold must take the result for not told: Actito may write
	// keys in a form of its own.
	Refused iter.Seq2[RefusedRow, error]
}

// RefusedRow is a row that was not applied.
type RefusedRow struct {
	// Row counts from 1 after the header, 0 if it is not told. Whether Actito
	// counts so is not known: it may be one off, in either direction.
	Row    int
	Key    string // empty if it is not told
	Reason string // cut and masked
}

// TriggerLoad writes the rows to a file and hands it to the ETL. It gives the id
// of the execution, which has only begun then. It needs little memory however
// many rows there are.
//
// The error is NotFound when there is no such ETL, Invalid when the file is
// refused or a row has no key or another number of cells than the load has
// columns, TooLarge beyond MaxLoadBytes, RateLimited when the table had its
// loads for today, and Unclear when an execution may have begun.
func (c *Client) TriggerLoad(ctx context.Context, l Load) (executionID string, err error) {
	const op = "actito.TriggerLoad"
	if err := l.check(op); err != nil {
		return "", err
	}
	file, err := writeLoad(ctx, op, l)
	if err != nil {
		return "", err
	}
	defer file.Close()
	req, err := c.api.trigger(l, file)
	if err != nil {
		return "", err
	}
	err = c.tokens.Try(ctx, func(token string) error {
		executionID, err = c.start(ctx, req, l, token)
		return err
	})
	if outbound.StatusOf(err) == http.StatusRequestEntityTooLarge {
		return "", &consent.Error{
			Kind: consent.TooLarge, Op: op, Err: err, Message: "Actito finds the file too large (413)",
		}
	}
	return executionID, err
}

func (c *Client) start(ctx context.Context, req call, l Load, token string) (string, error) {
	resp, err := c.do(outbound.WithTimeout(ctx, fileTimeout), req, token)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	// What can be read of an answer that breaks off may still name the id.
	id := c.api.parseTrigger(l, resp.Header, outbound.ReadBrief(resp))
	if id == "" {
		return "", consent.Errorf(consent.Unclear, req.op,
			"Actito took the file, and its answer names no execution (%d)", resp.StatusCode)
	}
	return id, nil
}

func (l Load) check(op string) error {
	if l.KeyAttribute == "" || len(l.Subscriptions) == 0 || l.Rows == nil {
		return consent.Errorf(consent.Invalid, op, "a load needs a key, subscriptions and rows")
	}
	return checkSegments(op, "entity", l.Entity, "ETL", l.ETLID)
}

// LoadResult asks how an execution went. The key attribute is the load's: by
// its name a refused row may tell its key. The error is NotFound when there is
// no such execution, and TooLarge when Actito tells more than can be taken in.
func (c *Client) LoadResult(ctx context.Context, entity, executionID, keyAttribute string) (LoadResult, error) {
	const op = "actito.LoadResult"
	if err := checkSegments(op, "entity", entity, "execution", executionID); err != nil {
		return LoadResult{}, err
	}
	body, err := c.fetch(ctx, c.api.execution(entity, executionID))
	if err != nil {
		return LoadResult{}, err
	}
	rep, err := c.api.parseExecution(body, keyAttribute)
	if err != nil {
		return LoadResult{}, unreadable(op, err)
	}
	result := LoadResult{State: rep.state, Status: c.masked(rep.status)}
	if rep.state == LoadFailed {
		result.Reason = c.masked(rep.reason)
	}
	if rep.state != LoadSucceeded {
		return result, nil
	}
	result.Told = rep.told()
	if rep.rows.refused > 0 {
		result.Refused = c.hideIn(once(rep.refused()))
	}
	if result.Told {
		return result, nil
	}
	if result.Told = rep.numbered(); result.Told {
		return result, nil
	}
	return c.lookIntoFiles(ctx, rep, keyAttribute, result)
}

// lookIntoFiles asks the files that an execution links to, until one tells.
func (c *Client) lookIntoFiles(ctx context.Context, rep *report, keyAttribute string, result LoadResult) (LoadResult, error) {
	for _, link := range slices.Concat(rep.errorFiles, rep.resultFiles) {
		req, ok := c.api.resultFile(c.base, link)
		if !ok {
			continue
		}
		rows, told, err := c.resultRows(ctx, req, rep, link, keyAttribute)
		switch consent.KindOf(err) {
		case consent.Transient, consent.RateLimited, consent.Unauthorized:
			return LoadResult{}, err
		}
		if err == nil && told {
			result.Told, result.Refused = true, rows
			return result, nil
		}
	}
	return result, nil
}

// resultRows fetches a file and gives the refused rows in it. An error of a kind
// that may pass means that the file could not be had now, any other that it
// tells nothing.
func (c *Client) resultRows(ctx context.Context, req call, rep *report, link resultLink, keyAttribute string) (
	rows iter.Seq2[RefusedRow, error], told bool, err error,
) {
	file, err := c.download(ctx, req)
	if err != nil {
		return nil, false, err
	}
	kept := false
	defer func() {
		if !kept {
			file.Close()
		}
	}()
	table := &resultTable{file: file, key: keyAttribute, onlyRefused: link.onlyRefused}
	found, err := table.survey()
	if err != nil || !rep.toldBy(found) {
		return nil, false, err
	}
	if found.refused == 0 {
		return nil, true, nil
	}
	kept = true
	return c.hideIn(once(func(yield func(RefusedRow, error) bool) {
		defer file.Close()
		table.rows()(yield)
	})), true, nil
}

// download puts the body of an answer into a temporary file.
func (c *Client) download(ctx context.Context, req call) (*scratch, error) {
	file, err := newScratch(req.op)
	if err != nil {
		return nil, err
	}
	err = c.tokens.Try(ctx, func(token string) error {
		resp, err := c.do(outbound.WithTimeout(ctx, fileTimeout), req, token)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		n, err := io.Copy(file.File, io.LimitReader(resp.Body, maxResultFile+1))
		if n > maxResultFile {
			return consent.Errorf(consent.TooLarge, req.op, "the file is larger than %d bytes", maxResultFile)
		}
		file.size = n
		return brokenOff(req.op, err)
	})
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// fetch is call, for an answer that may be long.
func (c *Client) fetch(ctx context.Context, req call) (body []byte, err error) {
	err = c.tokens.Try(ctx, func(token string) error {
		resp, err := c.do(ctx, req, token)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err = outbound.ReadBody(resp, maxResult)
		return brokenOff(req.op, err)
	})
	return body, err
}
