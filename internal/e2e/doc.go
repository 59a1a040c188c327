// Package e2e holds the tests that run the whole program against simulated
// ends, as a user would.
package e2e
