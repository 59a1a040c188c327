package store

import (
	"context"
	"fmt"
	"time"

	"consentsync/internal/consent"
)

// Lane is a part of an organization's inbox.
type Lane int8

// The lanes. What was set aside could not be merged and is tried again when
// the program starts.
const (
	UrgentLane   Lane = iota // may turn something off: merged first
	OrdinaryLane             // the rest
	AsideLane
)

// LaneOf gives the lane that a webhook waits in.
func LaneOf(in *Inbound) Lane {
	if in.Urgent() {
		return UrgentLane
	}
	return OrdinaryLane
}

// InboxKey names one lane of an organization's inbox.
type InboxKey struct {
	Organization string
	Lane         Lane
}

// Queued is a webhook in the inbox: it is on disk and was answered, but not
// merged yet.
type Queued struct {
	Organization string
	Seq          int64
	ArrivedAt    consent.Time
	Payload      []byte
	Trace        []byte // see Inbound
}

// Backlog says what waits in one lane.
type Backlog struct {
	InboxKey
	First, Last int64        // sequence numbers
	Oldest      consent.Time // when the first arrived
}

// Merged says what a merge did.
type Merged struct {
	Webhooks int  // that left the inbox
	Aside    int  // of them, those that were set aside
	Due      bool // something became due for delivery
	// First is the number of the first webhook that was taken, even if the
	// merge failed; zero if the lane was empty.
	First int64
}

// Decode reads a webhook out of the inbox again.
type Decode func(Queued) (Inbound, error)

// MergeQueued merges webhooks of an inbox within a transaction. Those that
// cannot even be decoded come back by their sequence number with the reason,
// to be set aside; all others are merged, or an error is returned and the
// transaction must be rolled back.
func MergeQueued(ctx context.Context, tx AcceptTx, h *Hasher, queued []Queued, decode Decode, now consent.Time) (m Merged, aside map[int64]string, err error) {
	defer func() {
		// A fault of ours in one webhook must not end the process, which would
		// meet it again.
		if p := recover(); p != nil {
			m, aside, err = Merged{}, nil, &consent.Error{Kind: consent.Internal, Op: "store.MergeQueued", Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	batch := make([]Inbound, 0, len(queued))
	for _, q := range queued {
		in, err := decode(q)
		if err != nil {
			if aside == nil {
				aside = make(map[int64]string)
			}
			aside[q.Seq] = consent.MessageOf(err)
			continue
		}
		in.ArrivedAt, in.Trace = q.ArrivedAt, q.Trace
		batch = append(batch, in)
	}
	receipts, err := Accept(ctx, tx, h, batch, now)
	if err != nil {
		return Merged{}, nil, err
	}
	m = Merged{Webhooks: len(queued), Aside: len(aside)}
	for _, r := range receipts {
		m.Due = m.Due || r.Due
	}
	return m, aside, nil
}

// Backlogs tells what waits in the lanes of an organization, or of all if it
// is empty.
type Backlogs interface {
	Backlogs(ctx context.Context, organization string) ([]Backlog, error)
}

// Unmerged tells of all that was accepted and is not merged yet.
type Unmerged interface {
	Backlogs
	// AnyStaged tells whether an organization has rows of imports that are staged.
	AnyStaged(ctx context.Context, organization string) (bool, error)
}

// UpToDate is CaughtUp, and tells false too while rows of imports are staged, which
// it does not wait for: they may take minutes.
func UpToDate(ctx context.Context, s Unmerged, organization string, patience time.Duration) (bool, error) {
	caughtUp, err := CaughtUp(ctx, s, organization, patience)
	if err != nil || !caughtUp {
		return false, err
	}
	any, err := s.AnyStaged(ctx, organization)
	return !any, err
}

// Patience is how long a question about people waits for webhooks that were
// accepted before it and are not merged yet.
const Patience = 2 * time.Second

// CaughtUp waits until all that an organization's inbox held when it was
// called is merged. It gives up after patience, and then tells false.
func CaughtUp(ctx context.Context, s Backlogs, organization string, patience time.Duration) (bool, error) {
	last := make(map[Lane]int64)
	give := time.NewTimer(patience)
	defer give.Stop()
	for first := true; ; first = false {
		backlogs, err := s.Backlogs(ctx, organization)
		if err != nil {
			return false, err
		}
		behind := false
		for _, b := range backlogs {
			if first && b.Lane != AsideLane {
				last[b.Lane] = b.Last
			}
			behind = behind || b.Lane != AsideLane && b.First <= last[b.Lane]
		}
		if !behind {
			return true, nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-give.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}
