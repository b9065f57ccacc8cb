//! Decodes the section `tokens`: how tokens are issued and verified, and with which key.

use std::{path::PathBuf, time::Duration};

use chassis::config::{Lookup, secret};

use super::{KeySource, TokenSettings, mistake::Mistakes, values, yaml::Node};

/// HS256 wants a key of at least the size of the hash (RFC 7518, section 3.2).
const JWT_SECRET_BYTES_MIN: usize = 32;
const TTL_DEFAULT: Duration = Duration::from_secs(60 * 60);

pub(super) fn decode(node: &Node, lookup: Lookup<'_>, mistakes: &mut Mistakes) -> Option<TokenSettings> {
    let mut table = node.table(mistakes);
    let issuer = table.required("issuer", mistakes).and_then(|node| node.text(mistakes));
    let audience = table.required("audience", mistakes).and_then(|node| node.text(mistakes));
    let ttl = table.optional("ttl").and_then(|node| node.parse(mistakes, values::duration));
    let folder = table.optional("keys").and_then(|node| node.text(mistakes)).filter(|text| !text.is_empty());
    table.finish(mistakes);
    let secret = match secret("GATEWAY_JWT_SECRET", lookup) {
        Ok(secret) => secret,
        Err(message) => {
            node.wrong(mistakes, message);
            return None;
        }
    };
    let keys = match (secret, folder) {
        (Some(secret), None) => match secret.key(JWT_SECRET_BYTES_MIN) {
            Ok(_) => KeySource::Secret(secret),
            Err(message) => {
                node.wrong(mistakes, format_args!("GATEWAY_JWT_SECRET {message}"));
                return None;
            }
        },
        (None, Some(folder)) => KeySource::Folder(PathBuf::from(folder)),
        (Some(_), Some(_)) => {
            node.wrong(mistakes, "both GATEWAY_JWT_SECRET and `keys` (GATEWAY_KEY_DIR) are set; keep one of them");
            return None;
        }
        (None, None) => {
            node.wrong(
                mistakes,
                "there is no key to sign tokens with; set GATEWAY_KEY_DIR to a folder (a key is made in it), or GATEWAY_JWT_SECRET",
            );
            return None;
        }
    };
    Some(TokenSettings {
        issuer: issuer?.to_owned(),
        audience: audience?.to_owned(),
        ttl: ttl.unwrap_or(TTL_DEFAULT),
        keys,
    })
}
