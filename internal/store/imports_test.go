package store

import "testing"

// A node of a version that stages nothing ends an import though rows are staged: the
// last merge has everybody compared all the same.
func TestAnImportThatWasEndedTooSoon(t *testing.T) {
	t.Parallel()
	blocks := StagedBlocks([]StagedRow{{Row: 1}, {Person: PersonKey{0xff}, Row: 2}})
	i := &Import{Ended: true, Staged: Staged{Rows: 2, Bytes: blocks[0].Size + blocks[1].Size}}
	if ends := i.Merge(&MergeStep{Blocks: blocks[:1]}, 1); ends || i.Ended || !i.Ending {
		t.Errorf("with a row left: ends %t, %+v", ends, i)
	}
	if ends := i.Merge(&MergeStep{Blocks: blocks[1:]}, 2); !ends || !i.Ended || i.Ending || i.Staged != (Staged{}) {
		t.Errorf("with none left: ends %t, %+v", ends, i)
	}
}
