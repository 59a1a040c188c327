package doctor

import (
	"fmt"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const aboutDatabase = "database"

// Database looks at what a database says of itself. Well tells whether a program
// of this version can work with it as it is.
func Database(i *store.Inspection) (found []Finding, well bool) {
	found = append(found, Fine(aboutDatabase, "it is %s", i.Engine))
	switch {
	case i.Schema == 0:
		found = append(found, Unseen("schema", "there is none yet", "consentsync serve makes it."))
	case i.Schema < i.Newest:
		found = append(found, Doubtful("schema", fmt.Sprintf("it has version %d, and this program knows %d", i.Schema, i.Newest),
			"The next start brings it up to date: make a backup before (consentsync backup)."))
	case i.Needs > i.Newest:
		found = append(found, Bad("schema", fmt.Sprintf("it needs a program that knows version %d; this one knows %d", i.Needs, i.Newest), "Install the newer consentsync that changed it."))
	default:
		well = true
		found = append(found, Fine("schema", "it is up to date (version %d)", i.Schema))
	}
	if i.ReadOnly {
		well = false
		found = append(found, Bad(aboutDatabase, "it can only be read: it is a standby, or was set so",
			"Give the address of the primary, or of all hosts (postgres://user@one,two/name), of which the primary is used."))
	}
	for _, weak := range i.Weak {
		found = append(found, Doubtful("durability", weak, "Change the setting, unless losing webhooks in a crash is meant."))
	}
	if len(i.Weak) == 0 {
		found = append(found, Fine("durability", "%s", i.Durable))
	}
	if i.Clock > 0 {
		found = append(found, Clock("the database's clock", i.ReadAt, i.Clock.Std(), i.Took))
	}
	return found, well
}

// Write is a finding on a write to the database that took so long, or failed.
func Write(took time.Duration, err error) Finding {
	const slow = 250 * time.Millisecond
	switch {
	case err != nil && consent.MessageOf(err) != "":
		return Bad(aboutDatabase, "it cannot be written: "+consent.MessageOf(err), writeDo)
	case err != nil:
		return Bad(aboutDatabase, "it cannot be written", writeDo)
	case took > slow:
		return Doubtful(aboutDatabase, fmt.Sprintf("a write took %s to be on disk", short(took)), "Every webhook waits for that. Give the database a faster disk, or look what else writes to it.")
	}
	return Fine(aboutDatabase, "a write is on disk after %s", short(took))
}

const writeDo = "Look for a full disk, wrong rights, or another program that holds the database. Until it can be written webhooks are answered with 503, and Didomi sends them again for five minutes."
