package accounts

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"consentsync/internal/incoming"
)

// The cost of a hash, as OWASP asks for argon2id
// (https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html):
// 19 MiB, two passes, one lane. It stands in every hash, so that it can grow.
const (
	memoryKiB = 19 << 10
	passes    = 2
	lanes     = 1
	keyBytes  = 32
)

// hashing bounds how many hashes are made at once, and so the memory that
// signing in can take.
var hashing = make(chan struct{}, 4)

func derive(password string, salt []byte, memory, time uint32, threads uint8) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(password), salt, time, memory, threads, keyBytes)
}

// hashPassword gives the form in which a password is kept.
func hashPassword(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memoryKiB, passes, lanes,
		encode(salt), encode(derive(password, salt, memoryKiB, passes, lanes)))
}

// nobodys is compared with where there is no user, or one without a password,
// so that this takes as long.
var nobodys = hashPassword("")

// passwordFits compares a password with its hash. An empty hash fits none.
func passwordFits(password, hash string) bool {
	there := hash != ""
	if !there {
		hash = nobodys
	}
	var version int
	var memory, time uint32
	var threads uint8
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &time, &threads); err != nil || version != argon2.Version {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil {
		return false
	}
	same := subtle.ConstantTimeCompare(derive(password, salt, memory, time, threads), want) == 1
	return same && there
}

const (
	leastPassword = 12
	mostPassword  = 200
)

// checkPassword refuses what is easily guessed.
func checkPassword(password, email string) error {
	switch n := utf8.RuneCountInString(password); {
	case n < leastPassword:
		return incoming.RefuseField("password", fmt.Sprintf("must have at least %d characters: a few words that nobody would guess are best", leastPassword))
	case n > mostPassword:
		return incoming.RefuseField("password", fmt.Sprintf("must have at most %d characters", mostPassword))
	}
	name, _, _ := strings.Cut(email, "@")
	lower := strings.ToLower(password)
	if strings.Contains(lower, email) || len(name) >= 4 && strings.Contains(lower, name) || strings.Count(password, password[:1]) == len(password) {
		return incoming.RefuseField("password", "is too easily guessed: leave out your address, and take more than one letter")
	}
	return nil
}
