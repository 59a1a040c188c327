package didomi

import (
	"bytes"
	"testing"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	tests := []struct{ body, want string }{
		{" { \"b\" : [ 1 , 1.0 , -0 , 1E+2 ] ,\n\t\"a\":{}, \"\":[] } ", `{"":[],"a":{},"b":[1,1.0,-0,1E+2]}`},
		{`{"a":12345678901234567890.123456789}`, `{"a":12345678901234567890.123456789}`},
		{`["\u00e9","é","\/","<>&","\"\\\n\u0001\u2028"]`, "[\"é\",\"é\",\"/\",\"<>&\",\"\\\"\\\\\\u000a\\u0001\u2028\"]"},
		{`{"\u0062":1,"a":2}`, `{"a":2,"b":1}`},
		{`{"\n":{"z":null,"y":true,"x":false}}`, `{"\u000a":{"x":false,"y":true,"z":null}}`},
		{`"x"`, `"x"`},
		{`null`, `null`},
	}
	for _, tt := range tests {
		got, err := Canonical([]byte(tt.body))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.body, got, err, tt.want)
		}
		again, err := Canonical(got)
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("%s: its canonical form's is %s, %v", tt.body, again, err)
		}
	}
	for _, body := range []string{``, `{`, `{"a":1,"a":1}`} {
		if got, err := Canonical([]byte(body)); err == nil {
			t.Errorf("%s: %s, want an error", body, got)
		}
	}
}
