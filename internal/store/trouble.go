package store

import (
	"cmp"
	"slices"
	"time"

	"consentsync/internal/consent"
)

// TroubleStates are the states of deliveries that somebody may want to look at.
var TroubleStates = []DeliveryState{Failed, Unmatched}

// Targets are where deliveries go.
var Targets = []Target{TargetActito, TargetDidomi}

// Trouble is the people of an integration whose deliveries to a target are in
// one of those states for one reason.
type Trouble struct {
	Target Target
	State  DeliveryState
	Reason string
	People int64 // counted up to MostTroubled
}

// MostTroubled bounds how far people are counted for a page.
const MostTroubled = 10_000

// MostReasons bounds how many reasons are told apart.
const MostReasons = 50

// reasonRunes is how much of a reason tells it from others.
const reasonRunes = 200

// ReasonOf gives the part of an error that tells it from others.
func ReasonOf(lastError string) string {
	if r := []rune(lastError); len(r) > reasonRunes {
		return string(r[:reasonRunes])
	}
	return lastError
}

// Standings are how many people of an integration are in which state: all that
// are in flight, and up to MostTroubled of each of the others.
type Standings struct {
	InFlight          int64
	Failed, Unmatched int64 // towards Actito
	FailedToDidomi    int64
}

// StandingOfSome is one of the bounded counts.
type StandingOfSome struct {
	Target Target
	State  DeliveryState
	People *int64
}

// Troubled gives what is counted up to MostTroubled, each with where it stands.
func (s *Standings) Troubled() []StandingOfSome {
	return []StandingOfSome{
		{TargetActito, Failed, &s.Failed}, {TargetActito, Unmatched, &s.Unmatched}, {TargetDidomi, Failed, &s.FailedToDidomi},
	}
}

// Everyone stands for the state of anybody in an Only.
const Everyone DeliveryState = "all"

// Only says whom a re-projection is about: those in a state, for a reason if
// that is not empty. The zero Only is everybody, after a change.
type Only struct {
	// Target is where their deliveries go: to Actito if it is empty.
	Target Target
	State  DeliveryState
	Reason string
	// From and To, unless they are zero, bound when the delivery was last worked
	// on, or when Actito last confirmed one of its fields.
	From, To consent.Time
}

// Towards gives the target.
func (o Only) Towards() Target { return cmp.Or(o.Target, TargetActito) }

// Takes tells whether a delivery is one of those.
func (o Only) Takes(s Standing) bool {
	if o.State != Everyone && s.State != o.State || o.Reason != "" && ReasonOf(s.LastError) != o.Reason {
		return false
	}
	if o.From == 0 && o.To == 0 || o.within(s.UpdatedAt) {
		return true
	}
	for _, facts := range []map[string]consent.Fact{s.Known.Subscriptions, s.Known.Attributes} {
		for _, f := range facts {
			if o.within(f.ConfirmedAt) {
				return true
			}
		}
	}
	return false
}

func (o Only) within(t consent.Time) bool {
	return t > 0 && t >= o.From && (o.To == 0 || t <= o.To)
}

// TroubleCursor is a place among people in trouble: after the one given.
type TroubleCursor struct {
	Reason string
	Person PersonKey
}

// Bytes gives the cursor in a form that sorts as the list does.
func (c TroubleCursor) Bytes() []byte { return append(append([]byte(c.Reason), 0), c.Person[:]...) }

// TroubleCursorOf reads what Bytes gave; what it did not give is the beginning.
func TroubleCursorOf(b []byte) (c TroubleCursor) {
	if n := len(b) - len(c.Person) - 1; n >= 0 && b[n] == 0 {
		c.Reason = string(b[:n])
		copy(c.Person[:], b[n+1:])
	}
	return c
}

// Effect counts people whose choice came into effect, by how long it took.
type Effect struct {
	At         consent.Time // beginning of the interval
	Withdrawal bool
	Step       int // the first of EffectSteps that is not exceeded
	People     int64
}

// EffectEvery is the interval in which effects are counted together, EffectsKept
// how long they are kept.
const (
	EffectEvery = 5 * time.Minute
	EffectsKept = 7 * 24 * time.Hour
)

// EffectSteps are the times that are told apart. What took longer than the last
// counts as the last.
var EffectSteps = []time.Duration{
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
	30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
}

// EffectStep gives the step of a time.
func EffectStep(took time.Duration) int {
	if i := slices.IndexFunc(EffectSteps, func(step time.Duration) bool { return took <= step }); i >= 0 {
		return i
	}
	return len(EffectSteps) - 1
}

// EffectInterval gives the beginning of the interval of a time.
func EffectInterval(t consent.Time) consent.Time {
	return t - t%consent.Time(EffectEvery/time.Microsecond)
}
