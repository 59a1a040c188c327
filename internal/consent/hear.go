package consent

import (
	"slices"
	"strings"
)

// SubscriptionChanged is the type of what Actito tells of a subscription, once
// it was found to be somebody's own choice. It is accepted like an event of
// Didomi's.
const SubscriptionChanged MessageType = "actito.subscription_changed"

// ownEvents is what the ids of events begin with that we make: for what was
// chosen in Actito, so that Didomi can be told.
const ownEvents = "consentsync-"

// OwnEventID makes the id of an event of ours from what makes it unique.
func OwnEventID(unique string) string { return ownEvents + unique }

// FromActito tells whether an event was made by us, for a choice in Actito.
func FromActito(eventID string) bool { return strings.HasPrefix(eventID, ownEvents) }

// Invert gives the choice that a mapped path speaks of, so that a change in
// Actito can be told to Didomi. ok is false where the path alone does not say:
// for one value of a preference, which is a part of a list, and for what could
// be read as a purpose or as something below one.
func Invert(path string) (c Choice, ok bool) {
	rest, enabled := strings.CutSuffix(path, enabledSuffix)
	if !enabled {
		return c, false
	}
	if id, is := strings.CutPrefix(rest, channelsPrefix); is && id != "" {
		return Choice{Kind: OfChannel, Channel: id}, true
	}
	id, is := strings.CutPrefix(rest, purposesPrefix)
	if !is || id == "" {
		return c, false
	}
	for _, below := range []string{"_preferences_", "_channels_", "_values_"} {
		if strings.Contains(id, below) {
			return c, false
		}
	}
	return Choice{Kind: OfPurpose, Purpose: id}, true
}

// OwnWrite is one write of ours to a subscription of a profile.
type OwnWrite struct {
	On bool
	At Time // when it was begun
}

// Hearing is what a change of a subscription in Actito turns out to be (R25).
type Hearing string

// The hearings.
const (
	// HearAgreed: it is what is wanted anyway.
	HearAgreed Hearing = "agreed"
	// HearEcho: it is a write of ours that came back, or was overtaken.
	HearEcho Hearing = "echo"
	// HearWithdrawal: the person refused, in Actito.
	HearWithdrawal Hearing = "withdrawal"
	// HearGrant: the person agreed, in Actito, after all that we know of.
	HearGrant Hearing = "grant"
	// HearCorrect: Actito holds a grant that is not proven to be newer than the
	// last refusal, or a refusal that is older than the last grant. It is
	// corrected there.
	HearCorrect Hearing = "correct"
	// HearDefault: it is what a new profile began with, which nobody chose.
	HearDefault Hearing = "default"
	// HearUnsure: what the profile holds now has to be read first.
	HearUnsure Hearing = "unsure"
)

// Rumour is a change of one subscription as Actito tells it, and what is known
// beside it.
type Rumour struct {
	On bool
	// Created says that the profile is new, ArrivedAt when that was told.
	Created   bool
	ArrivedAt Time
	// Writes are our own of the last minutes, the oldest first, with those that
	// are under way. They are all that could come back as an echo.
	Writes []OwnWrite
	// Mailed says that a message was sent through Actito shortly before, by a call
	// that writes the profile too: what Actito then tells of it nobody chose.
	Mailed bool
	// Wanted is what the profile should hold; said is false if nobody ever chose.
	Wanted WantedSubscription
	Said   bool
	// Known is what the profile was last known to hold.
	Known Fact
	// Read is what a read of the profile showed after the change was told; nil
	// if it was not read.
	Read *bool
}

// Hear decides what a change in Actito means. It guarantees that a refusal
// which no write of ours explains is taken at once, unless the profile is new or
// the person agreed well after it was told; that no grant is taken without a
// look at the profile, nor one that may be older than the last refusal, nor one
// that may be a late effect of our own; and that an echo in its usual form costs
// no call.
func Hear(r Rumour) Hearing {
	if r.On {
		return r.granted()
	}
	return r.refused()
}

func (r *Rumour) refused() Hearing {
	switch latest, older := r.written(false); {
	case r.Created:
		return HearDefault
	case r.Said && r.Wanted.On && r.Wanted.At > r.ArrivedAt.Add(MaxAhead):
		return HearCorrect // it was told long ago, and was not looked into before the person agreed
	case latest:
		return HearEcho
	case older && r.Read == nil:
		return HearUnsure // our older off came back late, or the person refused
	case older && *r.Read:
		return HearEcho
	case r.Said && !r.Wanted.On:
		return HearAgreed
	}
	return HearWithdrawal
}

func (r *Rumour) granted() Hearing {
	latest, older := r.written(true)
	switch {
	case latest:
		return HearEcho
	case r.Said && r.Wanted.On:
		return HearAgreed
	case (r.Created || r.Mailed) && !r.Said:
		return HearDefault
	case r.Read == nil:
		return HearUnsure
	case !*r.Read:
		return HearEcho // it is off again, by us or by somebody
	case older || r.Created:
		return HearCorrect // an older grant of ours that was applied late looks the same
	case r.Said && (r.Known.Unknown || r.Known.Value != any(false) || r.Known.ConfirmedAt < r.Wanted.At):
		return HearCorrect // the last refusal has not been seen to be in effect before
	}
	return HearGrant
}

// Overtaken tells whether the subscription may be on by now, although it was
// told to be off: Actito tells late and out of order, and it was on in the last
// minutes, by a write of ours or as Actito told.
func (r *Rumour) Overtaken(lately Time) bool {
	return r.Known.SeenOnAt >= lately || slices.ContainsFunc(r.Writes, func(w OwnWrite) bool { return w.On })
}

// written tells whether our latest write has this value, or else an older one.
// A write is not the latest if the opposite was seen in the profile after it.
func (r *Rumour) written(on bool) (latest, older bool) {
	for i, w := range r.Writes {
		if w.On == on {
			latest, older = i == len(r.Writes)-1 && !r.seen(!on, w.At), true
		}
	}
	return latest, older && !latest
}

// seen tells whether the profile was seen to hold a value after a time.
func (r *Rumour) seen(on bool, after Time) bool {
	return on && r.Known.SeenOnAt > after || !r.Known.Unknown && r.Known.Value == any(on) && r.Known.ConfirmedAt > after
}
