package actito

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"testing"

	"consentsync/internal/outbound/outboundtest"
)

// A load of many rows takes little memory, neither while it is written nor while
// it is sent. It runs alone, so that what others allocate does not count.
func TestTriggerLoadTakesLittleMemory(t *testing.T) {
	noScratch(t)
	const rows, most = 50_000, 3 << 20
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // empties pools too
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var sending, received uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"accessToken":"a"}`)
			return
		}
		n, _ := io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		sending = heap()
		rest, _ := io.Copy(io.Discard, r.Body)
		received = uint64(n + rest)
		_, _ = io.WriteString(w, `{"id":1}`)
	}))
	t.Cleanup(server.Close)
	c := NewClient(outboundtest.Client(t), server.URL, apiKey)

	before := heap()
	var writing uint64
	l := sampleLoad()
	l.Rows = func(yield func(LoadRow, error) bool) {
		// Keys that no compression makes short.
		x, on := uint64(1), []bool{true, false}
		for i := range rows {
			var key []byte
			for range 12 {
				x ^= x << 13
				x ^= x >> 7
				x ^= x << 17
				key = strconv.AppendUint(key, x, 36)
			}
			if !yield(LoadRow{string(key), on}, nil) {
				return
			}
			if i == rows-1 {
				writing = heap()
			}
		}
	}
	if _, err := c.TriggerLoad(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if received < most+most/2 {
		t.Fatalf("the file has only %d bytes, which shows nothing", received)
	}
	for what, used := range map[string]uint64{"writing": writing, "sending": sending} {
		if used > before+most {
			t.Errorf("%s takes %d bytes of memory", what, used-before)
		}
	}
}
