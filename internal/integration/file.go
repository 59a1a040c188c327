package integration

import (
	"encoding/json"

	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// File is an integration as it stands in a file: a body that creates one, or an
// answer that shows one.
type File struct {
	ID             string
	OrganizationID string
	store.Settings
	// Snapshot is that of an answer; its TakenAt is zero where the file has none.
	Snapshot consent.Snapshot
}

// ReadFile reads an integration and checks it as a creation does, but for what
// only Actito and the secrets can tell.
func ReadFile(body []byte) (*File, error) {
	in, err := decode(body)
	if err != nil {
		return nil, err
	}
	in.complete()
	if in.Authentication.PrivateAPIKey == "" {
		in.Authentication.PrivateAPIKey = "not needed"
	}
	if err := in.validate(true); err != nil {
		return nil, err
	}
	f := &File{OrganizationID: in.OrganizationID, Settings: in.Settings}
	if len(in.ID) > 0 {
		if err := json.Unmarshal(in.ID, &f.ID); err != nil {
			return nil, incoming.RefuseField("id", "must be a text: the id of an integration, or leave it out")
		}
	}
	if len(in.Snapshot) > 0 {
		var shown SnapshotView
		if err := json.Unmarshal(in.Snapshot, &shown); err != nil {
			return nil, incoming.RefuseField("snapshot", "must be as an answer shows it, or be left out")
		}
		f.Snapshot = shown.snapshot()
	}
	return f, nil
}

// snapshot gives the snapshot that was shown; which table it is of, and since
// when its subscriptions are there, is not shown.
func (v SnapshotView) snapshot() consent.Snapshot {
	s := consent.Snapshot{TakenAt: v.TakenAt, Attributes: v.AttributeTypes}
	for _, name := range v.Subscriptions {
		s.Subscriptions = append(s.Subscriptions, consent.Subscription{Name: name})
	}
	return s
}

// Simulated gives what is simulated of a file, with the structure of the table
// that it tells, and what that rests on in words; metadata are the keys that the
// events have.
func (f *File) Simulated(metadata []string) (of backfill.Simulated, assumptions []string) {
	i := &store.Integration{Organization: f.OrganizationID, ID: f.ID, Settings: f.Settings, Snapshot: f.Snapshot}
	of.Integration, of.Structure = i, backfill.Structure{Source: backfill.FromSnapshot, TakenAt: f.Snapshot.TakenAt.OrNil()}
	if f.Snapshot.TakenAt == 0 {
		of.Structure.Source = backfill.FromMapping
		i.Snapshot = AssumedSnapshot(f.Settings)
		assumptions = []string{"The file has no snapshot of the table: whatever is mapped is assumed to exist, and attributes to take any text."}
		if f.Properties.Attributes == nil {
			for _, key := range metadata {
				i.Snapshot.Attributes = append(i.Snapshot.Attributes, consent.Attribute{Name: key, Kind: consent.String})
			}
			assumptions = append(assumptions, "Every key of the metadata is assumed to be an attribute of the table.")
		}
	}
	of.Lanes.PerMinute = max(1, f.Properties.CallsPerMinute-f.Properties.ReservedCallsPerMinute)
	return of, append(assumptions, "Nothing is known of what Actito holds: whatever the events say counts as a change, and everybody may have a profile.")
}
