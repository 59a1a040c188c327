package consent

import "slices"

// ordered is what the keys of a table can do: be compared.
type ordered[K any] interface{ compare(K) int }

// table is a small map kept in the order of its keys, so that every walk over
// it is the same walk.
type table[K ordered[K], V any] []entry[K, V]

type entry[K, V any] struct {
	key   K
	value V
}

func (t table[K, V]) search(key K) (int, bool) {
	return slices.BinarySearchFunc(t, key, func(e entry[K, V], key K) int { return e.key.compare(key) })
}

// get gives the zero value for a key that is not held.
func (t table[K, V]) get(key K) (value V, held bool) {
	if i, found := t.search(key); found {
		return t[i].value, true
	}
	return value, false
}

func (t *table[K, V]) set(key K, value V) {
	i, found := t.search(key)
	if found {
		(*t)[i].value = value
		return
	}
	*t = slices.Insert(*t, i, entry[K, V]{key, value})
}
