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
	saveImportSQL = `UPDATE imports SET ended = $3, ending = $4, outcomes = $5, refused = $6, staged_rows = $7, staged_bytes = $8, staged_blocks = $9, updated_at = $10
		WHERE organization = $1 AND id = $2`
	stagedSQL = `SELECT ` + store.StagedColumns + ` FROM import_blocks
		WHERE organization = $1 AND import = $2 AND (slice, number) > ($3::bigint, $4::bigint) ORDER BY slice, number LIMIT $5`
	stageSQL   = `INSERT INTO import_blocks (organization, import, ` + store.StagedColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	unstageSQL = `DELETE FROM import_blocks b USING unnest($3::bigint[], $4::bigint[], $5::bigint[]) AS taken (slice, number, length)
		WHERE b.organization = $1 AND b.import = $2 AND b.slice = taken.slice AND b.number = taken.number AND length(b.rows) = taken.length`
	stagedInSQL   = selectImports + `staged_rows > 0 ORDER BY organization, id`
	anyStagedSQL  = `SELECT EXISTS (SELECT 1 FROM imports WHERE organization = $1 AND staged_rows > 0)`
	lockStagedSQL = `SELECT id FROM imports WHERE organization = $1 AND staged_rows > 0 ORDER BY id FOR UPDATE`
	stagedOfSQL   = `SELECT import, ` + store.StagedColumns + ` FROM import_blocks WHERE organization = $1
		AND import IN (SELECT id FROM imports WHERE organization = $1 AND staged_rows > 0) AND slice = $2 ORDER BY import, number FOR UPDATE`
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
		tag, err := tx.Exec(ctx, `INSERT INTO imports (organization, id, name, ended, outcomes, refused, started_at, updated_at)
			VALUES ($1, $2, $3, false, '{}', 0, $4, $4) ON CONFLICT DO NOTHING`,
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

// TakeRows stages a part of a file in one durable transaction with its place, and
// gives the import as it is then, without its files.
func (e *Engine) TakeRows(ctx context.Context, s *store.ImportStep) (i *store.Import, err error) {
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) (err error) {
		if i, err = importOf(ctx, tx, s.ImportKey, "postgres.TakeRows"); err != nil {
			return err
		}
		taken, err := collect(ctx, tx, pgx.RowTo[int64], `SELECT taken FROM import_files WHERE organization = $1 AND import = $2 AND file = $3`,
			s.Organization, s.ID, s.File)
		if err != nil {
			return err
		}
		if taken = append(taken, 0); s.Misplaced(taken[0]) {
			return s.Elsewhere(taken[0])
		}
		var b pgx.Batch
		before := i.Refused
		for _, block := range i.Stage(s, tx.now) {
			stage(&b, s.ImportKey, &block)
		}
		b.Queue(takeFileSQL, s.Organization, s.ID, s.File, s.Fingerprint, s.From+s.Rows)
		keepRefusals(&b, s.ImportKey, s.Refused, before)
		return saveImport(ctx, tx, &b, i)
	})
	return i, err
}

// NextStaged reads what is to be merged next of an import, from after a place: few
// blocks at once, since the server sends all that a query finds.
func (e *Engine) NextStaged(ctx context.Context, k store.ImportKey, after store.StagedPlace) ([]store.StagedBlock, error) {
	const some = 16
	var page store.StagedPage
	for len(page.Blocks) < store.MostStagedPage {
		found, err := query(ctx, e, scanned(store.ScanStaged), stagedSQL, k.Organization, k.ID, after.Slice, after.Number, some)
		if err != nil {
			return nil, err
		}
		for _, b := range found {
			if !page.Add(b) {
				return page.Blocks, nil
			}
			after = b.StagedPlace
		}
		if len(found) < some {
			break
		}
	}
	return page.Blocks, nil
}

// MergeRows merges staged rows in one transaction with their leaving, and gives the
// import as it is then, without its files. The last of an import that was ended has
// everybody compared. The import is locked before all else, and with it its blocks:
// who erases people locks the imports first too.
//
// Like Merge it does not wait for the disk: what is lost with the power is staged
// still.
func (e *Engine) MergeRows(ctx context.Context, s *store.MergeStep) (i *store.Import, receipts []store.Receipt, err error) {
	err = e.inTxWith(ctx, []string{"SET LOCAL synchronous_commit TO off"}, func(ctx context.Context, tx *tx) (err error) {
		if err := tx.shareOrganization(ctx, s.Organization); err != nil {
			return err
		}
		if i, err = importOf(ctx, tx, s.ImportKey, "postgres.MergeRows"); err != nil {
			return err
		}
		if err := unstage(ctx, tx, s); err != nil {
			return err
		}
		var b pgx.Batch
		for n := range s.Rest {
			stage(&b, s.ImportKey, &s.Rest[n])
		}
		keepRefusals(&b, s.ImportKey, s.Refused, i.Refused)
		if i.Merge(s, tx.now) {
			b.Queue(recompareSQL, s.Organization, int64(tx.now))
		}
		if err := tx.run(ctx, &b); err != nil {
			return err
		}
		if receipts, err = store.Accept(ctx, newAcceptTx(tx), e.hasher, s.Batch, tx.now); err != nil {
			return err
		}
		i.Count(receipts)
		return saveImport(ctx, tx, &pgx.Batch{}, i)
	})
	return i, receipts, err
}

