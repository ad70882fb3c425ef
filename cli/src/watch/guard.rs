//! Who may read the page: requests that name this server, from pages that it served.

use std::net::{IpAddr, SocketAddr};

/// Checks what a request says of where it goes and where it comes from.
///
/// A browser sends any page's requests to any address. A page elsewhere could read ours by letting
/// its own name lead here (DNS rebinding): then `Host` is that name. It could include ours as a
/// script or ask for it across origins: then `Origin` or `Sec-Fetch-Site` says so.
pub(super) struct Guard {
    port: u16,
    names: Vec<String>,
    /// Whether any address may be named: the page is for other machines too.
    any_address: bool,
    own: IpAddr,
}

/// Why a request is not answered: the status, and a line.
pub(super) type Refusal = (u16, &'static str);

impl Guard {
    /// Of a server at this address, which is opened under these names too.
    pub(super) fn new(address: SocketAddr, names: &[String]) -> Self {
        let names = names.iter().map(|name| name.to_lowercase()).collect();
        let any_address = !address.ip().is_loopback();
        Guard { port: address.port(), names, any_address, own: address.ip() }
    }

    /// Whether a request is for this server and from nowhere else.
    ///
    /// # Errors
    /// The status and the reason.
    pub(super) fn check(
        &self,
        host: Option<&str>,
        origin: Option<&str>,
        site: Option<&str>,
    ) -> Result<(), Refusal> {
        let Some(host) = host else { return Err((400, "a request names its host\n")) };
        if !self.is_own(host) {
            return Err((421, "this server does not answer to that name; --name HOST adds one\n"));
        }
        let elsewhere = site.is_some_and(|site| !["same-origin", "none"].contains(&site));
        let foreign = origin.is_some_and(|origin| !self.is_origin(origin, host));
        match elsewhere || foreign {
            true => Err((403, "pages of other origins may not read this one\n")),
            false => Ok(()),
        }
    }

    fn is_origin(&self, origin: &str, host: &str) -> bool {
        origin.strip_prefix("http://").is_some_and(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether "HOST:PORT" is this server.
    fn is_own(&self, host: &str) -> bool {
        let bracket = host.rfind(']').unwrap_or(0);
        let (name, port) = match host[bracket..].rfind(':') {
            Some(at) => (&host[..bracket + at], host[bracket + at + 1..].parse::<u16>().ok()),
            None => (host, Some(80)),
        };
        if port != Some(self.port) {
            return false;
        }
        let name = name.to_lowercase();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
        match bare.parse::<IpAddr>() {
            Ok(ip) => ip == self.own || ip.is_loopback() || self.any_address,
            Err(_) => name == "localhost" || self.names.contains(&name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(guard: &Guard, host: &str, origin: Option<&str>, site: Option<&str>) -> u16 {
        guard.check(Some(host), origin, site).err().map_or(200, |refusal| refusal.0)
    }

    #[test]
    fn a_name_that_leads_here_is_not_enough() {
        let guard = Guard::new("127.0.0.1:8600".parse().unwrap(), &["Desk.Local".into()]);
        for host in
            ["127.0.0.1:8600", "localhost:8600", "LOCALHOST:8600", "[::1]:8600", "desk.local:8600"]
        {
            assert_eq!(status(&guard, host, None, None), 200, "{host}");
        }
        for host in [
            "evil.example:8600",
            "localhost.evil.example:8600",
            "127.0.0.1.evil.example:8600",
            "127.0.0.1",
            "127.0.0.1:8601",
            "localhost:8600x",
            "10.0.0.1:8600",
            "",
            ":8600",
            "]:8600",
        ] {
            assert_eq!(status(&guard, host, None, None), 421, "{host}");
        }
        assert_eq!(guard.check(None, None, None).unwrap_err().0, 400);
        let public = Guard::new("0.0.0.0:8600".parse().unwrap(), &[]);
        assert_eq!(status(&public, "10.0.0.1:8600", None, None), 200);
        assert_eq!(status(&public, "evil.example:8600", None, None), 421);
    }

    #[test]
    fn other_origins_are_turned_away() {
        let guard = Guard::new("127.0.0.1:8600".parse().unwrap(), &[]);
        let of = |origin, site| status(&guard, "localhost:8600", origin, site);
        assert_eq!(of(Some("http://localhost:8600"), Some("same-origin")), 200);
        assert_eq!(of(None, Some("none")), 200);
        for origin in
            ["http://evil.example", "https://localhost:8600", "null", "http://localhost:1"]
        {
            assert_eq!(of(Some(origin), None), 403, "{origin}");
        }
        // localhost and 127.0.0.1 are two origins.
        assert_eq!(of(Some("http://127.0.0.1:8600"), None), 403);
        for site in ["cross-site", "same-site"] {
            assert_eq!(of(None, Some(site)), 403, "{site}");
        }
    }
}
