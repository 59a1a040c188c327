package sqlite

import (
	"context"
	"slices"
	"strings"
)

// multiInsert is a statement that inserts rows, several at once: to begin and to end a
// statement takes about as long as to insert a row.
type multiInsert struct{ texts []string } // for so many rows as insertSizes has

// insertSizes are few, since each text is kept.
var insertSizes = []int{32, 8, 1}

// newMultiInsert makes a statement of what comes before the rows, one row, and what comes
// after.
func newMultiInsert(into, row, after string) *multiInsert {
	s := &multiInsert{}
	for _, n := range insertSizes {
		s.texts = append(s.texts, into+" VALUES "+row+strings.Repeat(", "+row, n-1)+" "+after)
	}
	return s
}

// one is the statement for one row.
func (s *multiInsert) one() string { return s.texts[len(s.texts)-1] }

// run inserts so many rows; row appends the values of one.
func (s *multiInsert) run(ctx context.Context, tx *transaction, rows int, row func(values []any, n int) []any) error {
	var values []any
	for n := 0; n < rows; {
		size := slices.IndexFunc(insertSizes, func(size int) bool { return size <= rows-n })
		values = values[:0]
		for range insertSizes[size] {
			values = row(values, n)
			n++
		}
		if _, err := tx.ExecContext(ctx, s.texts[size], values...); err != nil {
			return err
		}
	}
	return nil
}
