package outbound

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"consentsync/internal/consent"
)

func TestGuardRefusesAtDial(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
		"[::1]", "[::]", "[fd00::1]", "[fe80::1]", "[::ffff:10.0.0.1]", "[::ffff:7f00:1]",
		"[::ffff:169.254.169.254]", "[::10.0.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::]", "localhost",
		"169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "[fd20:ce::254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]",
		"[64:ff9b:1::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[2001:0:a9fe:a9fe::1]", "[::a9fe:a9fe]", "[fec0::1]", "[ff02::1]", "224.0.0.1", "255.255.255.255",
	} {
		_, err := get(t, t.Context(), New(Options{}), "http://"+host+":8080/")
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "is a private, local or reserved address") && !strings.Contains(err.Error(), "hands out the machine's own credentials") {
			t.Errorf("%s: got %v", host, err)
		}
		if e := Classify("op", err); e.Kind != consent.Transient || !strings.Contains(e.Message, "private or reserved address") {
			t.Errorf("%s: classified as %v %q", host, e.Kind, e.Message)
		}
	}
}

func TestGuardAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct{ public, private bool }{
		"93.184.215.14":          {true, true},
		"2606:2800:21f:cb07::1":  {true, true},
		"::ffff:93.184.215.14":   {true, true},
		"127.0.0.1":              {false, true},
		"::1":                    {false, true},
		"::ffff:192.168.0.9":     {false, true},
		"fd12::1":                {false, true},
		"169.254.169.254":        {false, false},
		"::ffff:169.254.169.254": {false, false},
		"fe80::1":                {false, false},
		"fe80::1%eth0":           {false, false},
		"100.100.100.200":        {false, false},
		"168.63.129.16":          {false, false},
		"fd00:ec2::254":          {false, false},
		"fd00:ec2::254%eth0":     {false, false},
		"0.0.0.0":                {false, false},
		"224.0.0.1":              {false, false},
		"64:ff9b::a00:1":         {false, false},
	} {
		ip := netip.MustParseAddr(address)
		if got := checkAddr(ip, false) == nil; got != want.public {
			t.Errorf("%s: public only: allowed %v", address, got)
		}
		if got := checkAddr(ip, true) == nil; got != want.private {
			t.Errorf("%s: with private: allowed %v", address, got)
		}
	}
	if err := control(true)("unix", "/run/docker.sock", nil); !errors.Is(err, ErrRefused) {
		t.Errorf("unix: %v", err)
	}
}

func TestTransportSettings(t *testing.T) {
	t.Parallel()
	base := New(Options{}).Transport.(*transport).base.(*http.Transport)
	if base.Proxy != nil || base.MaxIdleConnsPerHost < 8 || base.ResponseHeaderTimeout.Seconds() < 60 {
		t.Errorf("settings: %+v", base)
	}
}

func TestValidateBaseURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw, strict, lax string // what it becomes; empty = refused
	}{
		{"https://api.actito.com", "https://api.actito.com", "https://api.actito.com"},
		{" HTTPS://API.Actito.com.:443/ ", "https://api.actito.com", "https://api.actito.com"},
		{"https://gw.example.com:8443/actito//", "https://gw.example.com:8443/actito", "https://gw.example.com:8443/actito"},
		{"https://[2606:2800::1]:443", "https://[2606:2800::1]", "https://[2606:2800::1]"},
		{"http://api.actito.com", "", "http://api.actito.com"},
		{"http://127.0.0.1:8080/", "", "http://127.0.0.1:8080"},
		{"https://localhost:8443", "", "https://localhost:8443"},
		{"https://10.0.0.1", "", "https://10.0.0.1"},
		{"https://[::ffff:10.0.0.1]", "", "https://[::ffff:10.0.0.1]"},
		{"https://[fe80::1%25eth0]", "", ""},
		{"https://169.254.169.254", "", ""},
		{"https://user:geheim@api.actito.com", "", ""},
		{"https://user:geheim@api.actito.com:x", "", ""},
		{"https://api.actito.com?", "", ""},
		{"https://api.actito.com?a=b", "", ""},
		{"https://api.actito.com#", "", ""},
		{"https://api.actito.com#f", "", ""},
		{"https://api.actito.com/a/../b", "", ""},
		{"https://api.actito.com:0", "", ""},
		{"https://api.actito.com:99999", "", ""},
		{"ftp://api.actito.com", "", ""},
		{"api.actito.com", "", ""},
		{"https:api.actito.com", "", ""},
		{"https://", "", ""},
		{"https://.", "", ""},
		{"", "", ""},
		{"https://api\n.actito.com", "", ""},
	} {
		for allow, want := range map[bool]string{false: c.strict, true: c.lax} {
			u, err := ValidateBaseURL(c.raw, allow)
			switch {
			case want == "" && consent.KindOf(err) != consent.Invalid:
				t.Errorf("%q, %v: got %v, %v", c.raw, allow, u, err)
			case want == "" && strings.Contains(err.Error(), "geheim"):
				t.Errorf("%q: password in %v", c.raw, err)
			case want != "" && (err != nil || u.String() != want):
				t.Errorf("%q, %v: got %v, %v; want %q", c.raw, allow, u, err, want)
			}
		}
	}
}
