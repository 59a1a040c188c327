package actito

import (
	"math"
	"testing"

	"consentsync/internal/consent"
)

const (
	profilesPath = "/profiles/v5/entities/acme/profile-tables/16/profiles"
	janePath     = profilesPath + "/emailAddress=jane%40example.com"
	wholeOptOut  = `{"key":{"emailAddress":"jane@example.com"},"attributes":{"emailAddress":"jane@example.com"},"subscriptions":{"Newsletter":false}}`
	offProfile   = `{"attributes":{"profileId":7},"subscriptions":{"Newsletter":false}}`
	onProfile    = `{"attributes":{"profileId":7},"subscriptions":{"Newsletter":true}}`

	doPost  = "POST " + profilesPath + " " + wholeOptOut
	doPut   = "PUT " + profilesPath + " " + wholeOptOut
	doRead  = "GET " + janePath
	doPatch = "PATCH " + janePath + ` {"subscriptions":{"Newsletter":false}}`
)

func TestR19Create(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers []any
		calls   []string
		want    consent.Kind // Internal = success
		noPost  bool
	}{
		"created": {[]any{201, ""}, []string{doPost}, consent.Internal, false},
		"exists":  {[]any{409, "", 204, ""}, []string{doPost, doPatch}, consent.Internal, false},
		"another profile is in the way": {
			[]any{409, "", 404, ""},
			[]string{doPost, doPatch},
			consent.Conflict, false,
		},
		"no POST, no profile": {
			[]any{405, "", 404, "", 201, "", 200, offProfile},
			[]string{doPost, doRead, doPut, doRead},
			consent.Internal, true,
		},
		"no POST said with 404": {
			[]any{404, "", 404, "", 200, "", 200, offProfile},
			[]string{doPost, doRead, doPut, doRead},
			consent.Internal, true,
		},
		"no POST said with 501": {
			[]any{501, "", 404, "", 200, "", 200, offProfile},
			[]string{doPost, doRead, doPut, doRead},
			consent.Internal, true,
		},
		"no POST, but the profile has appeared": {
			[]any{405, "", 200, onProfile, 200, ""},
			[]string{doPost, doRead, doPatch},
			consent.Internal, false,
		},
		"an import wrote after the PUT": {
			[]any{405, "", 404, "", 201, "", 200, onProfile, 200, ""},
			[]string{doPost, doRead, doPut, doRead, doPatch},
			consent.Internal, true,
		},
		"read-back fails": {
			[]any{405, "", 404, "", 201, "", 500, ""},
			[]string{doPost, doRead, doPut, doRead},
			consent.Unclear, true,
		},
		"mending fails": {
			[]any{405, "", 404, "", 201, "", 200, onProfile, 503, ""},
			[]string{doPost, doRead, doPut, doRead, doPatch},
			consent.Unclear, true,
		},
		"the table is gone": {
			[]any{404, "", 404, "", 404, ""},
			[]string{doPost, doRead, doPut},
			consent.NotFound, false,
		},
		"cannot read": {[]any{405, "", 403, ""}, []string{doPost, doRead}, consent.Forbidden, false},
		"refused":     {[]any{400, ""}, []string{doPost}, consent.Invalid, false},
		"no right":    {[]any{403, ""}, []string{doPost}, consent.Forbidden, false},
		"unclear":     {[]any{500, ""}, []string{doPost}, consent.Unclear, false},
		"PUT unclear": {[]any{405, "", 404, "", 502, ""}, []string{doPost, doRead, doPut}, consent.Unclear, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, c := newFake(t, nil, steps(test.answers...))
			err := c.Create(t.Context(), jane, optOut)
			if test.want != consent.Internal {
				wantKind(t, err, test.want)
			} else if err != nil {
				t.Error(err)
			}
			wantEqual(t, f.Seen(), test.calls)
			wantEqual(t, c.noPost.Load(), test.noPost)
		})
	}
}

func TestR19CreateRemembersThatThereIsNoPost(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, steps(
		405, "", 404, "", 201, "", 200, offProfile,
		404, "", 201, "", 200, offProfile,
		200, onProfile, 204, "",
	))
	for range 3 {
		if err := c.Create(t.Context(), jane, optOut); err != nil {
			t.Fatal(err)
		}
	}
	wantEqual(t, f.Seen(), []string{
		doPost, doRead, doPut, doRead, // first
		doRead, doPut, doRead, // second: no POST
		doRead, doPatch, // third: it has appeared
	})
}

