package plan

// Spare is how a licence stands when nothing is due.
type Spare struct {
	Saved    float64 // calls that may be made at once
	Burst    int     // the most that can be saved
	UnderWay int     // calls, with those that wait for a place
	Width    int     // calls that may be under way at once
	Slowed   bool    // fewer calls are made than are configured, for Actito cannot take more
}

// Allowed tells whether a call may be made that nothing may wait for. It guarantees
// that after it the next withdrawal, grant or read-back finds a call and a place at
// once, wherever a burst is more than one call and more than one may be under way.
// A licence that is allowed one call at a time is called while it is idle.
func (s Spare) Allowed() bool {
	const whole = 1e-6 // what rounding may take of a full budget
	return !s.Slowed && s.Saved >= float64(s.Burst)-whole && s.UnderWay < max(1, s.Width-1)
}
