package store

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// A block holds rows about people. Rows of a file come in any order of people's
// keys: kept one by one they would change a page of the database each. What one
// part of a file has for one slice of the keys is a block, which changes one.

var errBlock = errors.New("a stored block of rows is cut off")

// AppendToBlock adds a row about a person: the key, how long the rest is, and the
// rest.
func AppendToBlock(block []byte, person PersonKey, rest []byte) []byte {
	return append(binary.AppendUvarint(append(block, person[:]...), uint64(len(rest))), rest...)
}

// eachInBlock calls f with each row of a block and its packed form. What it gives
// shares memory with the block.
func eachInBlock(block []byte, f func(person PersonKey, rest, packed []byte)) error {
	for len(block) > 0 {
		var person PersonKey
		at := copy(person[:], block)
		size, n := binary.Uvarint(block[at:])
		if n <= 0 || size > uint64(len(block)-at-n) { //nolint:gosec // none of them is below 0
			return errBlock
		}
		end := at + n + int(size) //nolint:gosec // at most the length of the block
		f(person, block[at+n:end:end], block[:end])
		block = block[end:]
	}
	return nil
}

// withoutPerson gives a block without the rows of a person, and whether it had any.
func withoutPerson(block []byte, person PersonKey) (rest []byte, had bool, err error) {
	if !bytes.Contains(block, person[:]) {
		return block, false, nil
	}
	err = eachInBlock(block, func(p PersonKey, _, packed []byte) {
		if p == person {
			had = true
		} else {
			rest = append(rest, packed...)
		}
	})
	return rest, had, err
}

// EraseFrom takes the rows of a person out of blocks, and has those saved that had any.
func EraseFrom[B any](blocks []B, person PersonKey, rows func(*B) []byte, save func(b *B, rest []byte) error) error {
	for n := range blocks {
		rest, had, err := withoutPerson(rows(&blocks[n]), person)
		if err != nil {
			return err
		}
		if !had {
			continue
		}
		if err := save(&blocks[n], rest); err != nil {
			return err
		}
	}
	return nil
}
