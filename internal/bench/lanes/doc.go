// Package lanes measures how the budget of a licence is spent, in simulated
// time: hours of deliveries against an Actito with its documented limits pass
// in seconds, and come out the same on every machine.
//
// The store, the delivery engine, the client of Actito and the simulated Actito
// are the real ones; only the clock and the network are not. A small run of
// each scenario is a test. The figures of docs/benchmarks.md are made with the
// build tag figures, by scripts/bench.
package lanes
