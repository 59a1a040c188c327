package actito

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/maphash"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// report is what an execution tells about itself. Whatever could mean a refused
// row counts against it: to take one that was applied for refused costs a call,
// the other way round a person's choice is lost.
type report struct {
	keyAttribute string
	state        LoadState
	status       string
	rank         int // of the place where the status stood
	reason       string

	spoken   bool // a number of refused rows, or a list of them, was there
	troubles map[string]int
	least    int // of refused rows, where no number of them is told
	rows     tally
	lists    []json.RawMessage

	errorFiles, resultFiles []resultLink
}

// resultLink is a link to a file about the rows: all of them, or those refused.
type resultLink struct {
	href        string
	onlyRefused bool
}

// tally counts refused rows.
type tally struct {
	refused int
	unnamed int // those with neither key nor number
	keys    map[uint64]struct{}
	numbers map[int]struct{} // of those without a key
}

var hashSeed = maphash.MakeSeed()

// add counts a row. A row that is told twice counts once by its key; that two
// keys share a hash only makes the tally too small, which confirms nobody.
func (t *tally) add(row RefusedRow) {
	t.refused++
	if row.Key == "" && row.Row > 0 {
		if t.numbers == nil {
			t.numbers = map[int]struct{}{}
		}
		t.numbers[row.Row] = struct{}{}
		return
	}
	if row.Key == "" {
		t.unnamed++
		return
	}
	if t.keys == nil {
		t.keys = map[uint64]struct{}{}
	}
	t.keys[maphash.String(hashSeed, row.Key)] = struct{}{}
}

// named is how many different rows were told of.
func (t *tally) named() int { return len(t.keys) + len(t.numbers) }

// told says whether the answer alone names every refused row by its key.
func (r *report) told() bool { return r.spoken && r.toldBy(r.rows) }

// numbered says the same of keys and numbers, where there is no file to ask.
func (r *report) numbered() bool {
	return len(r.errorFiles)+len(r.resultFiles) == 0 && r.spoken && r.rows.unnamed == 0 && r.rows.named() >= r.counted()
}

// toldBy says whether rows named elsewhere are all that the report counts.
func (r *report) toldBy(rows tally) bool {
	return rows.unnamed+len(rows.numbers) == 0 && len(rows.keys) >= max(r.counted(), r.rows.unnamed+r.rows.named())
}

// counted is how many rows were refused at the least, as numbers and flags tell.
func (r *report) counted() int {
	sum := 0
	for _, n := range r.troubles {
		sum += n
	}
	return max(sum, r.least)
}

// The words that stand in the names of what was not applied, and the names
// under which a number, zero included, says how much that is.
var (
	troubleWords = []string{"error", "reject", "refus", "invalid", "fail", "ignor", "skip", "unmatch", "notfound", "missing"}
	countNames   = regexp.MustCompile(`^(number|nb|total|count)?(of)?(rows?|lines?|profiles?)?(in)?(errors?|rejected|rejects?|refused|failed|invalid)(rows?|lines?|profiles?)?(count|total|number)?$`)
	mereError    = []string{"error", "reject"} // one of a whole, or a code
	flagNames    = regexp.MustCompile(`^(with|has|in)errors?$`)
	reasonNames  = []string{"message", "reason", "error", "errormessage", "failurereason", "statusmessage", "description"}
)

// counts says whether a value of that name tells how many rows were refused.
func counts(name, path string) bool {
	above := path[strings.LastIndexByte(path, '.')+1:]
	return countNames.MatchString(name) && !slices.Contains(mereError, name) || above != "" && countNames.MatchString(above+name)
}

const deepest = 5

// read goes through an object at a path, which is written like ".result.rows".
func (r *report) read(object map[string]json.RawMessage, path string, depth int) error {
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		raw, name := bytes.TrimSpace(object[key]), letters(key)
		switch {
		case name == "links":
			r.readLinks(raw)
		case raw[0] == '[':
			if err := r.readList(raw, name, path); err != nil {
				return err
			}
		case raw[0] == '{':
			var inner map[string]json.RawMessage
			if err := json.Unmarshal(raw, &inner); err != nil || depth == deepest {
				return errors.New("the answer is nested too deeply")
			}
			if err := r.read(inner, path+"."+name, depth+1); err != nil {
				return err
			}
		default:
			v, err := decode(raw)
			if err != nil {
				return err
			}
			r.readScalar(v, name, path)
		}
	}
	return nil
}

