package consent

import "time"

// Time is a moment in microseconds since 1970-01-01 UTC. Zero means unknown.
// Both stores keep times in this form, so that no driver's idea of time
// matters.
type Time int64

// MaxAhead is how far a consent time may lie ahead of the database's clock
// before it is clamped to the time of arrival.
const MaxAhead = 5 * time.Minute

// TimeOf converts t, cutting what is finer than a microsecond.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMicro())
}

// Std converts to the standard library's time, in UTC.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(t)).UTC()
}

// Add gives t moved by d, in whole microseconds.
func (t Time) Add(d time.Duration) Time { return t + Time(d/time.Microsecond) }

// Sub gives the duration from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Microsecond }

// OrNil gives nil for a time that is not known, as answers tell it.
func (t Time) OrNil() *Time {
	if t == 0 {
		return nil
	}
	return &t
}

// MarshalText writes RFC 3339 with microseconds; unknown is empty.
func (t Time) MarshalText() ([]byte, error) {
	if t == 0 {
		return nil, nil
	}
	return []byte(t.Std().Format("2006-01-02T15:04:05.000000Z07:00")), nil
}

// UnmarshalText reads RFC 3339; empty is unknown.
func (t *Time) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*t = 0
		return nil
	}
	std, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return err
	}
	*t = Time(std.UnixMicro())
	return nil
}
