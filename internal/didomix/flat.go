package didomix

import "strings"

const separator = "__"

// unflatten gives an object in which names joined with "__" have become
// objects within objects, at this level. An object without such names is given
// back as it is. Where a plain and a joined name meet, the plain one's content
// stays and the joined one adds to it.
func unflatten(in map[string]any) map[string]any {
	flat := false
	for name := range in {
		if strings.Contains(name, separator) {
			flat = true
			break
		}
	}
	if !flat {
		return in
	}
	out := make(map[string]any, len(in))
	for name, value := range in {
		if !strings.Contains(name, separator) {
			out[name] = value
		}
	}
	for name, value := range in {
		if strings.Contains(name, separator) {
			put(out, split(name), value)
		}
	}
	return out
}

// split cuts a joined name. Behind "metadata" stands a key of the user's own,
// which may hold "__" itself and is never cut.
func split(name string) []string {
	parts := strings.Split(name, separator)
	for i, part := range parts {
		if part == "metadata" && i+1 < len(parts) {
			return append(parts[:i+1:i+1], strings.Join(parts[i+1:], separator))
		}
	}
	return parts
}

// put sets a value at a path, making objects on the way. What is in the way
// and no object stays: the walk over the result refuses or ignores it.
func put(into map[string]any, path []string, value any) {
	for len(path) > 1 {
		next, ok := into[path[0]].(map[string]any)
		if !ok {
			if _, taken := into[path[0]]; taken {
				return
			}
			next = make(map[string]any)
		} else {
			// The object may belong to the payload: it is not written to.
			next = shallow(next)
		}
		into[path[0]] = next
		into, path = next, path[1:]
	}
	if _, taken := into[path[0]]; !taken {
		into[path[0]] = value
	}
}

func shallow(m map[string]any) map[string]any {
	c := make(map[string]any, len(m)+1)
	for k, v := range m {
		c[k] = v
	}
	return c
}
