package lanes

import (
	"math"
	"slices"
	"time"
)

// File is the environment variable that names where the figures are written.
const File = "LANES_FIGURES"

// Figures are what the scenarios came to at full size, as JSON in a file.
type Figures struct {
	Backlog Backlog
	Floods  []Flood
	Burst   Burst
}

// Delays sum up how long withdrawals took from their acceptance until Actito
// held them.
type Delays struct{ P50, P99, Max time.Duration }

// Backlog is of withdrawals at random moments while grants wait.
type Backlog struct {
	Grants, Withdrawals int
	Over                time.Duration // the withdrawals arrive over this time
	PerMinute           int           // calls, of both
	Ours, InOrder       Delays
}

// Flood is of more withdrawals at once than the budget can take.
type Flood struct {
	Grants, Withdrawals int
	Limit               time.Duration // of a withdrawal's wait
	LoadTime            time.Duration // that a load takes in Actito
	OneByOne            time.Duration // what the withdrawals alone take at the budget's pace
	Slowest             time.Duration
	Loads               int
	Behind              int // calls for grants while a withdrawal had waited over 2 s for its own
}

// Burst is of many events of few people.
type Burst struct {
	Events, People, Calls int
	PerMinute             int
	Took                  time.Duration
}

// AtPace is how long one call for each person takes at the pace allowed.
func (b Burst) AtPace() time.Duration {
	return time.Duration(b.People) * time.Minute / time.Duration(b.PerMinute)
}

// Percentile gives the value below which a share of the durations lies; it
// sorts them.
func Percentile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[max(0, int(math.Ceil(share*float64(len(values))))-1)]
}
