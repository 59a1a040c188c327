// Package store holds what both engines have in common: the rows they keep and
// the one transaction that accepts a batch of webhooks.
//
// What an engine acknowledges survives a crash of the process and of the
// machine. The engines are packages below this one; consumers declare the few
// methods that they need, and the conformance suite in storetest holds every
// engine to the same behaviour.
package store
