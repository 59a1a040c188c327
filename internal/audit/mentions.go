package audit

import (
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// OwnMentions is what stands about a person in bulk loads, files and comparisons.
type OwnMentions struct {
	BulkRows    []OwnBulkRow    `json:"bulk_rows"`
	ExportRows  []OwnExportRow  `json:"export_rows"`
	Differences []OwnDifference `json:"differences"`
	RefusedRows []OwnRefusedRow `json:"refused_rows"`
	SetAside    []OwnSetAside   `json:"set_aside"`
	// ErasureRequestedAt is when Didomi's deletion of the user asked to erase
	// the person, which is yet to be done.
	ErasureRequestedAt *consent.Time `json:"erasure_requested_at"`
}

// OwnBulkRow is a row of a bulk load.
type OwnBulkRow struct {
	IntegrationID string          `json:"integration_id"`
	LoadID        store.ID        `json:"load_id"`
	Row           int64           `json:"row"`
	Subscriptions map[string]bool `json:"subscriptions"`
	Refused       string          `json:"refused"` // why Actito refused it
}

// OwnExportRow is a row of Actito's export that waits to be compared.
type OwnExportRow struct {
	IntegrationID    string          `json:"integration_id"`
	ReconciliationID store.ID        `json:"reconciliation_id"`
	Subscriptions    map[string]bool `json:"subscriptions"`
}

// OwnDifference is an example of what a reconciliation has found.
type OwnDifference struct {
	IntegrationID    string   `json:"integration_id"`
	ReconciliationID store.ID `json:"reconciliation_id"`
	Kind             string   `json:"kind"`
	Subscription     string   `json:"subscription"`
}

// OwnRefusedRow is a row of an import that was refused for a reason that names
// the person.
type OwnRefusedRow struct {
	ImportID string `json:"import_id"`
	store.ImportRefusal
}

// OwnSetAside is a webhook that names the person and could not be merged.
type OwnSetAside struct {
	ArrivedAt consent.Time `json:"arrived_at"`
	Payload   string       `json:"payload"`
	Reason    string       `json:"reason"`
}

func mentioned(m *store.Mentions) OwnMentions {
	own := OwnMentions{
		BulkRows: []OwnBulkRow{}, ExportRows: []OwnExportRow{}, Differences: []OwnDifference{}, RefusedRows: []OwnRefusedRow{}, SetAside: []OwnSetAside{},
		ErasureRequestedAt: m.ToBeErased.OrNil(),
	}
	for _, x := range m.Loads {
		own.BulkRows = append(own.BulkRows, OwnBulkRow{x.Integration, x.Load, x.Number, x.Cells, x.Refused})
	}
	for _, x := range m.Held {
		own.ExportRows = append(own.ExportRows, OwnExportRow{x.Integration, x.Run, x.Cells})
	}
	for _, x := range m.Examples {
		own.Differences = append(own.Differences, OwnDifference{x.Integration, x.Run, x.Kind, x.Subscription})
	}
	for _, x := range m.Refusals {
		own.RefusedRows = append(own.RefusedRows, OwnRefusedRow{x.Import, x.ImportRefusal})
	}
	for _, x := range m.Aside {
		own.SetAside = append(own.SetAside, OwnSetAside{x.ArrivedAt, x.Body, x.Reason})
	}
	return own
}
