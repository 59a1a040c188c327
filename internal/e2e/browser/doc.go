// Package browser drives the console of the whole program in a real, headless
// Chromium: what people can do there, what each role is kept from, and that a
// screen reader can follow every page.
package browser
