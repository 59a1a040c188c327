// Package audit makes what happened provable: who changed what, what was said
// about somebody's consent, what was sent because of it, and what was answered.
//
// Records are sealed after the fact, in the background, into one hash chain per
// organization with signed checkpoints. Whoever changes, removes or reorders a
// sealed record, or cuts off or forges a part of the chain, is found by Verify.
// Sealed forms hold no personal data, so that erasing a person, and letting old
// data go, leaves the chain verifiable. One node seals an organization at a time;
// what another adds is refused.
//
// It does not delay the accepting of webhooks: it only reads what was committed,
// adds a few rows at a time, rests four times as long as it works, and hardly
// does anything while webhooks wait to be merged.
package audit
