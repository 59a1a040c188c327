package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const aboutDirectory = "data directory"

// Directory looks whether files can be made in a directory and reach its disk. One
// that is not there yet is made at the first start, if that can be.
func Directory(dir string) Finding {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent(dir)
	case err != nil:
		return Bad(aboutDirectory, fmt.Sprintf("%s cannot be looked at: %v", dir, err), "Give its rights to the user that runs consentsync, or name another with --data.")
	case !info.IsDir():
		return Bad(aboutDirectory, dir+" is no directory", "Name a directory with --data.")
	}
	took, err := write(dir)
	switch {
	case err != nil:
		return Bad(aboutDirectory, fmt.Sprintf("nothing can be written to %s: %v", dir, err),
			"Give the directory to the user that runs consentsync (chown), make room on its disk, or see whether its file system is mounted read-only.")
	case info.Mode().Perm()&0o077 != 0:
		return Doubtful(aboutDirectory, fmt.Sprintf("%s can be read by others (%#o)", dir, info.Mode().Perm()), "Take the right from them: chmod 700 "+dir)
	}
	return Fine(aboutDirectory, "%s can be written to; a file reaches the disk in %s", dir, short(took))
}

// absent looks whether a directory could be made.
func absent(dir string) Finding {
	parent := filepath.Dir(dir)
	for {
		if _, err := os.Stat(parent); !errors.Is(err, fs.ErrNotExist) || parent == filepath.Dir(parent) {
			break
		}
		parent = filepath.Dir(parent)
	}
	if _, err := write(parent); err != nil {
		return Bad(aboutDirectory, fmt.Sprintf("%s is not there, and cannot be made: %v", dir, err), "Make it for the user that runs consentsync, or name another with --data.")
	}
	return Unseen(aboutDirectory, dir+" is not there", "consentsync serve makes it. If there should be data, name its directory with --data.")
}

// write writes a small file to the disk of a directory, and removes it.
func write(dir string) (took time.Duration, err error) {
	began := time.Now()
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, failed := f.WriteString("consentsync doctor\n")
	err = errors.Join(failed, f.Sync(), f.Close())
	return time.Since(began), err
}

// short rounds a duration to what somebody reads.
func short(d time.Duration) time.Duration {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond)
	case d < time.Second:
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

// SecretFile looks at the rights of a file that holds a secret; ok is false where
// there is no such file.
func SecretFile(about, path string) (f Finding, ok bool) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, false
	case err != nil:
		return Bad(about, fmt.Sprintf("%s cannot be looked at: %v", path, err), "Give it to the user that runs consentsync."), true
	case info.Mode().Perm()&0o077 != 0:
		return Doubtful(about, fmt.Sprintf("others can read %s (%#o)", path, info.Mode().Perm()), "Take the right from them: chmod 600 "+path), true
	case info.Size() == 0:
		return Doubtful(about, path+" is empty", "Put back what was in it."), true
	}
	return Fine(about, "it stands in %s, which only its owner may read", path), true
}

const aboutDisk = "disk"

// The parts of a disk below which somebody has to make room: soon, and now.
const (
	littleRoom = 0.05
	noRoom     = 0.01
)

// Room looks at the room on a disk, in bytes.
func Room(available, size uint64, err error) Finding {
	const do = "Make room, or move the data to a larger disk. What was accepted is kept; when the disk is full, webhooks are answered with 503."
	left := fmt.Sprintf("%d MB of %d MB are left", available>>20, size>>20)
	switch part := float64(available) / float64(max(size, 1)); {
	case err != nil:
		return Unseen(aboutDisk, "its room cannot be told", "Look at it by hand.")
	case part < noRoom:
		return Bad(aboutDisk, left, do)
	case part < littleRoom:
		return Doubtful(aboutDisk, left, do)
	}
	return Fine(aboutDisk, "%s", left)
}
