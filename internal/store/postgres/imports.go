package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	selectImports  = `SELECT ` + store.ImportColumns + ` FROM imports WHERE `
	importFilesSQL = `SELECT file, fingerprint, taken FROM import_files WHERE organization = $1 AND import = $2 ORDER BY file`
	takeFileSQL    = `INSERT INTO import_files (organization, import, file, fingerprint, taken) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (organization, import, file) DO UPDATE SET fingerprint = excluded.fingerprint, taken = excluded.taken`
	keepRefusalSQL = `INSERT INTO import_refusals (organization, import, file, number, reason) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (organization, import, file, number) DO UPDATE SET reason = excluded.reason`
	refusalsSQL = `SELECT file, number, reason FROM import_refusals
		WHERE organization = $1 AND import = $2 AND (file, number) > ($3, $4::bigint) ORDER BY file, number LIMIT $5`
	recompareSQL = `INSERT INTO reprojections AS r (organization, integration, state, cursor, started_at)
		SELECT organization, id, 'counting', '', $2::bigint FROM integrations WHERE organization = $1 ORDER BY id
		ON CONFLICT (organization, integration) DO UPDATE SET state = 'counting', cursor = '', people = 0, withdrawals = 0, grants = 0,
			started_at = greatest(excluded.started_at, r.started_at + 1), only_since = 0`
)

var scanImport = scanned(store.ScanImport)

// OpenImport gives the import of a name; it is made if it is not there, with the
// record of the change.
func (e *Engine) OpenImport(ctx context.Context, organization, name string, changes ...store.Change) (*store.Import, error) {
	id := store.NewID().String()
	err := e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO imports (`+store.ImportColumns+`) VALUES ($1, $2, $3, false, '{}', 0, $4, $4) ON CONFLICT DO NOTHING`,
			organization, id, name, int64(tx.now))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return tx.record(ctx, changes)
	})
	if err != nil {
		return nil, err
	}
	return e.oneImport(ctx, `organization = $1 AND name = $2`, organization, name)
}

// Import reads an import with its files; NotFound if there is none.
func (e *Engine) Import(ctx context.Context, k store.ImportKey) (*store.Import, error) {
	return e.oneImport(ctx, `organization = $1 AND id = $2`, k.Organization, k.ID)
}

func (e *Engine) oneImport(ctx context.Context, which string, args ...any) (*store.Import, error) {
	i, ok, err := one(ctx, e, scanImport, selectImports+which, args...)
	if err == nil && !ok {
		err = noImport("postgres.Import")
	}
	if err != nil {
		return nil, err
	}
	i.Files, err = query(ctx, e, scanned(store.ScanImportFile), importFilesSQL, i.Organization, i.ID)
	return i, err
}

func noImport(op string) error { return consent.Errorf(consent.NotFound, op, "no such import") }

// Imports lists the imports of an organization without their files, the newest
// first, from before one; an empty id is the beginning.
func (e *Engine) Imports(ctx context.Context, organization, before string, limit int) ([]*store.Import, error) {
	return query(ctx, e, scanImport, selectImports+`organization = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3`, organization, before, limit)
}

// TakeRows takes a part of a file in one durable transaction with its place. The
// import is locked before all that accepting locks, by nobody else in another
// order.
func (e *Engine) TakeRows(ctx context.Context, s *store.ImportStep) (receipts []store.Receipt, err error) {
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		found, err := collect(ctx, tx, scanImport, selectImports+`organization = $1 AND id = $2 FOR UPDATE`, s.Organization, s.ID)
		if err == nil && len(found) == 0 {
			err = noImport("postgres.TakeRows")
		}
		if err != nil {
			return err
		}
		i := found[0]
		taken, err := collect(ctx, tx, pgx.RowTo[int64], `SELECT taken FROM import_files WHERE organization = $1 AND import = $2 AND file = $3`,
			s.Organization, s.ID, s.File)
		if err != nil {
			return err
		}
		if taken = append(taken, 0); s.Misplaced(taken[0]) {
			return s.Elsewhere(taken[0])
		}
		if receipts, err = store.Accept(ctx, newAcceptTx(tx), e.hasher, s.Batch, tx.now); err != nil {
			return err
		}
		i.Count(s, receipts)
		outcomes, err := store.ToJSON(i.Outcomes)
		if err != nil {
			return err
		}
		var b pgx.Batch
		b.Queue(takeFileSQL, s.Organization, s.ID, s.File, s.Fingerprint, s.From+s.Rows)
		for _, r := range s.Kept(i.Refused - int64(len(s.Refused))) {
			b.Queue(keepRefusalSQL, s.Organization, s.ID, r.File, r.Row, plain(r.Reason))
		}
		b.Queue(`UPDATE imports SET ended = false, outcomes = $3, refused = $4, updated_at = $5 WHERE organization = $1 AND id = $2`,
			s.Organization, s.ID, outcomes, i.Refused, int64(tx.now))
		return tx.run(ctx, &b)
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// ImportRefusals lists the refusals of an import that are kept, by file and row,
// from after one.
func (e *Engine) ImportRefusals(ctx context.Context, k store.ImportKey, after store.RefusalCursor, limit int) ([]store.ImportRefusal, error) {
	return query(ctx, e, scanned(store.ScanImportRefusal), refusalsSQL, k.Organization, k.ID, after.File, after.Row, limit)
}

// EndImport has everybody compared for every integration of the organization,
// with the record of the change, unless nothing came since that was last done.
func (e *Engine) EndImport(ctx context.Context, k store.ImportKey, changes ...store.Change) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		if err := tx.shareOrganization(ctx, k.Organization); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE imports SET ended = true, updated_at = $3 WHERE organization = $1 AND id = $2 AND NOT ended`, k.Organization, k.ID, int64(tx.now))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, recompareSQL, k.Organization, int64(tx.now)); err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
}
