package auth

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// RotationStore is what changing keys needs of the database.
type RotationStore interface {
	KeyStore
	// AddSealingKey stores a key and retires all that sealed before; Conflict if
	// there is one of that name.
	AddSealingKey(ctx context.Context, k store.SecretKey, changes ...store.Change) error
	// ReplaceSecretKeys puts other sealed forms of all keys into the place of those
	// that were read; Conflict if they are not the same any more.
	ReplaceSecretKeys(ctx context.Context, was, is []store.SecretKey, changes ...store.Change) error
	DropSecretKey(ctx context.Context, name string, changes ...store.Change) error
	Sealed(ctx context.Context, c store.SealedColumn, after []string, limit int) ([]store.Sealed, error)
	// Reseal puts another form of a secret into the place of the one that was read;
	// false if it is not the same any more.
	Reseal(ctx context.Context, c store.SealedColumn, s store.Sealed, is []byte) (bool, error)
}

// RotatorOptions are what a Rotator works with.
type RotatorOptions struct {
	Store  RotationStore
	Ring   *Keyring
	Source MasterSource
	// Alone says that no other node shares the database, so that the file with the
	// master key can be changed from here.
	Alone bool
	Now   func() time.Time
	Log   *slog.Logger
}

// Rotator changes the keys of an installation while it runs. A change that was
// interrupted goes on by itself, on whichever node; at any moment every secret
// can be opened.
type Rotator struct {
	RotatorOptions

	mu   sync.Mutex // held while keys change
	wake chan struct{}
}

// NewRotator makes it.
func NewRotator(o RotatorOptions) *Rotator {
	return &Rotator{RotatorOptions: o, wake: make(chan struct{}, 1)}
}

// KeysView tells how the secrets at rest are protected.
type KeysView struct {
	// MasterKey names the master key that seals the keys; it tells nothing of it.
	MasterKey string `json:"master_key"`
	// Number is of the key that seals secrets now.
	Number uint32 `json:"number"`
	// Retired are keys that sealed before, with how many secrets are left that they
	// sealed.
	Retired []RetiredKeyView `json:"retired"`
}

// RetiredKeyView is a key that seals nothing any more.
type RetiredKeyView struct {
	Number    uint32       `json:"number"`
	RetiredAt consent.Time `json:"retired_at"`
	Secrets   int          `json:"secrets"`
}

// View tells how far the keys are.
func (r *Rotator) View(ctx context.Context) (*KeysView, error) {
	if err := r.Ring.Refresh(ctx); err != nil {
		return nil, err
	}
	all, err := r.Store.SecretKeys(ctx)
	if err != nil {
		return nil, err
	}
	v := &KeysView{MasterKey: r.Ring.inUse(all).String(), Number: r.Ring.Sealer.newest(), Retired: []RetiredKeyView{}}
	counts := map[uint32]int{}
	err = r.each(ctx, func(_ store.SealedColumn, s store.Sealed) error {
		counts[SealedWith(s.Secret)]++
		return nil
	})
	for _, k := range all {
		if number := numberOf(k.Name); number != 0 && number != v.Number {
			v.Retired = append(v.Retired, RetiredKeyView{number, k.RetiredAt, counts[number]})
		}
	}
	slices.SortFunc(v.Retired, func(a, b RetiredKeyView) int { return int(a.Number) - int(b.Number) })
	return v, err
}

