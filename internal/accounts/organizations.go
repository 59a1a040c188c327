package accounts

import (
	"context"
	"regexp"
	"strconv"

	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// OrganizationView is an organization as shown.
type OrganizationView struct {
	ID        string       `json:"organization_id"`
	Actito    bool         `json:"actito"`
	CreatedAt consent.Time `json:"created_at"`
}

// Organizations lists all organizations, from after one; next is empty at the
// end.
func (s *Service) Organizations(ctx context.Context, after string, limit int) (views []OrganizationView, next string, err error) {
	found, err := s.store.Organizations(ctx, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].ID
	}
	views = []OrganizationView{}
	for _, o := range found {
		views = append(views, OrganizationView(o))
	}
	return views, next, nil
}

// Organization tells of one; exists is false if there is none.
func (s *Service) Organization(ctx context.Context, id string) (exists, actito bool, err error) {
	return s.store.Feature(ctx, id)
}

var organizationForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$`)

// SetFeature creates an organization where needed and says whether it may use
// the Actito integration.
func (s *Service) SetFeature(ctx context.Context, organization string, actito bool) error {
	if !organizationForm.MatchString(organization) {
		return incoming.RefuseField("organization_id", "must be 1 to 128 letters, digits or any of . _ : @ -")
	}
	exists, was, err := s.store.Feature(ctx, organization)
	if err != nil {
		return err
	}
	if exists && was == actito {
		return nil
	}
	detail := store.Detail{Name: "actito", Is: strconv.FormatBool(actito)}
	if exists {
		detail.Was = strconv.FormatBool(was)
	}
	return s.store.SetFeature(ctx, organization, actito, changes.New(ctx, s.now(), organization, "", "organization.feature_set", detail))
}
