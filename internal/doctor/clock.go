package doctor

import (
	"fmt"
	"time"
)

// How far clocks may be apart. Events of Didomi's count as dated up to 5 minutes
// ahead (rule R2).
const (
	clockDoubt = 10 * time.Second
	clockBad   = 2 * time.Minute
)

// Clock compares a clock of ours with another that was read at most within ago. A
// difference of less than a second and within is none: the header Date has no
// fractions.
func Clock(about string, ours, theirs time.Time, within time.Duration) Finding {
	off := ours.Sub(theirs)
	ahead, apart := "ahead of", off
	if off < 0 {
		ahead, apart = "behind", -off
	}
	apart = max(0, apart-within-time.Second)
	says := fmt.Sprintf("this clock is %s %s it", off.Abs().Round(time.Second), ahead)
	const do = "Have the machine's clock set by NTP (timedatectl set-ntp true). Dates of consents are compared with it: withdrawals and grants could be taken in the wrong order."
	switch {
	case apart > clockBad:
		return Bad(about, says, do)
	case apart > clockDoubt:
		return Doubtful(about, says, do)
	}
	return Fine(about, "it agrees, as far as can be seen to a second")
}