// letters gives a name's letters in lower case.
func letters(name string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsLetter(c) {
			return -1
		}
		return unicode.ToLower(c)
	}, name)
}

// troubleWord gives the word in a name that speaks of rows not applied.
func troubleWord(name string) string {
	for _, word := range troubleWords {
		if strings.Contains(name, word) {
			return word
		}
	}
	return ""
}

// readList takes a list for refused rows if its name, or that of an object
// around it, speaks of trouble.
func (r *report) readList(raw json.RawMessage, name, path string) error {
	if troubleWord(path+"."+name) == "" {
		return nil
	}
	r.spoken = r.spoken || counts(name, path)
	for row, err := range rowsOf(raw, r.keyAttribute) {
		if err != nil {
			return err
		}
		r.rows.add(row)
	}
	r.lists = append(r.lists, raw)
	return nil
}

func (r *report) readScalar(v any, name, path string) {
	said, isText := v.(string)
	r.readStatus(said, name, path)
	if said != "" && r.reason == "" && slices.Contains(reasonNames, name) {
		r.reason = said
	}
	word := troubleWord(path + "." + name)
	switch {
	case v == nil, isText && said == "":
		return
	case isText && (strings.HasPrefix(said, "/") || strings.HasPrefix(said, "http")):
		r.addLink(name, said)
		return
	case word == "":
		return
	}
	if yes, isBool := v.(bool); isBool {
		r.spoken = r.spoken || !yes && flagNames.MatchString(name)
		if yes {
			r.least = max(r.least, 1)
		}
		return
	}
	n, err := strconv.Atoi(text(v))
	switch {
	case err != nil || n < 0:
		n = 1 // a text about something wrong
	case counts(name, path):
		r.spoken = true
	}
	r.troubles[word] = max(r.troubles[word], n)
}

// readStatus keeps the status that stands where an execution's own would. That
// of an ETL, or of anything else in the answer, says something else.
func (r *report) readStatus(said, name, path string) {
	if above, ok := strings.CutSuffix(path, ".status"); ok && (name == "code" || name == "name") {
		name, path = "status", above
	}
	rank := 0
	switch {
	case said == "":
	case strings.HasSuffix(name, "executionstatus"), strings.HasSuffix(name, "executionstate"):
		rank = 3
	case name != "status" && name != "state":
	case path == "":
		rank = 2
	case strings.HasSuffix(path, "execution"), path == ".data", path == ".result":
		rank = 1
	}
	if rank > r.rank {
		r.status, r.rank = said, rank
	}
}

// readLinks reads {"name": {"href": ...}} and [{"rel": "name", "href": ...}].
func (r *report) readLinks(raw json.RawMessage) {
	v, err := decode(raw)
	if err != nil {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			href, _ := v[key].(string)
			if object, ok := v[key].(map[string]any); ok {
				href = text(field(object, "href"))
			}
			r.addLink(letters(key), href)
		}
	case []any:
		for _, element := range v {
			if object, ok := element.(map[string]any); ok {
				r.addLink(letters(text(field(object, "rel", "name"))), text(field(object, "href")))
			}
		}
	}
}

func (r *report) addLink(name, href string) {
	switch {
	case href == "":
	case strings.Contains(name, "error"), strings.Contains(name, "reject"), strings.Contains(name, "fail"):
		r.errorFiles = append(r.errorFiles, resultLink{href, true})
	case strings.Contains(name, "result"):
		r.resultFiles = append(r.resultFiles, resultLink{href, false})
	}
}

// refused gives the rows in the answer's lists.
func (r *report) refused() iter.Seq2[RefusedRow, error] {
	return func(yield func(RefusedRow, error) bool) {
		for _, list := range r.lists {
			for row, err := range rowsOf(list, r.keyAttribute) {
				if !yield(row, err) {
					return
				}
			}
		}
	}
}