func TestBodies(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, always(200, ""))
	change := Change{Attributes: map[string]any{"a": nil, "list": []string{"x"}, "userId": 5}}
	byNumber := Ref{Entity: "acme", TableID: "16", KeyAttribute: "userId", Key: "5"}
	if err := c.Update(t.Context(), byNumber, change); err != nil {
		t.Error(err)
	}
	if err := c.Create(t.Context(), byNumber, change); err != nil {
		t.Error(err)
	}
	change.Attributes["userId"] = "other"
	if err := c.Create(t.Context(), byNumber, change); err != nil {
		t.Error(err)
	}
	if err := c.Create(t.Context(), byNumber, Change{}); err != nil {
		t.Error(err)
	}
	wantEqual(t, f.Seen(), []string{
		`PATCH ` + profilesPath + `/userId=5 {"attributes":{"a":null,"list":["x"],"userId":5}}`,
		`POST ` + profilesPath + ` {"key":{"userId":5},"attributes":{"a":null,"list":["x"],"userId":5}}`,
		`POST ` + profilesPath + ` {"key":{"userId":"5"},"attributes":{"a":null,"list":["x"],"userId":"5"}}`,
		`POST ` + profilesPath + ` {"key":{"userId":"5"},"attributes":{"userId":"5"}}`,
	})
	wantEqual(t, change.Attributes["userId"], any("other")) // not touched
}

func TestWhatIsRefusedBeforeAnyCall(t *testing.T) {
	t.Parallel()
	f, c := newFake(t, nil, nil)
	for _, ref := range []Ref{
		{},
		{Entity: "", TableID: "1", KeyAttribute: "k", Key: "v"},
		{Entity: "..", TableID: "1", KeyAttribute: "k", Key: "v"},
		{Entity: "e", TableID: ".", KeyAttribute: "k", Key: "v"},
		{Entity: "e", TableID: "1", KeyAttribute: "", Key: "v"},
		{Entity: "e", TableID: "1", KeyAttribute: "k", Key: ""},
	} {
		_, err := c.Read(t.Context(), ref)
		wantKind(t, err, consent.Invalid)
		wantKind(t, c.Update(t.Context(), ref, optOut), consent.Invalid)
		wantKind(t, c.Create(t.Context(), ref, optOut), consent.Invalid)
	}
	wantKind(t, c.Update(t.Context(), jane, Change{}), consent.Invalid)
	bad := Change{Attributes: map[string]any{"a": math.NaN()}}
	wantKind(t, c.Update(t.Context(), jane, bad), consent.Invalid)
	wantKind(t, c.Create(t.Context(), jane, bad), consent.Invalid)
	_, err := c.Tables(t.Context(), "..")
	wantKind(t, err, consent.Invalid)
	_, err = c.Structure(t.Context(), "acme", "")
	wantKind(t, err, consent.Invalid)
	wantEqual(t, f.TokenCalls(), 0)
}

func TestPathsAreEncodedStrictly(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"a+b/c@x.com": "a%2Bb%2Fc%40x.com",
		"..":          "..",
		"a/../b":      "a%2F..%2Fb",
		"100 %":       "100%20%25",
		"%2F":         "%252F",
		"a=b;c,d:e":   "a%3Db%3Bc%2Cd%3Ae",
		"é😀":          "%C3%A9%F0%9F%98%80",
		"a?b#c&d":     "a%3Fb%23c%26d",
		"~a-b_c.d":    "~a-b_c.d",
		"\n\\\"<>$!'": "%0A%5C%22%3C%3E%24%21%27",
		"(a)*":        "%28a%29%2A",
	} {
		f, c := newFake(t, nil, always(200, emptyProfile))
		ref := Ref{Entity: "My Entity", TableID: "a/1", KeyAttribute: "e mail", Key: key}
		if _, err := c.Read(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, f.Seen(), []string{
			"GET /profiles/v5/entities/My%20Entity/profile-tables/a%2F1/profiles/e%20mail=" + want,
		})
	}
}