// importOf reads an import and locks it.
func importOf(ctx context.Context, tx *tx, k store.ImportKey, op string) (*store.Import, error) {
	found, err := collect(ctx, tx, scanImport, selectImports+`organization = $1 AND id = $2 FOR UPDATE`, k.Organization, k.ID)
	if err == nil && len(found) == 0 {
		err = noImport(op)
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// saveImport stores an import, after what is queued.
func saveImport(ctx context.Context, tx *tx, b *pgx.Batch, i *store.Import) error {
	outcomes, err := store.ToJSON(i.Outcomes)
	if err != nil {
		return err
	}
	b.Queue(saveImportSQL, i.Organization, i.ID, i.Ended, i.Ending, outcomes, i.Refused, i.Staged.Rows, i.Staged.Bytes, i.Staged.Blocks, int64(i.UpdatedAt))
	return tx.run(ctx, b)
}

func keepRefusals(b *pgx.Batch, k store.ImportKey, refused []store.ImportRefusal, before int64) {
	for _, r := range store.RefusalsToKeep(refused, before) {
		b.Queue(keepRefusalSQL, k.Organization, k.ID, r.File, r.Row, plain(r.Reason))
	}
}

func stage(b *pgx.Batch, k store.ImportKey, block *store.StagedBlock) {
	b.Queue(stageSQL, k.Organization, k.ID, block.Slice, block.Number, block.Count, block.Size, block.Rows)
}

func unstage(ctx context.Context, tx *tx, s *store.MergeStep) error {
	var slices, numbers, lengths []int64
	for n := range s.Blocks {
		slices = append(slices, s.Blocks[n].Slice)
		numbers = append(numbers, s.Blocks[n].Number)
		lengths = append(lengths, int64(len(s.Blocks[n].Rows)))
	}
	tag, err := tx.Exec(ctx, unstageSQL, s.Organization, s.ID, slices, numbers, lengths)
	if err == nil && tag.RowsAffected() != int64(len(s.Blocks)) {
		err = s.Taken()
	}
	return err
}

// eraseStaged erases a person's rows of imports that are not merged yet.
func eraseStaged(ctx context.Context, tx *tx, b *pgx.Batch, organization string, person store.PersonKey) error {
	blocks, err := collect(ctx, tx, scanned(store.ScanStagedOf), stagedOfSQL, organization, store.StagedSliceOf(person))
	if err != nil {
		return err
	}
	return store.EraseFrom(blocks, person, func(s *store.StagedOf) []byte { return s.Rows }, func(s *store.StagedOf, rest []byte) error {
		b.Queue(`UPDATE import_blocks SET rows = $5 WHERE organization = $1 AND import = $2 AND slice = $3 AND number = $4`,
			organization, s.Import, s.Slice, s.Number, blob(rest))
		return nil
	})
}

// StagedImports lists the imports of all organizations that have rows to be merged,
// without their files.
func (e *Engine) StagedImports(ctx context.Context) ([]*store.Import, error) {
	return query(ctx, e, scanImport, stagedInSQL)
}

// AnyStaged tells whether an organization has rows of imports that are to be merged.
func (e *Engine) AnyStaged(ctx context.Context, organization string) (bool, error) {
	any, _, err := one(ctx, e, pgx.RowTo[bool], anyStagedSQL, organization)
	return any, err
}

// ImportRefusals lists the refusals of an import that are kept, by file and row,
// from after one.
func (e *Engine) ImportRefusals(ctx context.Context, k store.ImportKey, after store.RefusalCursor, limit int) ([]store.ImportRefusal, error) {
	return query(ctx, e, scanned(store.ScanImportRefusal), refusalsSQL, k.Organization, k.ID, after.File, after.Row, limit)
}

// EndImport has everybody compared for every integration of the organization, once
// nothing is staged any more, with the record of the change; unless nothing came
// since that was last asked for. It gives the import, without its files.
func (e *Engine) EndImport(ctx context.Context, k store.ImportKey, changes ...store.Change) (i *store.Import, err error) {
	err = e.inTx(ctx, func(ctx context.Context, tx *tx) (err error) {
		if err := tx.shareOrganization(ctx, k.Organization); err != nil {
			return err
		}
		if i, err = importOf(ctx, tx, k, "postgres.EndImport"); err != nil {
			return err
		}
		asked, ends := i.End(tx.now)
		if !asked {
			return nil
		}
		var b pgx.Batch
		if ends {
			b.Queue(recompareSQL, k.Organization, int64(tx.now))
		}
		if err := saveImport(ctx, tx, &b, i); err != nil {
			return err
		}
		return tx.record(ctx, changes)
	})
	return i, err
}
