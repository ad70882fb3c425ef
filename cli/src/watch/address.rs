//! Where a page is served, as people write it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

/// The port where none is said.
const PORT: u16 = 8600;

/// Reads "127.0.0.1:8600", "localhost:8600", "[::1]:8600", a port of this machine ("8600", ":8600"),
/// or an address alone; "http://" before it and "/" after it are passed over.
pub(super) fn read(text: &str) -> Result<SocketAddr, String> {
    let bare = text.trim().strip_prefix("http://").unwrap_or(text.trim());
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    if let Ok(address) = bare.parse::<SocketAddr>() {
        return Ok(address);
    }
    let own = bare.strip_prefix(':').unwrap_or(bare);
    if !own.is_empty() && own.bytes().all(|c| c.is_ascii_digit()) {
        return port(own).map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    }
    let alone = bare.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(bare);
    if let Ok(ip) = alone.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, PORT));
    }
    let (host, port) = match bare.rsplit_once(':') {
        Some((host, digits)) => (host, port(digits)?),
        None => (bare, PORT),
    };
    // "localhost" is this machine, whatever a table of names says.
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    }
    let wanted = "an address and a port are wanted, as in 127.0.0.1:8600, [::1]:8600 or 8600";
    if host.is_empty() || host.contains([':', '/', '@', ' ']) {
        return Err(wanted.into());
    }
    let found = (host, port).to_socket_addrs().ok().and_then(|mut all| all.next());
    found.ok_or_else(|| format!("no machine called {host} is known; {wanted}"))
}

fn port(digits: &str) -> Result<u16, String> {
    digits.parse().map_err(|_| format!("a port is a number from 0 to 65535; found \"{digits}\""))
}

/// Whether only this machine reaches the address.
pub(super) fn is_own(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_understood_however_it_is_written() {
        let all = [
            ("8600", "127.0.0.1:8600"),
            (":8601", "127.0.0.1:8601"),
            ("0", "127.0.0.1:0"),
            ("localhost:8600", "127.0.0.1:8600"),
            ("LOCALHOST", "127.0.0.1:8600"),
            ("[::1]:8602", "[::1]:8602"),
            ("[::1]", "[::1]:8600"),
            ("::1", "[::1]:8600"),
            ("127.0.0.1", "127.0.0.1:8600"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("http://localhost:8603/", "127.0.0.1:8603"),
        ];
        for (text, wanted) in all {
            assert_eq!(read(text).unwrap().to_string(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_in_a_line() {
        for text in ["", ":", "8600x", "localhost:", "localhost:x", "a b:1", "1:2:3", "[::1:80"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read("65536").unwrap_err().contains("0 to 65535"));
        assert!(read("127.0.0.1:99999").unwrap_err().contains("99999"));
        let own = |text: &str| is_own(read(text).unwrap());
        assert!(own("8600") && own("[::1]:1") && own("127.9.9.9:1") && own("[::ffff:127.0.0.1]:1"));
        assert!(!own("0.0.0.0:1") && !own("[::]:1") && !own("192.0.2.1:1"));
    }
}
