package incoming

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Addresses are networks and single addresses.
type Addresses []netip.Prefix

// ParseAddresses reads addresses such as 35.159.1.63 and 10.0.0.0/8.
func ParseAddresses(list []string) (Addresses, error) {
	var all Addresses
	for _, text := range list {
		text = strings.TrimSpace(text)
		if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
			all = append(all, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q must be an address such as 35.159.1.63 or a network such as 10.0.0.0/8", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// Contains tells whether an address is among them.
func (a Addresses) Contains(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return slices.ContainsFunc(a, func(p netip.Prefix) bool { return p.Contains(ip) })
}

type sourceKey struct{}

// Source is where a request comes from: what Behind found, or what the
// connection tells.
func Source(r *http.Request) string {
	if source, ok := r.Context().Value(sourceKey{}).(netip.Addr); ok {
		return source.String()
	}
	return Peer(r.RemoteAddr)
}

// Peer is the other end of a connection.
func Peer(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// Behind finds where requests come from that pass trusted proxies: the last
// address in X-Forwarded-For that is none of theirs. What anybody else says there
// is not believed.
func Behind(proxies Addresses, next http.Handler) http.Handler {
	if len(proxies) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if source, ok := forwarded(r, proxies); ok {
			r = r.WithContext(context.WithValue(r.Context(), sourceKey{}, source))
		}
		next.ServeHTTP(w, r)
	})
}

func forwarded(r *http.Request, proxies Addresses) (source netip.Addr, ok bool) {
	source, err := netip.ParseAddr(Peer(r.RemoteAddr))
	if err != nil {
		return source, false
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !proxies.Contains(source) {
			break
		}
		said, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break // the proxy said nothing, or what we do not know
		}
		source = said.Unmap().WithZone("")
	}
	return source, true
}

// Only lets requests through that come from these addresses, and has refuse
// answer all others. Without addresses everybody may come.
func Only(from Addresses, refuse func(http.ResponseWriter, *http.Request), next http.Handler) http.Handler {
	if len(from) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if source, err := netip.ParseAddr(Source(r)); err != nil || !from.Contains(source) {
			refuse(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
