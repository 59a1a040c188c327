package sqlite

import (
	"context"
	"errors"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	selectImports = `SELECT ` + store.ImportColumns + ` FROM imports WHERE `
	openImportSQL = `INSERT INTO imports (organization, id, name, ended, outcomes, refused, started_at, updated_at) VALUES (?, ?, ?, 0, '{}', 0, ?, ?) ON CONFLICT DO NOTHING`
	saveImportSQL = `UPDATE imports SET ended = ?, ending = ?, outcomes = ?, refused = ?, staged_rows = ?, staged_bytes = ?, staged_blocks = ?, updated_at = ?
		WHERE organization = ? AND id = ?`
	importFilesSQL = `SELECT file, fingerprint, taken FROM import_files WHERE organization = ? AND import = ? ORDER BY file`
	takeFileSQL    = `INSERT INTO import_files (organization, import, file, fingerprint, taken) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint, taken = excluded.taken`
	keepRefusalSQL = `INSERT INTO import_refusals (organization, import, file, number, reason) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET reason = excluded.reason`
	refusalsSQL = `SELECT file, number, reason FROM import_refusals
		WHERE organization = ? AND import = ? AND (file, number) > (?, ?) ORDER BY file, number LIMIT ?`
	stageSQL     = `INSERT INTO import_blocks (organization, import, ` + store.StagedColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?)`
	stagedSQL    = `SELECT ` + store.StagedColumns + ` FROM import_blocks WHERE organization = ? AND import = ? AND (slice, number) > (?, ?) ORDER BY slice, number LIMIT ?`
	unstageSQL   = `DELETE FROM import_blocks WHERE organization = ? AND import = ? AND slice = ? AND number = ? AND length(rows) = ?`
	stagedInSQL  = `SELECT ` + store.ImportColumns + ` FROM imports INDEXED BY imports_staged WHERE staged_rows > 0 ORDER BY organization, id`
	anyStagedSQL = `SELECT EXISTS (SELECT 1 FROM imports INDEXED BY imports_staged WHERE organization = ? AND staged_rows > 0)`
	stagedOfSQL  = `SELECT import, ` + store.StagedColumns + ` FROM import_blocks WHERE organization = ?1
		AND import IN (SELECT id FROM imports WHERE organization = ?1 AND staged_rows > 0) AND slice = ?2`
	recompareSQL = `INSERT INTO reprojections (organization, integration, state, cursor, started_at)
		SELECT organization, id, 'counting', x'', ?2 FROM integrations WHERE organization = ?1
		ON CONFLICT DO UPDATE SET state = 'counting', cursor = x'', people = 0, withdrawals = 0, grants = 0,
			started_at = max(excluded.started_at, started_at + 1), only_since = 0`
)

// OpenImport gives the import of a name; it is made if it is not there, with the
// record of the change.
func (e *Engine) OpenImport(ctx context.Context, organization, name string, changes ...store.Change) (*store.Import, error) {
	err := e.inTx(ctx, func(tx *transaction) error {
		now := int64(consent.TimeOf(e.now()))
		res, err := tx.ExecContext(ctx, openImportSQL, organization, store.NewID().String(), name, now, now)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return record(ctx, tx, changes)
	})
	if err != nil {
		return nil, err
	}
	return e.oneImport(ctx, `organization = ? AND name = ?`, organization, name)
}

// Import reads an import with its files; NotFound if there is none.
func (e *Engine) Import(ctx context.Context, k store.ImportKey) (*store.Import, error) {
	return e.oneImport(ctx, `organization = ? AND id = ?`, k.Organization, k.ID)
}

func (e *Engine) oneImport(ctx context.Context, which string, args ...any) (*store.Import, error) {
	i, ok, err := one(ctx, e.read, store.ScanImport, selectImports+which, args...)
	if err == nil && !ok {
		err = noImport("sqlite.Import")
	}
	if err != nil {
		return nil, err
	}
	i.Files, err = query(ctx, e.read, store.ScanImportFile, importFilesSQL, i.Organization, i.ID)
	return i, err
}

func noImport(op string) error { return consent.Errorf(consent.NotFound, op, "no such import") }

// Imports lists the imports of an organization without their files, the newest
// first, from before one; an empty id is the beginning.
func (e *Engine) Imports(ctx context.Context, organization, before string, limit int) ([]*store.Import, error) {
	return query(ctx, e.read, store.ScanImport, selectImports+`organization = ?1 AND (?2 = '' OR id < ?2) ORDER BY id DESC LIMIT ?3`, organization, before, limit)
}

// TakeRows stages a part of a file in one durable transaction with its place, and
// gives the import as it is then, without its files.
func (e *Engine) TakeRows(ctx context.Context, s *store.ImportStep) (i *store.Import, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		if i, err = importOf(ctx, tx, s.ImportKey, "sqlite.TakeRows"); err != nil {
			return err
		}
		var taken int64
		err := tx.QueryRowContext(ctx, `SELECT taken FROM import_files WHERE organization = ? AND import = ? AND file = ?`,
			s.Organization, s.ID, s.File).Scan(&taken)
		if err := ignoreNoRows(err); err != nil {
			return err
		}
		if s.Misplaced(taken) {
			return s.Elsewhere(taken)
		}
		before := i.Refused
		for _, b := range i.Stage(s, consent.TimeOf(e.now())) {
			if err := stage(ctx, tx, s.ImportKey, &b); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, takeFileSQL, s.Organization, s.ID, s.File, s.Fingerprint, s.From+s.Rows); err != nil {
			return err
		}
		if err := keepRefusals(ctx, tx, s.ImportKey, s.Refused, before); err != nil {
			return err
		}
		return saveImport(ctx, tx, i)
	})
	return i, err
}

// NextStaged reads what is to be merged next of an import, from after a place.
func (e *Engine) NextStaged(ctx context.Context, k store.ImportKey, after store.StagedPlace) ([]store.StagedBlock, error) {
	rows, err := e.read.QueryContext(ctx, stagedSQL, k.Organization, k.ID, after.Slice, after.Number, store.MostStagedPage)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var page store.StagedPage
	for rows.Next() {
		b, err := store.ScanStaged(rows)
		if err != nil {
			return nil, classify(err)
		}
		if !page.Add(b) {
			break
		}
	}
	return page.Blocks, classify(rows.Err())
}

// MergeRows merges staged rows in one transaction with their leaving, and gives the
// import as it is then, without its files. The last of an import that was ended has
// everybody compared.
//
// Like Merge it does not wait for the disk: what is lost with the power is staged
// still.
func (e *Engine) MergeRows(ctx context.Context, s *store.MergeStep) (i *store.Import, receipts []store.Receipt, err error) {
	err = e.commit(ctx, func(tx *transaction) error {
		if i, err = importOf(ctx, tx, s.ImportKey, "sqlite.MergeRows"); err != nil {
			return err
		}
		now := consent.TimeOf(e.now())
		if err := unstage(ctx, tx, s); err != nil {
			return err
		}
		if err := keepRefusals(ctx, tx, s.ImportKey, s.Refused, i.Refused); err != nil {
			return err
		}
		if i.Merge(s, now) {
			if _, err := tx.ExecContext(ctx, recompareSQL, s.Organization, int64(now)); err != nil {
				return err
			}
		}
		if receipts, err = store.Accept(ctx, e.acceptTx(tx), e.hasher, s.Batch, now); err != nil {
			return err
		}
		i.Count(receipts)
		return saveImport(ctx, tx, i)
	})
	return i, receipts, err
}

func importOf(ctx context.Context, tx *transaction, k store.ImportKey, op string) (*store.Import, error) {
	i, ok, err := one(ctx, tx, store.ScanImport, selectImports+`organization = ? AND id = ?`, k.Organization, k.ID)
	if err == nil && !ok {
		err = noImport(op)
	}
	return i, err
}

func saveImport(ctx context.Context, tx *transaction, i *store.Import) error {
	outcomes, err := store.ToJSON(i.Outcomes)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, saveImportSQL, i.Ended, i.Ending, outcomes, i.Refused, i.Staged.Rows, i.Staged.Bytes, i.Staged.Blocks, int64(i.UpdatedAt), i.Organization, i.ID)
	return err
}

func keepRefusals(ctx context.Context, tx *transaction, k store.ImportKey, refused []store.ImportRefusal, before int64) error {
	for _, r := range store.RefusalsToKeep(refused, before) {
		if _, err := tx.ExecContext(ctx, keepRefusalSQL, k.Organization, k.ID, r.File, r.Row, r.Reason); err != nil {
			return err
		}
	}
	return nil
}

func stage(ctx context.Context, tx *transaction, k store.ImportKey, b *store.StagedBlock) error {
	_, err := tx.ExecContext(ctx, stageSQL, k.Organization, k.ID, b.Slice, b.Number, b.Count, b.Size, b.Rows)
	return err
}

func unstage(ctx context.Context, tx *transaction, s *store.MergeStep) error {
	for n := range s.Blocks {
		b := &s.Blocks[n]
		res, err := tx.ExecContext(ctx, unstageSQL, s.Organization, s.ID, b.Slice, b.Number, len(b.Rows))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, s.Taken())
		}
	}
	for n := range s.Rest {
		if err := stage(ctx, tx, s.ImportKey, &s.Rest[n]); err != nil {
			return err
		}
	}
	return nil
}

// eraseStaged erases a person's rows of imports that are not merged yet.
func eraseStaged(ctx context.Context, tx *transaction, organization string, person store.PersonKey) error {
	blocks, err := query(ctx, tx, store.ScanStagedOf, stagedOfSQL, organization, store.StagedSliceOf(person))
	if err != nil {
		return err
	}
	return store.EraseFrom(blocks, person, func(b *store.StagedOf) []byte { return b.Rows }, func(b *store.StagedOf, rest []byte) error {
		_, err := tx.ExecContext(ctx, `UPDATE import_blocks SET rows = ? WHERE organization = ? AND import = ? AND slice = ? AND number = ?`,
			blob(rest), organization, b.Import, b.Slice, b.Number)
		return err
	})
}

// StagedImports lists the imports of all organizations that have rows to be merged,
// without their files.
func (e *Engine) StagedImports(ctx context.Context) ([]*store.Import, error) {
	return query(ctx, e.read, store.ScanImport, stagedInSQL)
}

// AnyStaged tells whether an organization has rows of imports that are to be merged.
func (e *Engine) AnyStaged(ctx context.Context, organization string) (any bool, err error) {
	err = e.read.QueryRowContext(ctx, anyStagedSQL, organization).Scan(&any)
	return any, classify(err)
}

// ImportRefusals lists the refusals of an import that are kept, by file and row,
// from after one.
func (e *Engine) ImportRefusals(ctx context.Context, k store.ImportKey, after store.RefusalCursor, limit int) ([]store.ImportRefusal, error) {
	return query(ctx, e.read, store.ScanImportRefusal, refusalsSQL, k.Organization, k.ID, after.File, after.Row, limit)
}

// EndImport has everybody compared for every integration of the organization, once
// nothing is staged any more, with the record of the change; unless nothing came
// since that was last asked for. It gives the import, without its files.
func (e *Engine) EndImport(ctx context.Context, k store.ImportKey, changes ...store.Change) (i *store.Import, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		if i, err = importOf(ctx, tx, k, "sqlite.EndImport"); err != nil {
			return err
		}
		now := consent.TimeOf(e.now())
		asked, ends := i.End(now)
		if !asked {
			return nil
		}
		if ends {
			if _, err := tx.ExecContext(ctx, recompareSQL, k.Organization, int64(now)); err != nil {
				return err
			}
		}
		if err := saveImport(ctx, tx, i); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
	return i, err
}
