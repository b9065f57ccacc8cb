//! Decodes the section `tls`: certificates for clients. Reads none of the files.

use std::path::PathBuf;

use super::{
    mistake::Mistakes,
    yaml::{Node, Table},
};
use crate::tls::server::{CertificateFiles, MinVersion, TlsSettings};

pub(super) fn decode(node: &Node, mistakes: &mut Mistakes) -> Option<TlsSettings> {
    let mut table = node.table(mistakes);
    let several = table.optional("certificates");
    let certificates: Vec<Option<CertificateFiles>> = match several {
        None => vec![certificate(&mut table, mistakes)],
        Some(several) => several
            .items(mistakes)
            .into_iter()
            .map(|item| {
                let mut table = item.table(mistakes);
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

/// The name of a file.
pub(super) fn file(node: &Node, mistakes: &mut Mistakes) -> Option<PathBuf> {
    node.text(mistakes).map(PathBuf::from)
}

fn min_version(text: &str) -> Result<MinVersion, String> {
    match text {
        "1.2" => Ok(MinVersion::Tls12),
        "1.3" => Ok(MinVersion::Tls13),
        _ => Err(format!("`{text}` is not a version of TLS that is safe; there are 1.2 and 1.3")),
    }
}
