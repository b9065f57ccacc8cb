//! A gateway with TLS before an upstream, for clients of HTTP/2.

use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use chassis::testing::Received;
use rustls::ClientConfig;
use tempfile::TempDir;

use super::client::{Client, HOST, Manners};
use crate::fixture::{
    File, Gateway, Process,
    certificates::{Authority, client_config},
    upstream,
};

/// The certificate of a gateway, and the client that trusts it.
pub(crate) struct Certificate {
    folder: TempDir,
    pub config: Arc<ClientConfig>,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let ca = authority.file(folder.path(), "ca.pem");
        authority.issue(&[HOST]).write(folder.path(), "server");
        let mut config = (*client_config(Some(&ca))).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { folder, config: Arc::new(config) }
    }

    /// The authority that issued it, for curl.
    pub(crate) fn ca(&self) -> std::path::PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The sections of a gateway that has it before one upstream, with these limits and settings of its only route.
    pub(crate) fn sections(&self, upstream: SocketAddr, limits: &str, route: &str) -> String {
        sections(self.folder.path(), upstream, limits, route)
    }

    /// A file with these sections.
    pub(crate) fn file(&self, upstream: SocketAddr, limits: &str, route: &str) -> File {
        File::new(&self.yaml(upstream, limits, route))
    }

    /// The text of such a file.
    pub(crate) fn yaml(&self, upstream: SocketAddr, limits: &str, route: &str) -> String {
        let sections = self.sections(upstream, limits, route);
        format!("version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{sections}")
    }
}

fn sections(folder: &Path, upstream: SocketAddr, limits: &str, route: &str) -> String {
    let folder = folder.display();
    format!(
        "tls: {{cert: \"{folder}/server.pem\", key: \"{folder}/server.key\"}}\nlimits: {{{limits}}}\n\
         upstreams: {{u: {{targets: [\"http://{upstream}\"], breaker: off}}}}\n\
         routes:\n  - {{route: \"* /{{path...}}\", to: u, auth: public, body_limit: 1GiB{route}}}\n"
    )
}

/// A gateway in this process.
pub(crate) struct Http2 {
    pub certificate: Certificate,
    pub gateway: Gateway,
}

impl Http2 {
    /// Starts a gateway before this upstream.
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        Self::with(upstream, "", "")
    }

    /// Starts a gateway with these limits, and settings of its only route (`, timeout: {…}`).
    pub(crate) fn with(upstream: SocketAddr, limits: &str, route: &str) -> Self {
        let certificate = Certificate::new();
        let gateway = Gateway::with_tokens(&certificate.sections(upstream, limits, route), &[]);
        Self { certificate, gateway }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.gateway.addr()
    }

    /// A client as they usually are.
    pub(crate) fn client(&self) -> Client {
        self.client_with(Manners::GOOD, &[])
    }

    pub(crate) fn client_with(&self, manners: Manners, settings: &[(u16, u32)]) -> Client {
        Client::open(self.addr(), &self.certificate.config, manners, settings)
    }

    /// The number of requests in flight.
    pub(crate) fn in_flight(&self) -> f64 {
        self.gateway.metric("gateway_in_flight{route=\"* /{path...}\",upstream=\"u\"}").unwrap_or_default()
    }
}

/// A gateway as a process.
pub(crate) struct Http2Process {
    pub certificate: Certificate,
    pub gateway: Process,
}

impl Http2Process {
    /// Starts a gateway before this upstream, with these limits.
    pub(crate) fn with(upstream: SocketAddr, limits: &str) -> Self {
        let certificate = Certificate::new();
        let gateway = Process::start(&certificate.file(upstream, limits, ""));
        Self { certificate, gateway }
    }

    pub(crate) fn client_with(&self, manners: Manners, settings: &[(u16, u32)]) -> Client {
        Client::open(self.gateway.addr, &self.certificate.config, manners, settings)
    }
}

/// An upstream that answers `ok`, except on paths that say otherwise.
pub(crate) fn upstream_by_path() -> SocketAddr {
    upstream(|mut reader| {
        while let Some(received) = Received::read(&mut reader) {
            let path = received.line.split(' ').nth(1).unwrap_or_default();
            let answer: &[u8] = match path {
                "/hold" => return wait_for_end(&mut reader),
                "/empty" => b"HTTP/1.1 204 No Content\r\n\r\n",
                "/unchanged" => b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 7\r\n\r\n",
                _ if received.line.starts_with("HEAD ") => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            };
            if reader.get_mut().write_all(answer).is_err() {
                return;
            }
        }
    })
}

/// Waits until the other side closes the connection.
pub(crate) fn wait_for_end(reader: &mut BufReader<TcpStream>) {
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest);
}
