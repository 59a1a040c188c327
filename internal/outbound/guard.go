package outbound

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"

	"consentsync/internal/consent"
)

// ErrRefused is in the chain of every error of the guard.
var ErrRefused = errors.New("address refused")

var (
	private4 = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("127.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
	}
	private6 = []netip.Prefix{
		netip.MustParsePrefix("::1/128"),
		netip.MustParsePrefix("fc00::/7"),
	}
	// metadata holds what hands out a machine's credentials at an address that
	// is not link-local: refused even where private networks are allowed.
	metadata = []netip.Addr{
		netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
		netip.MustParseAddr("168.63.129.16"),   // Azure, a public address
		netip.MustParseAddr("fd00:ec2::254"),   // AWS
		netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
	}

	publicOnly  = ssrf.New(ssrf.WithAnyPort())
	withPrivate = ssrf.New(ssrf.WithAnyPort(),
		ssrf.WithAllowedV4Prefixes(private4...), ssrf.WithAllowedV6Prefixes(private6...))
)

// checkAddr refuses the addresses that must not be called. The port is free:
// the address is what separates the private network from the public one.
func checkAddr(ip netip.Addr, allowPrivate bool) error {
	ip = ip.Unmap() // ::ffff:10.0.0.1 is 10.0.0.1
	guardian := publicOnly
	if allowPrivate {
		guardian = withPrivate
	}
	if slices.Contains(metadata, ip.WithZone("")) {
		return fmt.Errorf("%w: %s hands out the machine's own credentials", ErrRefused, ip)
	}
	if err := guardian.SafeAddr(ip); err != nil {
		return fmt.Errorf("%w: %s is a private, local or reserved address: %w", ErrRefused, ip, err)
	}
	return nil
}

// control is called by the dialer for each address it is about to connect to,
// after the name was resolved.
func control(allowPrivate bool) func(network, address string, _ syscall.RawConn) error {
	return func(network, address string, _ syscall.RawConn) error {
		if network != "tcp4" && network != "tcp6" {
			return fmt.Errorf("%w: %s is not a TCP network", ErrRefused, network)
		}
		target, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return checkAddr(target.Addr(), allowPrivate)
	}
}

// ValidateBaseURL checks the base URL of an API that a user typed, and brings
// it into one form: lower-case host, no default port, no slash at the end. So
// two spellings of one host are one host. It resolves no name; where a name
// leads is checked at each connection.
func ValidateBaseURL(raw string, allowPrivate bool) (*url.URL, error) {
	// The text of url.Parse's error repeats the URL, password included.
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Opaque != "" || strings.Trim(u.Hostname(), ".") == "" {
		return nil, badURL("write the base URL like https://api.actito.com")
	}
	u.Scheme = strings.ToLower(u.Scheme)
	switch {
	case u.Scheme == "http" && !allowPrivate:
		return nil, badURL("the base URL must begin with https://, because the API key travels with each call")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, badURL("the base URL must begin with https://")
	case u.User != nil:
		return nil, badURL("take the user name and password out of the base URL; the API key has its own setting")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, badURL("take everything from the ? or # on out of the base URL")
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if part == "." || part == ".." {
			return nil, badURL("take the . and .. parts out of the path of the base URL")
		}
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		if checkAddr(ip, allowPrivate) != nil {
			return nil, badURL("the base URL leads to a private or reserved address; use the public host name of the API")
		}
	} else if !allowPrivate && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
		return nil, badURL("the base URL leads to this machine; use the public host name of the API")
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, badURL("the port of the base URL must be between 1 and 65535")
		}
		if standard := map[string]uint64{"https": 443, "http": 80}[u.Scheme]; n != standard {
			host += ":" + strconv.FormatUint(n, 10)
		}
	}
	u.Host = host
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

func badURL(text string) error {
	return consent.Errorf(consent.Invalid, "outbound.ValidateBaseURL", "%s", text)
}
