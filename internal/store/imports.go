package store

import "consentsync/internal/consent"

// Source says by which way a message came to us.
type Source int8

// The sources. Only what was told at once, or was fetched, turns something on
// without being counted first (R23).
const (
	// AsTold is what either end told us of by itself.
	AsTold Source = iota
	// Fetched is what was fetched from Didomi, because it may have been missed.
	Fetched
	// Imported is what somebody has handed us in a file.
	Imported
)

// ImportKey names an import within its organization.
type ImportKey struct {
	Organization string
	ID           string
}

// Import is a set of files that is being taken in, with what became of it.
type Import struct {
	ImportKey
	Name string // by which a rerun finds it
	// Ended tells that everybody was compared after the last of it came; more
	// may still come. Ending tells that this follows when what is staged is merged.
	Ended, Ending bool
	// Outcomes are those of the rows that are merged.
	Outcomes  map[consent.Outcome]int64
	Refused   int64
	Staged    Staged
	StartedAt consent.Time
	UpdatedAt consent.Time
	Files     []ImportFile // by name
}

// ImportFile is how far a file of an import was taken.
type ImportFile struct {
	Name string `json:"file"`
	// Fingerprint is what whoever hands in the file says of the rows taken so
	// far, to tell it from another of its name.
	Fingerprint string `json:"fingerprint"`
	// Rows is how many of its rows were taken, from the first.
	Rows int64 `json:"rows"`
}

// ImportRefusal says why a row of a file was refused.
type ImportRefusal struct {
	File   string `json:"file"`
	Row    int64  `json:"row"` // from 1
	Reason string `json:"reason"`
}

// MostImportRefusals bounds how many refusals of an import are kept; all are
// counted.
const MostImportRefusals = 10_000

// ImportStep is a part of a file that is taken in one transaction with its place.
type ImportStep struct {
	ImportKey
	File, Fingerprint string
	// From is how many rows come before; Conflict if another number was taken,
	// but for 0, which begins the file anew.
	From    int64
	Rows    int64
	Staged  []StagedRow // of these rows, those that can be read; their file and time are set when they are taken
	Refused []ImportRefusal
}

// Misplaced tells whether a part does not follow what was taken of its file.
func (s *ImportStep) Misplaced(taken int64) bool { return s.From != 0 && s.From != taken }

// Elsewhere is the error of a part that is misplaced.
func (s *ImportStep) Elsewhere(taken int64) error {
	return consent.Errorf(consent.Conflict, "store.TakeRows", "%s goes on after row %d, not after row %d", s.File, taken, s.From)
}

// Stage counts a part, and gives the blocks in which its rows are kept.
func (i *Import) Stage(s *ImportStep, now consent.Time) []StagedBlock {
	for n := range s.Staged {
		s.Staged[n].File, s.Staged[n].ArrivedAt = s.File, now
	}
	blocks := StagedBlocks(s.Staged)
	for n := range blocks {
		i.Staged.Blocks++
		i.Staged.Bytes += blocks[n].Size
		blocks[n].Number = i.Staged.Blocks
	}
	i.Staged.Rows += int64(len(s.Staged))
	i.Refused += int64(len(s.Refused))
	i.Ended, i.Ending, i.UpdatedAt = false, false, now
	return blocks
}

// Merge counts what leaves, and what is refused. ends tells that it is the last, and
// that now everybody is to be compared.
func (i *Import) Merge(s *MergeStep, now consent.Time) (ends bool) {
	for n := range s.Blocks {
		i.Staged.Rows -= s.Blocks[n].Count
		i.Staged.Bytes -= s.Blocks[n].Size
	}
	for n := range s.Rest {
		i.Staged.Rows += s.Rest[n].Count
		i.Staged.Bytes += s.Rest[n].Size
	}
	i.Refused += int64(len(s.Refused))
	i.UpdatedAt = now
	// A node of a version that stages nothing may have ended it before it was merged.
	i.Ending = i.Ending || i.Ended
	i.Ended = false
	ends = i.Ending && i.Staged.Rows == 0
	if ends {
		i.Ended, i.Ending = true, false
	}
	return ends
}

// Count adds what became of rows.
func (i *Import) Count(receipts []Receipt) {
	if i.Outcomes == nil {
		i.Outcomes = make(map[consent.Outcome]int64)
	}
	for _, r := range receipts {
		i.Outcomes[r.Outcome]++
	}
}

// End asks for everybody to be compared, unless nothing came since that was last
// asked. ends tells that it is to be done now: nothing is staged.
func (i *Import) End(now consent.Time) (asked, ends bool) {
	if i.Ended || i.Ending {
		return false, false
	}
	i.Ended, i.UpdatedAt = i.Staged.Rows == 0, now
	i.Ending = !i.Ended
	return true, i.Ended
}

// RefusalsToKeep gives those of a step that are kept, when so many were before.
func RefusalsToKeep(refused []ImportRefusal, before int64) []ImportRefusal {
	return refused[:max(0, min(int64(len(refused)), MostImportRefusals-before))]
}

// RefusalCursor is a place among the refusals of an import: after the one given.
type RefusalCursor struct {
	File string
	Row  int64
}

// ImportColumns are those that ScanImport reads.
const ImportColumns = `organization, id, name, ended, ending, outcomes, refused, staged_rows, staged_bytes, staged_blocks, started_at, updated_at`

// ScanImport reads ImportColumns.
func ScanImport(row Row) (*Import, error) {
	var i Import
	var outcomes string
	err := row.Scan(&i.Organization, &i.ID, &i.Name, &i.Ended, &i.Ending, &outcomes, &i.Refused,
		&i.Staged.Rows, &i.Staged.Bytes, &i.Staged.Blocks, &i.StartedAt, &i.UpdatedAt)
	if err != nil {
		return nil, err
	}
	return &i, FromJSON(outcomes, &i.Outcomes)
}

// ScanImportFile reads file, fingerprint, rows.
func ScanImportFile(row Row) (f ImportFile, err error) {
	err = row.Scan(&f.Name, &f.Fingerprint, &f.Rows)
	return f, err
}

// ScanImportRefusal reads file, row, reason.
func ScanImportRefusal(row Row) (r ImportRefusal, err error) {
	err = row.Scan(&r.File, &r.Row, &r.Reason)
	return r, err
}
