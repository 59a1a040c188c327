// Package consent is the domain: what a person chose, how partial statements
// about it merge, and what the CRM should hold because of it.
//
// It guarantees that the same set of inputs gives the same state, whatever
// their order, their repetition and the way they are cut into batches; that a
// withdrawal is never undone by a grant that is older or of equal time, nor by
// a mere snapshot; and that every value it asks the CRM to hold, and every
// value it leaves out, carries its reason.
//
// It is pure: it imports the standard library only, reads no clock and does
// no input or output.
//
// The words: a consent event is what Didomi tells when a person chooses; a
// choice is one on/off answer in it (a purpose, a channel, a preference, one
// value of a preference); a statement is what one event or one user record
// says about one subject; the subject is a person (known by the organization's
// own user id) or a Didomi user who has not been identified yet; a state is
// all that was said about one subject, merged; a view is what follows from
// the states of a person and of the Didomi users linked to them; a projection
// is what one integration should make of the view.
package consent
