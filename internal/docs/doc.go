// Package docs writes the pages of docs that follow from the code, and reads
// pages for the tests that hold them to it.
//
// What it writes says what the program takes and answers, no more and no less:
// its sources are the flags that the program parses and the OpenAPI document
// that every answer is held to. The same sources give the same bytes.
package docs
