package store

import "consentsync/internal/consent"

// LicencePlan is what the node that holds a licence last said of how it spends
// the licence's budget. It is stored as JSON, so that every node can tell it.
type LicencePlan struct {
	At    consent.Time `json:"at"`
	Node  string       `json:"node"`
	Since consent.Time `json:"held_since"`
	// CallsPerMinute and Concurrency are in force, the Most… what is configured.
	CallsPerMinute     int    `json:"calls_per_minute"`
	MostCallsPerMinute int    `json:"most_calls_per_minute"`
	Concurrency        int    `json:"concurrency"`
	MostConcurrency    int    `json:"most_concurrency"`
	PaceReason         string `json:"pace_reason"` // why the pace is lower than configured
	// Outage tells that no profile is called, and Actito is only probed.
	Outage       bool                       `json:"outage"`
	BlockedUntil consent.Time               `json:"blocked_until"` // 0 if it is not
	Integrations map[string]IntegrationPlan `json:"integrations"`  // by id
}

// IntegrationPlan is the part of a plan that is about one integration.
type IntegrationPlan struct {
	Due  map[string]QueuePlan `json:"due"` // by class
	Bulk BulkPlan             `json:"bulk"`
	// SingleDrainSeconds is how long all that is due takes one by one.
	SingleDrainSeconds float64 `json:"single_drain_seconds"`
	// Counts is what was ever counted, by name.
	Counts map[string]int64 `json:"counts"`
}

// QueuePlan is what is due in one class.
type QueuePlan struct {
	People            int64   `json:"people"`
	OldestWaitSeconds float64 `json:"oldest_wait_seconds"`
}

// BulkPlan is how the bulk lane stands.
type BulkPlan struct {
	Open         bool    `json:"open"`
	Reason       string  `json:"reason"` // why it is closed, or why nothing is loaded now
	LoadsToday   int     `json:"loads_today"`
	LoadsLeft    int     `json:"loads_left"` // that may still be started, the reserve taken off
	DrainSeconds float64 `json:"drain_seconds"`
}

// ClassNames are the names of the classes in plans, metrics and answers.
var ClassNames = [...]string{LiveWithdrawal: "withdrawals", BackfilledRefusal: "refusals", Ordinary: "grants"}
