//! Why a server does not take a certificate: asked once more, by a handshake that reads the answer.
//!
//! With TLS 1.3 a client has sent its first bytes before the server has looked at its certificate,
//! so that a refusal is a race between the reason and a broken pipe. This one sends nothing.

use crate::hub::Keys;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use std::io::Read;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take to say why.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a handshake with these keys fails; nothing where it does not, or nobody can say.
pub(super) fn refusal(address: &str, keys: &Keys, server_name: Option<&str>) -> Option<String> {
    let host = address.rsplit_once(':')?.0;
    let name = server_name.unwrap_or(host.trim_start_matches('[').trim_end_matches(']'));
    let name = ServerName::try_from(name.to_owned()).ok()?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&keys.ca).ok()? {
        roots.add(certificate.ok()?).ok()?;
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&keys.certificate).ok()?.collect();
    let key = PrivateKeyDer::from_pem_file(&keys.key).ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.ok()?, key)
        .ok()?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut session = ClientConnection::new(Arc::new(config), name).ok()?;
    let there = address.to_socket_addrs().ok()?.next()?;
    let mut socket = TcpStream::connect_timeout(&there, PATIENCE).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let read = Stream::new(&mut session, &mut socket).read(&mut [0; 1]);
    // The server's first frame comes where it takes the certificate.
    let error = read.err()?;
    let refused = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    refused.then(|| format!("the server does not take this certificate: {error}"))
}
