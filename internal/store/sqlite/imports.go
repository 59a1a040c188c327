package sqlite

import (
	"context"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	selectImports  = `SELECT ` + store.ImportColumns + ` FROM imports WHERE `
	openImportSQL  = `INSERT INTO imports (` + store.ImportColumns + `) VALUES (?, ?, ?, 0, '{}', 0, ?, ?) ON CONFLICT DO NOTHING`
	importFilesSQL = `SELECT file, fingerprint, taken FROM import_files WHERE organization = ? AND import = ? ORDER BY file`
	takeFileSQL    = `INSERT INTO import_files (organization, import, file, fingerprint, taken) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint, taken = excluded.taken`
	keepRefusalSQL = `INSERT INTO import_refusals (organization, import, file, number, reason) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET reason = excluded.reason`
	refusalsSQL = `SELECT file, number, reason FROM import_refusals
		WHERE organization = ? AND import = ? AND (file, number) > (?, ?) ORDER BY file, number LIMIT ?`
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

// TakeRows takes a part of a file in one durable transaction with its place.
func (e *Engine) TakeRows(ctx context.Context, s *store.ImportStep) (receipts []store.Receipt, err error) {
	err = e.inTx(ctx, func(tx *transaction) error {
		i, ok, err := one(ctx, tx, store.ScanImport, selectImports+`organization = ? AND id = ?`, s.Organization, s.ID)
		if err == nil && !ok {
			err = noImport("sqlite.TakeRows")
		}
		if err != nil {
			return err
		}
		var taken int64
		err = tx.QueryRowContext(ctx, `SELECT taken FROM import_files WHERE organization = ? AND import = ? AND file = ?`,
			s.Organization, s.ID, s.File).Scan(&taken)
		if err := ignoreNoRows(err); err != nil {
			return err
		}
		if s.Misplaced(taken) {
			return s.Elsewhere(taken)
		}
		now := consent.TimeOf(e.now())
		if receipts, err = store.Accept(ctx, e.acceptTx(tx), e.hasher, s.Batch, now); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, takeFileSQL, s.Organization, s.ID, s.File, s.Fingerprint, s.From+s.Rows); err != nil {
			return err
		}
		for _, r := range s.Kept(i.Refused) {
			if _, err := tx.ExecContext(ctx, keepRefusalSQL, s.Organization, s.ID, r.File, r.Row, r.Reason); err != nil {
				return err
			}
		}
		i.Count(s, receipts)
		outcomes, err := store.ToJSON(i.Outcomes)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE imports SET ended = 0, outcomes = ?, refused = ?, updated_at = ? WHERE organization = ? AND id = ?`,
			outcomes, i.Refused, int64(now), s.Organization, s.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// ImportRefusals lists the refusals of an import that are kept, by file and row,
// from after one.
func (e *Engine) ImportRefusals(ctx context.Context, k store.ImportKey, after store.RefusalCursor, limit int) ([]store.ImportRefusal, error) {
	return query(ctx, e.read, store.ScanImportRefusal, refusalsSQL, k.Organization, k.ID, after.File, after.Row, limit)
}

// EndImport has everybody compared for every integration of the organization,
// with the record of the change, unless nothing came since that was last done.
func (e *Engine) EndImport(ctx context.Context, k store.ImportKey, changes ...store.Change) error {
	return e.inTx(ctx, func(tx *transaction) error {
		now := int64(consent.TimeOf(e.now()))
		res, err := tx.ExecContext(ctx, `UPDATE imports SET ended = 1, updated_at = ? WHERE organization = ? AND id = ? AND ended = 0`, now, k.Organization, k.ID)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if _, err := tx.ExecContext(ctx, recompareSQL, k.Organization, now); err != nil {
			return err
		}
		return record(ctx, tx, changes)
	})
}
