package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/app"
	"consentsync/internal/store/transfer"
)

// A wrong call ends with 2 and names the flag and what to do.
func TestWrongFlagsOfCopyBackupAndRestore(t *testing.T) {
	t.Parallel()
	for want, args := range map[string]string{
		"--from: say what is to be copied":                             "copy",
		"--to: say where it is to be copied":                           "copy --from /somewhere",
		"--to: must be a PostgreSQL address":                           "copy --from /somewhere --to /elsewhere",
		"--to: must be a data directory when":                          "copy --from postgres://a/b --to postgresql://a/c",
		"unknown flag --into":                                          "copy --from /somewhere --into postgres://a/b",
		"--to: say into which file":                                    "backup",
		"unexpected argument file":                                     "backup file",
		"--data: say into which directory the backup goes":             "restore",
		"--database: stands for itself":                                "restore --data /somewhere --database postgres://a/b",
		"--from: is for a data directory. Restore a PostgreSQL":        "restore --from /file --database postgres://a/b",
		"--database: must be a PostgreSQL address (postgres://...)":    "restore --database /somewhere",
		"Stop every server on the source first":                        "copy --help",
		"keep a copy of the key apart":                                 "backup --help",
		"every integration is paused":                                  "restore --help",
		"Move everything from a data directory to PostgreSQL, or back": "--help",
	} {
		var said bytes.Buffer
		code, wantCode := run(t.Context(), strings.Fields(args), streams{nil, &said, &said}), 2
		if strings.HasSuffix(args, "--help") {
			wantCode = 0
		}
		if text := strings.Join(strings.Fields(said.String()), " "); code != wantCode || !strings.Contains(text, want) {
			t.Errorf("%s ends with %d and says %s, want %d and %q", args, code, text, wantCode, want)
		}
	}
}

func TestProgressOfACopy(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	line := func(columns int) (*progressLine, *bytes.Buffer) {
		var out bytes.Buffer
		return &progressLine{statusLine: statusLine{out: &out, columns: columns, now: func() time.Time { return now }}}, &out
	}
	plain, lines := line(0)
	wide, screen := line(60)
	show := func(after time.Duration, p transfer.Progress) {
		now = now.Add(after)
		plain.show(p)
		wide.show(p)
	}
	show(0, transfer.Progress{Table: "ledger", Done: 500_000, All: 2_000_000}) // an earlier attempt's
	show(time.Second, transfer.Progress{Table: "ledger", Done: 600_000, All: 2_000_000})
	show(100*time.Millisecond, transfer.Progress{Table: "ledger", Done: 605_000, All: 2_000_000}) // too soon
	show(9*time.Second, transfer.Progress{Table: "people", Done: 1_510_000, All: 2_000_000})
	show(time.Millisecond, transfer.Progress{Verifying: true, Table: "ledger", Done: 2_000, All: 2_000_000})
	plain.end()
	wide.end()
	want := `copying ledger: 500,000 of 2,000,000 rows (25 %)
copying people: 1,510,000 of 2,000,000 rows (76 %), 100,000 a second, 4.9 s left
verifying ledger: 2,000 of 2,000,000 rows (0 %)
`
	if diff := cmp.Diff(want, lines.String()); diff != "" {
		t.Errorf("in lines:\n%s", diff)
	}
	const clear = "\x1b[K"
	want = "\rcopying ledger: 500,000 of 2,000,000 rows (25 %)" + clear +
		"\rcopying ledger: 600,000 of 2,000,000 rows (30 %), 100,000 a" + clear +
		"\rcopying people: 1,510,000 of 2,000,000 rows (76 %), 100,000" + clear +
		"\rverifying ledger: 2,000 of 2,000,000 rows (0 %)" + clear + "\n"
	if diff := cmp.Diff(want, screen.String()); diff != "" {
		t.Errorf("on a terminal:\n%s", diff)
	}
}

func TestWhatACopySays(t *testing.T) {
	t.Parallel()
	r := &transfer.Result{Tables: []transfer.Sum{{Table: "ledger", Rows: 1200}, {Table: "people", Rows: 3}}, Resumed: 1000, Replaced: 1}
	zero := strings.Repeat("0", 64)
	want := "table    rows                                     hash (the same on both sides)\n" +
		"ledger  1,200  " + zero + "\n" +
		"people      3  " + zero + "\n\n" +
		"Copied and verified: 1,203 rows.\n" +
		"1,000 of them had been copied before an interruption.\n" +
		"1 text held bytes that PostgreSQL cannot hold: there are replacement characters instead.\n"
	if diff := cmp.Diff(want, copyText(r)); diff != "" {
		t.Error(diff)
	}
	secret := app.CopyConfig{From: "/data", To: "postgres://user:topsecret@db/name"}
	for _, c := range []app.CopyConfig{secret, {From: secret.To, To: secret.From}} {
		text := nextSteps(c)
		if strings.Contains(text, "topsecret") || !strings.Contains(text, "/data") || !strings.Contains(text, "CONSENTSYNC_MASTER_KEY") {
			t.Errorf("what is left to do is\n%s", text)
		}
	}
}