// Rotate makes another key, with which secrets are sealed from now on. Those that
// there are follow in the background.
func (r *Rotator) Rotate(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.Ring.Refresh(ctx); err != nil {
		return err
	}
	all, err := r.Store.SecretKeys(ctx)
	if err != nil {
		return err
	}
	number := r.Ring.Sealer.newest() + 1
	name := nameOf(number)
	// Other nodes may know no newer master key yet than the one in use.
	k := store.SecretKey{Name: name, Sealed: r.Ring.inUse(all).seal(newKey(), name)}
	err = r.Store.AddSealingKey(ctx, k, changes.New(ctx, r.Now(), store.Everywhere, "", "keys.rotated", store.Detail{Name: "number", Is: fmt.Sprint(number)}))
	if consent.KindOf(err) == consent.Conflict && err != nil {
		return consent.Errorf(consent.Conflict, "auth", "somebody else is changing the keys at this moment")
	}
	if err == nil {
		err = r.Ring.Refresh(ctx)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return err
}

// RotateMaster seals the keys of the installation with another master key: the
// first of those given at start, or one that it makes where the master key stands
// in a file of its own.
func (r *Rotator) RotateMaster(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := r.nextMaster(ctx)
	if err != nil {
		return err
	}
	// Somebody may add a key meanwhile: then once more.
	for range 3 {
		if err = r.rewrap(ctx, next); consent.KindOf(err) != consent.Conflict || err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	r.Ring.use(next)
	return r.Settle(ctx)
}

// nextMaster gives the master key that comes next. One that is made is on disk,
// before the one in use, when it returns.
func (r *Rotator) nextMaster(ctx context.Context) (*master, error) {
	if !r.Alone || !r.Source.Managed() {
		all, err := r.Store.SecretKeys(ctx)
		if err != nil {
			return nil, err
		}
		if first := r.Ring.given()[0]; !first.sealedAll(all) && len(r.Ring.given()) > 1 {
			return first, nil
		}
		return nil, consent.Errorf(consent.Conflict, "auth", "there is no other master key to change to: put the new one before the one in use, where the master key "+
			"comes from, on every node, start them again, and then come back")
	}
	keys, err := r.Source.Load(ctx)
	if err != nil {
		return nil, err
	}
	if len(keys) == 1 {
		keys = [][]byte{newKey(), keys[0]}
		if err := r.Source.write(keys...); err != nil {
			return nil, err
		}
	}
	return newMaster(keys[0])
}

func (r *Rotator) rewrap(ctx context.Context, next *master) error {
	was, err := r.Store.SecretKeys(ctx)
	if err != nil {
		return err
	}
	before := r.Ring.inUse(was).String()
	is := slices.Clone(was)
	for i, k := range was {
		key, err := r.Ring.openWith(next, k.Sealed, k.Name)
		if err != nil {
			return err
		}
		is[i].Sealed = next.seal(key, k.Name)
	}
	return r.Store.ReplaceSecretKeys(ctx, was, is, changes.New(ctx, r.Now(), store.Everywhere, "", "keys.master_rotated",
		store.Detail{Name: "master_key", Was: before, Is: next.String()}))
}

// Settle takes master keys that open nothing any more out of the file that the
// program keeps itself.
func (r *Rotator) Settle(ctx context.Context) error {
	if !r.Alone || !r.Source.Managed() {
		return nil
	}
	keys, err := r.Source.Load(ctx)
	if err != nil || len(keys) == 1 {
		return err
	}
	first, err := newMaster(keys[0])
	if err != nil {
		return err
	}
	all, err := r.Store.SecretKeys(ctx)
	if err != nil {
		return err
	}
	if !first.sealedAll(all) {
		return nil // the change is still to be made
	}
	return r.Source.write(keys[0])
}

// How often it is looked for keys that other nodes have made, and after which
// time a key that seals nothing any more is forgotten: by then no node has used
// it for long.
const (
	keepEvery      = time.Minute
	forgottenAfter = time.Hour
)

// Keep has every secret follow to the newest key, until ctx ends.
func (r *Rotator) Keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		if err := r.follow(ctx); err != nil && ctx.Err() == nil {
			r.Log.ErrorContext(ctx, "secrets could not be sealed anew; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.wake:
		}
	}
}

// follow seals what an older key has sealed with the newest, and forgets keys
// that have sealed nothing for long.
func (r *Rotator) follow(ctx context.Context) error {
	if err := r.Ring.Refresh(ctx); err != nil {
		return err
	}
	all, err := r.Store.SecretKeys(ctx)
	if err != nil {
		return err
	}
	newest := r.Ring.Sealer.newest()
	retired := slices.DeleteFunc(all, func(k store.SecretKey) bool { return numberOf(k.Name) == 0 || numberOf(k.Name) == newest })
	if len(retired) == 0 {
		return nil
	}
	left := map[uint32]int{}
	err = r.each(ctx, func(c store.SealedColumn, s store.Sealed) error {
		number := SealedWith(s.Secret)
		if number == newest {
			return nil
		}
		left[number]++
		plain, err := r.Ring.Sealer.Open(s.Secret, c.Context(s)...)
		if err != nil {
			return fmt.Errorf("%s of %v: %w", c.Table, s.Key, err)
		}
		_, err = r.Store.Reseal(ctx, c, s, r.Ring.Sealer.Seal(plain, c.Context(s)...)) // false: somebody was faster
		return err
	})
	if err != nil {
		return err
	}
	now := consent.TimeOf(r.Now())
	for _, k := range retired {
		if number := numberOf(k.Name); left[number] == 0 && k.RetiredAt != 0 && now.Sub(k.RetiredAt) > forgottenAfter {
			if err := r.Store.DropSecretKey(ctx, k.Name, changes.New(ctx, r.Now(), store.Everywhere, "", "keys.forgotten", store.Detail{Name: "number", Was: fmt.Sprint(number)})); err != nil {
				return err
			}
		}
	}
	return nil
}

// each calls f with every secret that is stored.
func (r *Rotator) each(ctx context.Context, f func(store.SealedColumn, store.Sealed) error) error {
	const most = 100
	for _, c := range store.SealedColumns {
		for after := make([]string, len(c.Key)); ; {
			page, err := r.Store.Sealed(ctx, c, after, most)
			if err != nil {
				return err
			}
			for _, s := range page {
				if len(s.Secret) == 0 {
					continue
				}
				if err := f(c, s); err != nil {
					return err
				}
			}
			if len(page) < most {
				break
			}
			after = page[len(page)-1].Key
		}
	}
	return nil
}

// given lists the master keys that were given at start, or made since.
func (k *Keyring) given() []*master {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Clone(k.masters)
}

// use seals with a master key from now on; those before still open.
func (k *Keyring) use(next *master) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.masters = append([]*master{next}, slices.DeleteFunc(k.masters, func(m *master) bool { return m.id == next.id })...)
}

// openWith opens a key with a master key, or with one of those given.
func (k *Keyring) openWith(m *master, sealed []byte, name string) ([]byte, error) {
	if key, ok := m.open(sealed, name); ok {
		return key, nil
	}
	return k.open(sealed, name)
}

// inUse gives the master key that keys are sealed with: where they are being
// changed, the one before.
func (k *Keyring) inUse(all []store.SecretKey) *master {
	given := k.given()
	for _, m := range slices.Backward(given) {
		for _, key := range all {
			if _, ok := m.open(key.Sealed, key.Name); ok {
				return m
			}
		}
	}
	return given[0]
}
