//! The keys of TLS, with clients and with upstreams. Described as in [`super::file`].

use super::shape::{
    KeyInfo, Section,
    Shape::{self, List, Table, Text, Words},
    optional, required,
};

const VERSION: Shape = Words(&["1.2", "1.3"]);
const CERT: KeyInfo = required("cert", Text, "PEM file of the certificate, with its chain");
const KEY: KeyInfo = required("key", Text, "PEM file of its key");
const MIN_VERSION: KeyInfo = optional("min_version", "`1.2`", VERSION, "or `1.3`");
const CLIENT_CA: KeyInfo =
    optional("client_ca", "none", Text, "file of the authority of which clients must have a certificate");

/// One certificate for every client.
pub(crate) const ONE: Section =
    Section { name: "tls", about: "How clients speak TLS to the gateway.", keys: &[CERT, KEY, MIN_VERSION, CLIENT_CA] };

/// Certificates by name.
pub(crate) const SEVERAL: Section = Section {
    name: "tls_by_name",
    about: "How clients speak TLS to the gateway, with several certificates.",
    keys: &[
        required(
            "certificates",
            List(&Table(&CERTIFICATE), 1),
            "instead: several pairs of `cert` and `key`, chosen by the name that the client wants; the first is for the rest",
        ),
        MIN_VERSION,
        CLIENT_CA,
    ],
};

pub(crate) const CERTIFICATE: Section =
    Section { name: "certificate", about: "A certificate and its key.", keys: &[CERT, KEY] };

pub(crate) const UPSTREAM_TLS: Section = Section {
    name: "upstream_tls",
    about: "How an upstream with https:// targets is spoken to. Certificates are always verified.",
    keys: &[
        optional("ca", "the roots of browsers", Text, "file of the authority that vouches for the targets"),
        optional("cert", "none", Text, "with `key`: the certificate with which the gateway shows who it is"),
        optional("key", "none", Text, "with `cert`"),
        optional("server_name", "the target", Text, "where the certificate has another name than the target"),
    ],
};
