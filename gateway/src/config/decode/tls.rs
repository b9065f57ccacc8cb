//! Decodes both sections `tls`: certificates for clients, and TLS to upstreams. Reads none of the files that they name.

use crate::{
    config::{
        keys::tls::{
            CERT, CLIENT_CA, CertificateKeys, CertificatesByNameKeys, KEY, MIN_VERSION, OneCertificateKeys,
            UpstreamTlsKeys,
        },
        yaml::{mistake::Mistakes, table::Table, tree::Node},
    },
    tls::{
        client::{ClientIdentity, UpstreamTlsSettings},
        server::{CertificateFiles, MinVersion, TlsSettings},
    },
    upstream::settings::TargetSettings,
};

/// TLS of the public listener, with one certificate or with several.
pub(crate) fn decode(node: &Node, mistakes: &Mistakes) -> Option<TlsSettings> {
    let has_several = node.has(&CertificatesByNameKeys::CERTIFICATES);
    let section = if has_several { &CertificatesByNameKeys::SECTION } else { &OneCertificateKeys::SECTION };
    let table = node.table(section, mistakes);
    let certificates =
        if has_several { several(table, mistakes) } else { certificate_files(table).map(|one| vec![one]) };
    let (min_version, client_ca) = (table.get(&MIN_VERSION), table.get(&CLIENT_CA));
    Some(TlsSettings { certificates: certificates?, min_version: min_version.unwrap_or(MinVersion::Tls12), client_ca })
}

fn several(table: Table<'_>, mistakes: &Mistakes) -> Option<Vec<CertificateFiles>> {
    let node = table.node(&CertificatesByNameKeys::CERTIFICATES)?;
    if node.is_empty_list() {
        node.report(mistakes, "at least one certificate is needed");
    }
    let tables = node.items(mistakes).into_iter().map(|item| item.table(&CertificateKeys::SECTION, mistakes));
    let files: Vec<Option<CertificateFiles>> = tables.map(certificate_files).collect();
    files.into_iter().collect()
}

fn certificate_files(table: Table<'_>) -> Option<CertificateFiles> {
    let (cert, key) = (table.get(&CERT), table.get(&KEY));
    Some(CertificateFiles { cert: cert?, key: key? })
}

/// TLS to an upstream with these targets; `upstream` is its node.
pub(crate) fn upstream(
    tls: Option<&Node>,
    targets: &[TargetSettings],
    upstream: &Node,
    mistakes: &Mistakes,
) -> Option<UpstreamTlsSettings> {
    let with_tls = targets.iter().filter(|target| target.address.tls).count();
    if with_tls != 0 && with_tls != targets.len() {
        upstream.report(mistakes, "some of its targets are https:// and some are not; make two upstreams of them");
    }
    if let Some(tls) = tls
        && with_tls == 0
        && !targets.is_empty()
    {
        tls.report(mistakes, "this has no effect: no target begins with https://");
    }
    let settings = tls.map(|node| upstream_settings(node, mistakes)).unwrap_or_default();
    (with_tls != 0).then_some(settings)
}

fn upstream_settings(node: &Node, mistakes: &Mistakes) -> UpstreamTlsSettings {
    let table = node.table(&UpstreamTlsKeys::SECTION, mistakes);
    let (cert, key) = (table.get(&UpstreamTlsKeys::CLIENT_CERT), table.get(&UpstreamTlsKeys::CLIENT_KEY));
    if node.has(&UpstreamTlsKeys::CLIENT_CERT) != node.has(&UpstreamTlsKeys::CLIENT_KEY) {
        node.report(mistakes, "`cert` and `key` belong together");
    }
    UpstreamTlsSettings {
        ca: table.get(&UpstreamTlsKeys::CA),
        identity: cert.zip(key).map(|(cert, key)| ClientIdentity { cert, key }),
        server_name: table.get(&UpstreamTlsKeys::SERVER_NAME),
    }
}
