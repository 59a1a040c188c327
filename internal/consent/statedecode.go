package consent

import (
	"encoding/binary"
	"errors"
)

var errStored = errors.New("consent: not the stored form of a state")

// UnmarshalBinary reads what MarshalBinary wrote. It refuses anything else.
func (s *State) UnmarshalBinary(b []byte) error {
	d := decoder{b: b, text: string(b)}
	if d.byte() != codecVersion {
		return errStored
	}
	read := State{
		choices: readTable(&d, (*decoder).choice),
		lists:   readTable(&d, (*decoder).list),
		texts:   readTable(&d, (*decoder).value),
		deleted: readTable(&d, (*decoder).tombstone),
	}
	parts := d.byte()
	read.gone = parts&isGone != 0
	if parts&hasLink != 0 {
		read.link = &Link{OrganizationUserID: d.string()}
		read.link.At, read.link.EventID = d.stamp()
	}
	if parts&wasErased != 0 {
		read.erased = d.time()
		d.bad = d.bad || read.erased == 0 // it has a shorter form
	}
	if d.bad || parts > allParts || d.at != len(b) {
		return errStored
	}
	*s = read
	return nil
}

// decoder reads b; what is wrong with it shows in bad, and is asked at the end.
type decoder struct {
	b     []byte
	text  string // b again, for strings to share
	at    int
	last  Mark
	marks []Mark // room for marks, so that not each needs its own
	bad   bool
}

func readTable[K ordered[K], V any](d *decoder, read func(*decoder) (K, V)) table[K, V] {
	n := d.count()
	if n == 0 {
		return nil
	}
	t := make(table[K, V], 0, min(n, 64)) // a false count must not cost memory
	for range n {
		k, v := read(d)
		if d.bad || len(t) > 0 && t[len(t)-1].key.compare(k) >= 0 {
			d.bad = true
			return nil
		}
		t = append(t, entry[K, V]{k, v})
	}
	return t
}

func (d *decoder) choice() (k Key, r Record) {
	k = Key{Regulation: d.string(), Choice: Choice{
		Purpose: d.string(), Preference: d.string(), Channel: d.string(), Value: d.string(),
	}}
	k.Kind = ChoiceKind(d.byte())
	return k, d.record()
}

func (d *decoder) list() (k listKey, l list) {
	k = listKey{d.string(), d.string(), d.string()}
	l.Rest = d.record()
	l.Newest = &Mark{}
	l.Newest.At, l.Newest.EventID = d.stamp()
	for range d.count() {
		l.Order = append(l.Order, d.string())
	}
	return k, l
}

func (d *decoder) value() (k textKey, t Text) {
	k = textKey{d.string(), d.string()}
	t.Value = []byte(d.string())
	t.At, t.EventID = d.stamp()
	return k, t
}

func (d *decoder) tombstone() (eventID, Time) { return eventID(d.string()), d.time() }

func (d *decoder) record() (r Record) {
	kinds := d.byte()
	if kinds == 0 || kinds > allMarks {
		d.bad = true
		return r
	}
	for i, m := range [...]**Mark{&r.Grant, &r.Off, &r.Undated, &r.SnapOn, &r.SnapOff} {
		if kinds&(1<<i) != 0 {
			*m = d.mark()
		}
	}
	return r
}

func (d *decoder) mark() *Mark {
	d.stamp()
	d.last.Arrived += d.time()
	if len(d.marks) == cap(d.marks) {
		d.marks = make([]Mark, 0, 8)
	}
	d.marks = append(d.marks, d.last)
	return &d.marks[len(d.marks)-1]
}

func (d *decoder) stamp() (Time, string) {
	d.last.At += d.time()
	if n := d.count(); n > 0 {
		id := d.cut(n - 1)
		d.bad = d.bad || id == d.last.EventID // it has a shorter form
		d.last.EventID = id
	}
	return d.last.At, d.last.EventID
}

func (d *decoder) string() string { return d.cut(d.count()) }

func (d *decoder) cut(n int) string {
	if n > len(d.text)-d.at {
		d.bad = true
		return ""
	}
	d.at += n
	return d.text[d.at-n : d.at]
}

func (d *decoder) byte() byte {
	if d.at == len(d.b) {
		d.bad = true
		return 0
	}
	d.at++
	return d.b[d.at-1]
}

func (d *decoder) time() Time {
	u := d.varint()
	t := Time(u >> 1) // the sign is folded in, as binary.Varint does
	if u&1 != 0 {
		t = ^t
	}
	return t
}

// count reads a number of things, each of which takes a byte at least; a
// stamp's may be one more.
func (d *decoder) count() int {
	n := d.varint()
	if n > uint64(len(d.b)-d.at)+1 { //nolint:gosec // lengths are not negative
		d.bad = true
		return 0
	}
	return int(n) //nolint:gosec // checked above
}

func (d *decoder) varint() uint64 {
	u, n := binary.Uvarint(d.b[d.at:])
	if n <= 0 || n > 1 && d.b[d.at+n-1] == 0 { // cut off, too large, or longer than it need be
		d.bad = true
		return 0
	}
	d.at += n
	return u
}
