// Package assumption has the words for what the program takes for granted about
// the parties that it talks to: what is assumed, how sure that is, where it is
// relied upon, and what became of it when somebody looked.
//
// An assumption that is confirmed or refuted was looked at; everything else is
// unknown, and says how to find out. What is said of what was seen holds no value
// of an answer, only its form.
package assumption

import (
	"fmt"
	"strings"
)

// Sure says how sure an assumption is.
type Sure string

// How sure an assumption can be, the surest first.
const (
	Documented Sure = "documented"   // the other end says so itself
	Told       Sure = "told"         // somebody else says so who has seen it, or its documents
	SeenInCode Sure = "seen in code" // programs of others rely on it
	Inferred   Sure = "inferred"     // it follows from what is documented, if that is complete
	Guess      Sure = "guess"        // nothing says so
)

// Assumption is one thing that is taken for granted.
type Assumption struct {
	// ID names it for good, such as actito.token.
	ID string
	// Assumed is what, in a sentence.
	Assumed string
	Sure    Sure
	// Sources are the addresses where it was found.
	Sources []string
	// Where are the files and packages that rely on it, from the module's root.
	Where []string
	// Otherwise says what the program does where it does not hold; empty where
	// nothing is prepared.
	Otherwise string
	// How tells how it is looked at; empty where that takes somebody's hand.
	How string
	// ByHand tells how to find out by hand.
	ByHand string
}

// End gives whose assumption it is: what its id begins with.
func (a *Assumption) End() string {
	end, _, _ := strings.Cut(a.ID, ".")
	return end
}

// Of is an assumption with what looks at it. Check judges by what was Seen; it is
// nil where that takes somebody's hand.
type Of[Seen any] struct {
	Assumption
	Check func(*Seen) Verdict
}

// Result is what became of an assumption.
type Result string

// The results.
const (
	Confirmed Result = "confirmed"
	Refuted   Result = "refuted"
	Unknown   Result = "unknown"
)

// Verdict is a result with what was seen, without any value of an answer.
type Verdict struct {
	Result Result
	Seen   string
}

// Holds is the verdict of what was seen as it is assumed.
func Holds(format string, args ...any) Verdict {
	return Verdict{Confirmed, fmt.Sprintf(format, args...)}
}

// Fails is the verdict of what was seen otherwise.
func Fails(format string, args ...any) Verdict { return Verdict{Refuted, fmt.Sprintf(format, args...)} }

// Open is the verdict of what could not be seen.
func Open(format string, args ...any) Verdict { return Verdict{Unknown, fmt.Sprintf(format, args...)} }

// Checked is an assumption that was looked at, as it is shown.
type Checked struct {
	ID      string `json:"id"`
	Assumed string `json:"assumed"`
	Sure    Sure   `json:"sure"`
	Result  Result `json:"result"`
	// Seen is what was seen, or why nothing could be.
	Seen string `json:"seen"`
	// Do is what to do about it; empty where it is confirmed.
	Do string `json:"do"`
}

// Judge looks at all assumptions by what was seen.
func Judge[Seen any](all []Of[Seen], seen *Seen) []Checked {
	checked := make([]Checked, len(all))
	for i := range all {
		a := &all[i]
		v := Open("this is not looked at, since it takes a change in the account")
		if a.Check != nil {
			v = a.Check(seen)
		}
		c := Checked{ID: a.ID, Assumed: a.Assumed, Sure: a.Sure, Result: v.Result, Seen: v.Seen}
		switch v.Result {
		case Unknown:
			c.Do = a.ByHand
		case Refuted:
			c.Do = "Correct " + strings.Join(a.Where, ", ") + ", or report it with this line."
			if a.Otherwise != "" {
				c.Do = a.Otherwise + " " + c.Do
			}
		}
		checked[i] = c
	}
	return checked
}

// Plain gives the assumptions without what looks at them.
func Plain[Seen any](all []Of[Seen]) []Assumption {
	plain := make([]Assumption, len(all))
	for i := range all {
		plain[i] = all[i].Assumption
	}
	return plain
}
