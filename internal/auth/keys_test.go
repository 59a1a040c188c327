package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

func key(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }

func text(keys ...[]byte) string {
	var words []string
	for _, k := range keys {
		words = append(words, base64.StdEncoding.EncodeToString(k))
	}
	return strings.Join(words, "\n")
}

func TestMasterKeyFile(t *testing.T) {
	t.Parallel()
	source := MasterSource{Dir: t.TempDir()}
	if source.Made() {
		t.Error("it is there before it was made")
	}
	first, err := source.Load(t.Context())
	if err != nil || len(first) != 1 || !source.Made() {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(source.Dir, "master-key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want mode 0600", info.Mode(), err)
	}
	second, err := source.Load(t.Context())
	if err != nil || !bytes.Equal(first[0], second[0]) {
		t.Errorf("the key changed between starts: %v", err)
	}
}

// The master key comes from the environment, a command or a file, and what is
// wrong with it is said of where it comes from.
func TestMasterKeySources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "given")
	if err := os.WriteFile(file, []byte(text(key(1), key(2))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		source MasterSource
		want   int // keys
		says   string
	}{
		"environment":           {MasterSource{Text: text(key(1)), Command: "false", Dir: dir}, 1, ""},
		"two, a comma":          {MasterSource{Text: strings.ReplaceAll(text(key(1), key(2)), "\n", ", ")}, 2, ""},
		"command":               {MasterSource{Command: "cat  " + file, File: "nowhere"}, 2, ""},
		"file":                  {MasterSource{File: file}, 2, ""},
		"too short":             {MasterSource{Text: "too short", Dir: dir}, 0, "CONSENTSYNC_MASTER_KEY"},
		"nothing but a space":   {MasterSource{Text: " "}, 0, "CONSENTSYNC_MASTER_KEY holds no master key"},
		"no file":               {MasterSource{File: file + "x"}, 0, "--master-key-file"},
		"no command":            {MasterSource{Command: " "}, 0, "--master-key-command"},
		"a command that fails":  {MasterSource{Command: "false"}, 0, "--master-key-command: false"},
		"a command that is not": {MasterSource{Command: dir + "/nothing"}, 0, "--master-key-command"},
		"a silent command":      {MasterSource{Command: "true"}, 0, "--master-key-command prints holds no master key"},
	} {
		keys, err := c.source.Load(t.Context())
		if len(keys) != c.want || (err != nil) != (c.says != "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "master-key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key was made that nobody needs: %v", err)
	}
}

// memory is a RotationStore in which everything can be cut short.
type memory struct {
	keys    []store.SecretKey
	secrets []store.Sealed
	broken  func(step string) error // what a step fails with, before and after it is done
	steps   []string
}

func (m *memory) step(name string) error {
	m.steps = append(m.steps, name)
	if m.broken != nil {
		return m.broken(name)
	}
	return nil
}

func (m *memory) SecretKey(_ context.Context, name string, make func() ([]byte, error)) ([]byte, error) {
	for _, k := range m.keys {
		if k.Name == name {
			return k.Sealed, nil
		}
	}
	made, err := make()
	if err == nil {
		m.keys = append(m.keys, store.SecretKey{Name: name, Sealed: made})
	}
	return made, err
}

func (m *memory) SecretKeys(context.Context) ([]store.SecretKey, error) {
	return slices.Clone(m.keys), nil
}

func (m *memory) AddSealingKey(_ context.Context, k store.SecretKey, _ ...store.Change) error {
	if err := m.step("to add"); err != nil {
		return err
	}
	for i := range m.keys {
		if m.keys[i].Name == k.Name {
			return consent.Errorf(consent.Conflict, "test", "it is there")
		}
		if numberOf(m.keys[i].Name) > 0 && m.keys[i].RetiredAt == 0 {
			m.keys[i].RetiredAt = 1
		}
	}
	m.keys = append(m.keys, k)
	return m.step("add")
}

func (m *memory) ReplaceSecretKeys(_ context.Context, was, is []store.SecretKey, _ ...store.Change) error {
	if err := m.step("to replace"); err != nil {
		return err
	}
	if !store.SameKeys(m.keys, was) {
		return store.ErrKeysChanged
	}
	m.keys = slices.Clone(is)
	return m.step("replace")
}

func (m *memory) DropSecretKey(_ context.Context, name string, _ ...store.Change) error {
	if err := m.step("to drop"); err != nil {
		return err
	}
	m.keys = slices.DeleteFunc(m.keys, func(k store.SecretKey) bool { return k.Name == name && k.RetiredAt > 0 })
	return m.step("drop")
}

func (m *memory) Sealed(_ context.Context, _ store.SealedColumn, after []string, limit int) (page []store.Sealed, err error) {
	for _, s := range m.secrets {
		if slices.Compare(s.Key, after) > 0 && len(page) < limit {
			page = append(page, s)
		}
	}
	return page, nil
}

func (m *memory) Reseal(_ context.Context, _ store.SealedColumn, s store.Sealed, is []byte) (bool, error) {
	for i := range m.secrets {
		if slices.Equal(m.secrets[i].Key, s.Key) && bytes.Equal(m.secrets[i].Secret, s.Secret) {
			m.secrets[i].Secret = is
			return true, m.step("reseal")
		}
	}
	return false, m.step("reseal")
}

func TestKeyringNeedsTheRightMasterKey(t *testing.T) {
	t.Parallel()
	ctx, stored := t.Context(), &memory{}
	first, err := OpenKeyring(ctx, stored, key(1))
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenKeyring(ctx, stored, key(9), key(1))
	if err != nil || !bytes.Equal(first.Hash, again.Hash) || !bytes.Equal(first.Token, again.Token) || bytes.Equal(first.Hash, first.Token) {
		t.Errorf("the keys are not the same again: %v", err)
	}
	right, _ := newMaster(key(1))
	wrong, _ := newMaster(key(2))
	_, err = OpenKeyring(ctx, stored, key(2))
	if err == nil || !strings.Contains(err.Error(), "put back the file master-key") || !strings.Contains(err.Error(), right.String()) || !strings.Contains(err.Error(), wrong.String()) {
		t.Errorf("a wrong master key gives %v", err)
	}
}

// installation is a database with some secrets, and a data directory.
type installation struct {
	*memory
	dir string
	now time.Time
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := &installation{memory: &memory{}, dir: t.TempDir(), now: time.Unix(1_000_000, 0)}
	sealer := i.start(t).Ring.Sealer
	for _, id := range []string{"a", "b", "c"} {
		s := store.Sealed{Key: []string{"acme", id}}
		s.Secret = sealer.Seal([]byte("secret of "+id), store.SealedColumns[0].Context(s)...)
		i.secrets = append(i.secrets, s)
	}
	return i
}

// start is what a start of the program does with the keys.
func (i *installation) start(t *testing.T) *Rotator {
	t.Helper()
	source := MasterSource{Dir: i.dir}
	masters, err := source.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ring, err := OpenKeyring(t.Context(), i, masters...)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRotator(RotatorOptions{Store: i, Ring: ring, Source: source, Alone: true, Now: func() time.Time { return i.now }, Log: slog.New(slog.DiscardHandler)})
	if err := r.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// opens wants a program that starts now to open every secret.
func (i *installation) opens(t *testing.T, when string) {
	t.Helper()
	sealer := i.start(t).Ring.Sealer
	for _, s := range i.secrets {
		if plain, err := sealer.Open(s.Secret, store.SealedColumns[0].Context(s)...); err != nil || string(plain) != "secret of "+s.Key[1] {
			t.Errorf("%s: %v gives %q, %v", when, s.Key, plain, err)
		}
	}
}

// A change of keys that ends anywhere leaves nothing that cannot be opened, and
// goes on at the next start.
func TestKeysAreChangedWhateverEndsIt(t *testing.T) {
	t.Parallel()
	everything := func(t *testing.T, i *installation) error {
		r := i.start(t)
		err := errors.Join(r.Rotate(t.Context()), r.follow(t.Context()), r.RotateMaster(t.Context()))
		i.now = i.now.Add(2 * forgottenAfter)
		return errors.Join(err, r.follow(t.Context()))
	}
	whole := newInstallation(t)
	if err := everything(t, whole); err != nil {
		t.Fatal(err)
	}
	if len(whole.steps) < 9 {
		t.Fatalf("only these steps are made: %v", whole.steps)
	}
	for ends := range whole.steps {
		i := newInstallation(t)
		n := 0
		i.broken = func(string) error {
			if n++; n > ends {
				return errors.New("it ends here")
			}
			return nil
		}
		_ = everything(t, i)
		i.opens(t, "after "+strings.Join(i.steps, " "))
		i.broken = nil
		if err := everything(t, i); err != nil {
			t.Error(err)
		}
		i.opens(t, "after it went on")
		v, err := i.start(t).View(t.Context())
		if err != nil || len(v.Retired) != 0 || v.Number < 2 {
			t.Errorf("ended after %d steps and done once more, it is %+v, %v", ends, v, err)
		}
	}
}

func TestMasterKeyIsChanged(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	file := filepath.Join(i.dir, "master-key")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from the same process as well
		r := i.start(t)
		for range 2 {
			if err := r.RotateMaster(t.Context()); err != nil {
				t.Fatal(err)
			}
			after, err := os.ReadFile(file)
			if err != nil || bytes.Equal(before, after) || len(after) != len(before) {
				t.Errorf("the file holds %d bytes, %d before: %v", len(after), len(before), err)
			}
			before = after
			i.opens(t, "with another master key")
		}
	}
	// A file that was written before the database followed.
	masters, _ := MasterSource{Dir: i.dir}.Load(t.Context())
	if err := (MasterSource{Dir: i.dir}).write(key(7), masters[0]); err != nil {
		t.Fatal(err)
	}
	i.opens(t, "with two in the file")
	if err := i.start(t).RotateMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now, _ := os.ReadFile(file); strings.TrimSpace(string(now)) != text(key(7)) {
		t.Errorf("the file holds %q", now)
	}
}

// Where the master key comes from elsewhere, there has to be another.
func TestMasterKeyFromElsewhereIsChanged(t *testing.T) {
	t.Parallel()
	stored := &memory{}
	start := func(keys ...[]byte) *Rotator {
		t.Helper()
		ring, err := OpenKeyring(t.Context(), stored, keys...)
		if err != nil {
			t.Fatal(err)
		}
		return NewRotator(RotatorOptions{Store: stored, Ring: ring, Source: MasterSource{Text: text(keys...)}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	}
	if err := start(key(1)).RotateMaster(t.Context()); consent.KindOf(err) != consent.Conflict || err == nil {
		t.Errorf("with one master key: %v", err)
	}
	r := start(key(2), key(1))
	other := start(key(1)) // a node that does not know the new one yet
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Ring.Sealer.Open(r.Ring.Sealer.Seal([]byte("x"), "c"), "c"); err != nil {
		t.Errorf("another node cannot open what is sealed with a new key: %v", err)
	}
	if err := r.RotateMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(key(2))
	if err := r.RotateMaster(t.Context()); consent.KindOf(err) != consent.Conflict || err == nil {
		t.Errorf("twice with the same: %v", err)
	}
	if _, err := OpenKeyring(t.Context(), stored, key(1)); err == nil {
		t.Error("the master key before still opens")
	}
}

// What names a key that nobody has costs a look at the keys once a second, and
// whoever asks after another node has made a key finds it.
func TestMadeUpKeysAreLookedForOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stored := &counted{memory: &memory{}}
		here, err := OpenKeyring(t.Context(), stored, key(1))
		if err != nil {
			t.Fatal(err)
		}
		there, err := OpenKeyring(t.Context(), stored, key(1))
		if err != nil {
			t.Fatal(err)
		}
		stored.reads.Store(0)
		made := append([]byte{sealedNumbered, 0, 0, 0, 9}, make([]byte, 40)...)
		start := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				for range 3 {
					if _, err := here.Sealer.Open(made); err == nil {
						t.Error("what was made up opens")
					}
				}
			})
		}
		all.Wait()
		if reads, took := stored.reads.Load(), time.Since(start); reads > 4 || took > 4*time.Second {
			t.Errorf("%d reads in %v", reads, took)
		}
		rotator := NewRotator(RotatorOptions{Store: stored, Ring: there, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err := rotator.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := here.Sealer.Open(there.Sealer.Seal([]byte("secret"))); err != nil {
			t.Errorf("what was sealed with a key of another node: %v", err)
		}
	})
}

// counted counts the reads of the keys.
type counted struct {
	*memory
	reads atomic.Int32
}

func (c *counted) SecretKeys(ctx context.Context) ([]store.SecretKey, error) {
	c.reads.Add(1)
	return c.memory.SecretKeys(ctx)
}
