package accounts

import (
	"strings"
	"testing"
)

// What is bounded in letters is counted in letters, whatever their bytes.
func TestLettersAreCounted(t *testing.T) {
	t.Parallel()
	for n, fits := range map[int]bool{100: true, 101: false} {
		name := strings.Repeat("é", n)
		key := NewAPIKey{Name: name, Role: string(Viewer)}
		if _, _, err := key.check(); (err == nil) != fits {
			t.Errorf("a key's name of %d letters: %v", n, err)
		}
		somebody := Newcomer{Email: "ana@example.com", Name: name}
		if err := somebody.identify(); (err == nil) != fits {
			t.Errorf("a user's name of %d letters: %v", n, err)
		}
	}
}
