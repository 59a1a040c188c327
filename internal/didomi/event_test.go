package didomi

import (
	"strings"
	"testing"

	"consentsync/internal/consent"
)

func TestEventJSON(t *testing.T) {
	t.Parallel()
	const head = `{"id":"e1","created_at":"2026-11-02T08:30:00.000Z","regulation":"gdpr","user":{"organization_user_id":"jane@example.com"},"consents":{`
	for _, test := range []struct {
		choices []consent.Said
		want    string
	}{
		{
			[]consent.Said{said(true, consent.OfPurpose, "a"), said(false, consent.OfPurpose, "b"), said(true, consent.OfChannel, "sms")},
			`"purposes":[{"id":"a","enabled":true},{"id":"b","enabled":false}],"channels":[{"id":"sms","enabled":true}]`,
		},
		{
			[]consent.Said{said(false, consent.OfChannel, "sms")},
			`"channels":[{"id":"sms","enabled":false}]`,
		},
		{
			[]consent.Said{said(true, consent.OfPurposeChannel, "a", "sms"), said(true, consent.OfPurposePreference, "a", "q")},
			`"purposes":[{"id":"a","enabled":null,"channels":[{"id":"sms","enabled":true}],"preferences":[{"id":"q","enabled":true}]}]`,
		},
		{
			[]consent.Said{said(false, consent.OfPreferenceChannel, "a", "q", "sms"), said(true, consent.OfPurpose, "a")},
			`"purposes":[{"id":"a","enabled":true,"preferences":[{"id":"q","enabled":null,"channels":[{"id":"sms","enabled":false}]}]}]`,
		},
		{
			[]consent.Said{said(true, consent.OfPurpose, "a"), said(false, consent.OfPurpose, "a"), said(true, consent.OfPurpose, "a")},
			`"purposes":[{"id":"a","enabled":false}]`,
		},
	} {
		e := optOut("e1")
		e.Choices = test.choices
		body, err := e.encode()
		if err != nil || string(body) != head+test.want+`}}` {
			t.Errorf("got  %s, %v\nwant %s}}", body, err, head+test.want)
		}
	}
	e := optOut("e1")
	e.Regulation = "cpra"
	if body, err := e.encode(); err != nil || !strings.Contains(string(body), `"regulation":"cpra"`) {
		t.Errorf("got %s, %v", body, err)
	}
}

// R26: cut to milliseconds a withdrawal would be as old as the grant that it
// has to beat.
func TestR26AWithdrawalIsNeverDatedDown(t *testing.T) {
	t.Parallel()
	on, off := said(true, consent.OfPurpose, "a"), said(false, consent.OfPurpose, "b")
	for _, test := range []struct {
		at      string
		choices []consent.Said
		want    string
	}{
		{"2026-11-02T08:30:00.123Z", []consent.Said{off}, "2026-11-02T08:30:00.123Z"},
		{"2026-11-02T08:30:00.123001Z", []consent.Said{off}, "2026-11-02T08:30:00.124Z"},
		{"2026-11-02T08:30:00.999999Z", []consent.Said{on, off}, "2026-11-02T08:30:01.000Z"},
		{"2026-11-02T08:30:00.123999Z", []consent.Said{on}, "2026-11-02T08:30:00.123Z"},
		{"2026-11-02T10:30:00+02:00", []consent.Said{on}, "2026-11-02T08:30:00.000Z"},
	} {
		if got := (Event{CreatedAt: at(test.at), Choices: test.choices}).date(); got != test.want {
			t.Errorf("%s: %s, want %s", test.at, got, test.want)
		}
	}
}

// What cannot be an event is refused here, and the others go.
func TestUnfitEventsAreNotSent(t *testing.T) {
	t.Parallel()
	value := consent.Said{Choice: consent.Choice{Kind: consent.OfValue, Purpose: "a", Preference: "q", Value: "v"}}
	unfit := map[string]func(*Event){
		"no id":         func(e *Event) { e.ID = "" },
		"long id":       func(e *Event) { e.ID = strings.Repeat("x", maxID+1) },
		"nobody":        func(e *Event) { e.OrganizationUserID = "" },
		"not UTF-8":     func(e *Event) { e.OrganizationUserID = "jane\xff" },
		"NUL":           func(e *Event) { e.OrganizationUserID = "jane\x00" },
		"no date":       func(e *Event) { e.CreatedAt = 0 },
		"late date":     func(e *Event) { e.CreatedAt = 1 << 60 },
		"no choice":     func(e *Event) { e.Choices = nil },
		"one value":     func(e *Event) { e.Choices = append(e.Choices, value) },
		"unknown kind":  func(e *Event) { e.Choices = []consent.Said{{}} },
		"empty purpose": func(e *Event) { e.Choices = []consent.Said{said(true, consent.OfPurposeChannel, "", "sms")} },
		"empty channel": func(e *Event) { e.Choices = []consent.Said{said(true, consent.OfPurposeChannel, "a", "")} },
	}
	for name, spoil := range unfit {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := newFake(t, nil, nil)
			bad := optOut("e2")
			spoil(&bad)
			each, err := c.CreateEvents(t.Context(), []Event{optOut("e1"), bad, optOut("e3")})
			if err != nil {
				t.Error(err)
			}
			wantEqual(t, kinds(each), []string{"", "invalid", ""})
			if calls := f.Seen(); len(calls) != 1 || strings.Count(calls[0], `"created_at"`) != 2 || !strings.Contains(calls[0], `"e3"`) {
				t.Errorf("sent %q", calls)
			}
		})
	}
}
