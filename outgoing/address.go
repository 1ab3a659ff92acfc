package outgoing

import "net/netip"

// unicast is all of IPv6 that is given out to networks of the Internet. What lies outside is local, multicast, or stands for an
// IPv4 address: mapped, compatible, or by way of NAT64 (64:ff9b::/96 and 64:ff9b:1::/48).
var unicast = netip.MustParsePrefix("2000::/3")

// special are the addresses that nobody on the Internet has, though they look like it: the registries of IANA (RFC 6890), and
// one host at which a cloud tells its machines their secrets.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network
	netip.MustParsePrefix("10.0.0.0/8"),       // private
	netip.MustParsePrefix("100.64.0.0/10"),    // carrier-grade NAT, and the metadata of a cloud
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("168.63.129.16/32"), // the metadata of a cloud, in public space
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local, and the metadata of most clouds
	netip.MustParsePrefix("172.16.0.0/12"),    // private
	netip.MustParsePrefix("192.0.0.0/24"),     // protocols, and the metadata of a cloud
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation
	netip.MustParsePrefix("192.88.99.0/24"),   // relays of 6to4
	netip.MustParsePrefix("192.168.0.0/16"),   // private
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, and broadcast
	netip.MustParsePrefix("2001::/23"),        // protocols, among them Teredo, which carries an IPv4 address
	netip.MustParsePrefix("2001:db8::/32"),    // documentation
	netip.MustParsePrefix("2002::/16"),        // 6to4, which carries an IPv4 address
	netip.MustParsePrefix("3fff::/20"),        // documentation
}

// public reports whether the address, which is not an IPv4 address in the form of IPv6, is one of the Internet.
func public(a netip.Addr) bool {
	if a.Zone() != "" || a.Is6() && !unicast.Contains(a) || a.Is4In6() || !a.IsValid() {
		return false
	}
	for _, network := range special {
		if network.Contains(a) {
			return false
		}
	}
	return true
}
