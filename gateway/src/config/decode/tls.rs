//! Decodes the sections `tls`: certificates for clients, and how upstreams are spoken to. Reads none of the files.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

use crate::{
    config::{
        keys::tls::{CERTIFICATE, ONE, SEVERAL, UPSTREAM_TLS},
        yaml::{
            mistake::Mistakes,
            tree::{Node, Table},
        },
    },
    tls::{
        client::{ClientIdentity, UpstreamTlsSettings},
        server::{CertificateFiles, MinVersion, TlsSettings},
    },
    upstream::settings::TargetSettings,
};

pub(crate) fn decode(node: &Node, mistakes: &mut Mistakes) -> Option<TlsSettings> {
    let section = if node.has("certificates") { &SEVERAL } else { &ONE };
    let mut table = node.table(section, mistakes);
    let several = if node.has("certificates") { table.optional("certificates") } else { None };
    let certificates: Vec<Option<CertificateFiles>> = match several {
        None => vec![certificate(&mut table, mistakes)],
        Some(several) => several
            .items(mistakes)
            .into_iter()
            .map(|item| {
                let mut table = item.table(&CERTIFICATE, mistakes);
                let files = certificate(&mut table, mistakes);
                table.finish(mistakes);
                files
            })
            .collect(),
    };
    if let Some(several) = several
        && certificates.is_empty()
    {
        several.wrong(mistakes, "at least one certificate is needed");
    }
    let min_version = table.optional("min_version").and_then(|node| node.parse(mistakes, min_version));
    let client_ca = table.optional("client_ca").and_then(|node| file(node, mistakes));
    table.finish(mistakes);
    Some(TlsSettings {
        certificates: certificates.into_iter().collect::<Option<_>>()?,
        min_version: min_version.unwrap_or(MinVersion::Tls12),
        client_ca,
    })
}

fn certificate(table: &mut Table<'_>, mistakes: &mut Mistakes) -> Option<CertificateFiles> {
    let cert = table.required("cert", mistakes).and_then(|node| file(node, mistakes));
    let key = table.required("key", mistakes).and_then(|node| file(node, mistakes));
    Some(CertificateFiles { cert: cert?, key: key? })
}

/// How an upstream with these targets is spoken to; `node` is the upstream.
pub(crate) fn upstream(
    tls: Option<&Node>,
    targets: &[TargetSettings],
    node: &Node,
    mistakes: &mut Mistakes,
) -> Option<UpstreamTlsSettings> {
    let speak_tls = targets.iter().filter(|target| target.address.tls).count();
    if speak_tls != 0 && speak_tls != targets.len() {
        node.wrong(mistakes, "some of its targets are https:// and some are not; make two upstreams of them");
    }
    if let Some(tls) = tls
        && speak_tls == 0
        && !targets.is_empty()
    {
        tls.wrong(mistakes, "this is of no use: no target begins with https://");
    }
    let settings = tls.map(|node| upstream_settings(node, mistakes)).unwrap_or_default();
    (speak_tls != 0).then_some(settings)
}

fn upstream_settings(node: &Node, mistakes: &mut Mistakes) -> UpstreamTlsSettings {
    let mut table = node.table(&UPSTREAM_TLS, mistakes);
    let ca = table.optional("ca").and_then(|node| file(node, mistakes));
    let identity = match (table.optional("cert"), table.optional("key")) {
        (None, None) => None,
        (Some(cert), Some(key)) => {
            file(cert, mistakes).zip(file(key, mistakes)).map(|(cert, key)| ClientIdentity { cert, key })
        }
        (Some(_), None) | (None, Some(_)) => {
            node.wrong(mistakes, "`cert` and `key` belong together");
            None
        }
    };
    let server_name = table.optional("server_name").and_then(|node| {
        node.parse(mistakes, |text| {
            ServerName::try_from(text.to_owned()).map_err(|_| format!("`{text}` is not the name of a server"))
        })
    });
    table.finish(mistakes);
    UpstreamTlsSettings { ca, identity, server_name }
}

/// The name of a file.
fn file(node: &Node, mistakes: &mut Mistakes) -> Option<PathBuf> {
    node.text(mistakes).map(PathBuf::from)
}

fn min_version(text: &str) -> Result<MinVersion, String> {
    match text {
        "1.2" => Ok(MinVersion::Tls12),
        "1.3" => Ok(MinVersion::Tls13),
        _ => Err(format!("`{text}` is not a version of TLS that is safe; there are 1.2 and 1.3")),
    }
}
