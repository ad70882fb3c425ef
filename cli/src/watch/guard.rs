//! Who may ask: a browser that asks for this page by one of its own names, from no other page.
//!
//! A page elsewhere can make a browser ask here. It cannot do so unseen: the browser says by which
//! name it asks (a foreign name that was made to lead here is no name of ours) and from where.

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::{Authority, Uri};
use hyper::{Request, StatusCode};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use varangian_lab::text;

/// Why somebody is sent away.
pub(super) type Refusal = (StatusCode, String);

/// A further name of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    host: String,
    /// The port that is served where none is said.
    port: Option<u16>,
}

impl Name {
    /// Reads "gpu01" or "localhost:9000".
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let wanted = "a host is wanted, with a port where it is another: gpu01, localhost:9000";
        let name: Authority = text.parse().map_err(|_| wanted.to_owned())?;
        let port = name.port_u16();
        let whole = port.map_or(name.host().len(), |_| name.as_str().len());
        if whole != text.len() || text.contains('@') {
            return Err(wanted.into());
        }
        Ok(Name { host: bare(name.host()), port })
    }
}

/// Who may ask.
#[derive(Clone)]
pub(super) struct Guard {
    names: Arc<Vec<Name>>,
}

impl Guard {
    /// For a page with these names beside those of the address that is served.
    pub(super) fn new(names: Vec<Name>) -> Self {
        Guard { names: Arc::new(names) }
    }

    /// Lets a request pass that came to `here`, an address of this machine.
    ///
    /// # Errors
    /// 400 without one Host, 421 for a Host that is not ours, 403 for another page's request.
    pub(super) fn pass<B>(&self, request: &Request<B>, here: SocketAddr) -> Result<(), Refusal> {
        let (headers, uri) = (request.headers(), request.uri());
        let host = only(headers, HOST)
            .ok_or((StatusCode::BAD_REQUEST, "a request says one Host".to_owned()))?;
        let named = host.parse::<Authority>().is_ok_and(|host| self.is_ours(&host, here));
        if !named || uri.authority().is_some_and(|asked| !self.is_ours(asked, here)) {
            let host: String = text::one_line(host).chars().take(100).collect();
            let port = here.port();
            return Err((
                StatusCode::MISDIRECTED_REQUEST,
                format!(
                    "asked for as \"{host}\", which is no name of this page: it answers to \
                     localhost:{port} and {here}, and to what --name adds"
                ),
            ));
        }
        let foreign = (StatusCode::FORBIDDEN, "another page may not read this one".to_owned());
        if headers.contains_key(ORIGIN) {
            let origin = only(headers, ORIGIN).and_then(|origin| origin.parse::<Uri>().ok());
            let same = origin.is_some_and(|origin| {
                let ours = |asked: &Authority| self.is_ours(asked, here);
                origin.scheme_str() == Some("http") && origin.authority().is_some_and(ours)
            });
            if !same {
                return Err(foreign);
            }
        }
        let said = |name: &'static str| only(headers, HeaderName::from_static(name));
        let elsewhere = matches!(said("sec-fetch-site"), Some("cross-site" | "same-site"));
        // A link from elsewhere may lead to the page, and to nothing that the page is made of.
        let link = uri.path() == "/" && said("sec-fetch-mode") == Some("navigate");
        if elsewhere && !link { Err(foreign) } else { Ok(()) }
    }

    fn is_ours(&self, asked: &Authority, here: SocketAddr) -> bool {
        if asked.as_str().contains('@') {
            return false;
        }
        let (host, port) = (bare(asked.host()), asked.port_u16().unwrap_or(80));
        let named = |name: &Name| name.host == host && name.port.unwrap_or(here.port()) == port;
        if self.names.iter().any(named) {
            return true;
        }
        let own = |ip: IpAddr| {
            let ip = ip.to_canonical();
            ip.is_loopback() || ip == here.ip().to_canonical()
        };
        port == here.port() && (host == "localhost" || host.parse().is_ok_and(own))
    }
}

/// A host without brackets, in lower case.
fn bare(host: &str) -> String {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(host).to_ascii_lowercase()
}

/// The value of a header that stands once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(here: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let names = ["gpu01", "localhost:9000"].map(|name| Name::read(name).unwrap());
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let passed =
            Guard::new(names.to_vec()).pass(&request.body(()).unwrap(), here.parse().unwrap());
        passed.map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn the_page_answers_to_its_own_names_only() {
        let host = |here: &str, host: &str| ask(here, "/", &[("host", host)]);
        let here = "127.0.0.1:8600";
        let ours = ["localhost:8600", "LocalHost:8600", "127.0.0.1:8600", "[::1]:8600"];
        for name in ours.into_iter().chain(["127.0.0.2:8600", "gpu01:8600", "localhost:9000"]) {
            assert_eq!(host(here, name), 200, "{name}");
        }
        let foreign = ["evil.example", "evil.example:8600", "localhost", "localhost:80"];
        let odd = ["127.0.0.1:8601", "localhost.evil.example:8600", "192.0.2.7:8600", "gpu01:9000"];
        let worse = ["a@localhost:8600", "localhost:8600@evil.example", "", "0.0.0.0:8600", "::1"];
        for name in foreign.into_iter().chain(odd).chain(worse) {
            assert_eq!(host(here, name), 421, "{name}");
        }
        // What is served to all is reached by the address that it was reached by, and no other.
        assert_eq!(host("192.0.2.7:8600", "192.0.2.7:8600"), 200);
        assert_eq!(host("[::ffff:192.0.2.7]:8600", "192.0.2.7:8600"), 200);
        assert_eq!(host("192.0.2.7:8600", "192.0.2.8:8600"), 421);
        assert_eq!(host("127.0.0.1:80", "localhost"), 200);
        assert_eq!(ask(here, "/", &[]), 400);
        assert_eq!(ask(here, "/", &[("host", ours[0]), ("host", ours[0])]), 400);
        assert_eq!(ask(here, "http://evil.example/", &[("host", ours[0])]), 421);
    }

    #[test]
    fn no_other_page_reads_this_one() {
        let from = |path: &str, more: &[(&str, &str)]| {
            ask("127.0.0.1:8600", path, &[&[("host", "localhost:8600")], more].concat())
        };
        for origin in ["http://localhost:8600", "http://127.0.0.1:8600", "http://[::1]:8600"] {
            assert_eq!(from("/data", &[("origin", origin)]), 200, "{origin}");
        }
        let foreign = ["null", "http://evil.example", "https://localhost:8600", "localhost:8600"];
        for origin in foreign.into_iter().chain(["http://localhost:8601", "http://localhost", ""]) {
            assert_eq!(from("/data", &[("origin", origin)]), 403, "{origin}");
        }
        let site = |path: &str, site, mode| {
            from(path, &[("sec-fetch-site", site), ("sec-fetch-mode", mode)])
        };
        assert_eq!(site("/data", "same-origin", "cors"), 200);
        assert_eq!(site("/", "none", "navigate"), 200);
        assert_eq!(site("/", "cross-site", "navigate"), 200);
        assert_eq!(site("/", "cross-site", "no-cors"), 403);
        assert_eq!(site("/data", "cross-site", "navigate"), 403);
        assert_eq!(site("/results.js", "same-site", "no-cors"), 403);
    }

    #[test]
    fn a_name_is_a_host() {
        for text in ["", "a b", "http://a", "a@b", "a:x", "a/b", "a:99999"] {
            assert!(Name::read(text).is_err(), "{text}");
        }
        assert_eq!(Name::read("[::1]:80").unwrap(), Name { host: "::1".into(), port: Some(80) });
    }
}
