//! The keys of TLS: with clients, and with upstreams.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

use super::{
    shape::{
        Key, Kind, Scalar, Section,
        Shape::{List, Table, Text, Words},
        Subtree, optional, required, section, subtree,
    },
    values::FILE_NAME,
};
use crate::tls::server::MinVersion;

const VERSION: Kind<Scalar<MinVersion>> = Kind { shape: Words(&["1.2", "1.3"]), parse: min_version };
const HOST_NAME: Kind<Scalar<ServerName<'static>>> = Kind { shape: Text, parse: server_name };

pub(crate) const CERT: Key<Scalar<PathBuf>> =
    required("cert", FILE_NAME, "PEM file of the certificate, followed by its chain");
pub(crate) const KEY: Key<Scalar<PathBuf>> = required("key", FILE_NAME, "PEM file of the private key");
pub(crate) const MIN_VERSION: Key<Scalar<MinVersion>> =
    optional("min_version", "`1.2`", VERSION, "Minimum version of TLS: `1.2` or `1.3`");
pub(crate) const CLIENT_CA: Key<Scalar<PathBuf>> = optional(
    "client_ca",
    "none",
    FILE_NAME,
    "PEM file of an authority; clients must then have a certificate that it signed",
);

section! { OneCertificateKeys ("tls", "TLS for the public listener, with one certificate.") {
    CERT;
    KEY;
    MIN_VERSION;
    CLIENT_CA;
}}

section! { CertificatesByNameKeys ("tls_by_name", "TLS for the public listener, with several certificates.") {
    CERTIFICATES: Subtree = required(
        "certificates",
        subtree(List(&Table(&CertificateKeys::SECTION), 1)),
        "Instead of `cert` and `key`: several pairs, chosen by the server name that the client requests. The first is for all other names",
    );
    MIN_VERSION;
    CLIENT_CA;
}}

section! { CertificateKeys ("certificate", "A certificate and its private key.") {
    CERT;
    KEY;
}}

section! { UpstreamTlsKeys (
    "upstream_tls",
    "TLS to the https:// targets of an upstream. Their certificates are always verified."
) {
    CA: Scalar<PathBuf> = optional(
        "ca",
        "the public authorities",
        FILE_NAME,
        "PEM file of the authority that signed the certificates of the targets",
    );
    CLIENT_CERT: Scalar<PathBuf> = optional(
        "cert",
        "none",
        FILE_NAME,
        "PEM file of a client certificate with which the gateway identifies itself; needs `key`",
    );
    CLIENT_KEY: Scalar<PathBuf> = optional("key", "none", FILE_NAME, "PEM file of its private key; needs `cert`");
    SERVER_NAME: Scalar<ServerName<'static>> = optional(
        "server_name",
        "the host of the target",
        HOST_NAME,
        "The name that the certificate must have",
    );
}}

fn min_version(text: &str) -> Result<MinVersion, String> {
    match text {
        "1.2" => Ok(MinVersion::Tls12),
        "1.3" => Ok(MinVersion::Tls13),
        _ => Err(format!("`{text}` is not a version of TLS that is safe; use 1.2 or 1.3")),
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(text.to_owned()).map_err(|_| format!("`{text}` is not the name of a server"))
}
