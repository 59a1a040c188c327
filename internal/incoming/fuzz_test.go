package incoming

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Nobody who is no trusted proxy has a say in where a request comes from.
func FuzzForwarded(f *testing.F) {
	f.Add("192.0.2.7:1", "35.159.1.63")
	f.Add("[::1]:1", "unknown, [::1]:80, ::ffff:10.0.0.1%eth0")
	f.Add("10.0.0.1:1", ",,10.0.0.2,")
	proxies, err := ParseAddresses([]string{"10.0.0.0/8", "::1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, peer, said string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		r.Header = http.Header{"X-Forwarded-For": {said}}
		plain := r.Clone(t.Context())
		plain.Header = http.Header{}
		source, ok := forwarded(r, proxies)
		alone, _ := forwarded(plain, proxies)
		if ok && source != alone && !proxies.Contains(alone) {
			t.Errorf("%q says that it comes from %v, and is believed", peer, source)
		}
		_, _ = ParseAddresses([]string{said})
	})
}
