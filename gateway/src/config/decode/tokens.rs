//! Decodes the section `tokens`: whose tokens are believed, and how our own are issued.

use std::{path::PathBuf, time::Duration};

use chassis::config::{Lookup, Secret, secret};

use super::values;
use crate::{
    auth::settings::{ExternalIssuerSettings, JwksSource, KeySource, OwnTokens, TokenSettings, TypRule},
    config::{
        keys::tokens::{FOREIGN_ISSUER, FOREIGN_TOKENS, OWN_TOKENS},
        yaml::{
            mistake::{Mistakes, did_you_mean},
            tree::{Node, Table},
        },
    },
};

/// HS256 wants a key of at least the size of the hash (RFC 7518, section 3.2).
const JWT_SECRET_BYTES_MIN: usize = 32;
const TTL_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// Twice the five minutes for which verifiers usually keep a JWKS.
const PUBLISH_FOR_DEFAULT: Duration = Duration::from_secs(10 * 60);
const REFRESH_DEFAULT: Duration = Duration::from_secs(5 * 60);

pub(crate) fn decode(node: &Node, lookup: Lookup<'_>, mistakes: &mut Mistakes) -> Option<TokenSettings> {
    // With `jwks` the keys are those of an issuer elsewhere.
    let is_elsewhere = node.has("jwks");
    let section = if is_elsewhere { &FOREIGN_TOKENS } else { &OWN_TOKENS };
    let mut table = node.table(section, mistakes);
    let also = table.optional("also");
    let also = also.map(|node| node.items(mistakes)).unwrap_or_default();
    let mut foreign: Vec<ExternalIssuerSettings> = also
        .into_iter()
        .filter_map(|item| {
            let mut table = item.table(&FOREIGN_ISSUER, mistakes);
            let issuer = foreign_issuer(&mut table, mistakes);
            table.finish(mistakes);
            issuer
        })
        .collect();
    let own = if is_elsewhere {
        foreign.extend(foreign_issuer(&mut table, mistakes));
        table.finish(mistakes);
        None
    } else {
        let own = own(node, &mut table, lookup, mistakes);
        table.finish(mistakes);
        Some(own?)
    };
    let mut names: Vec<&str> = own.iter().map(|own| own.issuer.as_str()).collect();
    names.extend(foreign.iter().map(|foreign| foreign.issuer.as_str()));
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        node.wrong(mistakes, format_args!("the issuer `{}` is there twice", twice[0]));
    }
    Some(TokenSettings { own, other_issuers: foreign })
}

fn own(node: &Node, table: &mut Table<'_>, lookup: Lookup<'_>, mistakes: &mut Mistakes) -> Option<OwnTokens> {
    let issuer = table.required("issuer", mistakes).and_then(|node| node.text(mistakes));
    let audience = table.required("audience", mistakes).and_then(|node| node.text(mistakes));
    let ttl = table.optional("ttl").and_then(|node| node.parse(mistakes, values::duration));
    let folder = table.optional("keys").and_then(|node| node.text(mistakes)).filter(|text| !text.is_empty());
    let publish_for = table.optional("publish_for").and_then(|node| node.parse(mistakes, values::duration));
    let keys = match secret("GATEWAY_JWT_SECRET", lookup).and_then(|secret| key_source(secret, folder)) {
        Ok(keys) => Some(keys),
        Err(message) => {
            node.wrong(mistakes, message);
            None
        }
    };
    Some(OwnTokens {
        issuer: issuer?.to_owned(),
        audience: audience?.to_owned(),
        ttl: ttl.unwrap_or(TTL_DEFAULT),
        keys: keys?,
        publish_for: publish_for.unwrap_or(PUBLISH_FOR_DEFAULT),
    })
}

fn key_source(secret: Option<Secret>, folder: Option<&str>) -> Result<KeySource, String> {
    match (secret, folder) {
        (Some(secret), None) => {
            secret.key(JWT_SECRET_BYTES_MIN).map_err(|message| format!("GATEWAY_JWT_SECRET {message}"))?;
            Ok(KeySource::Secret(secret))
        }
        (None, Some(folder)) => Ok(KeySource::Folder(PathBuf::from(folder))),
        (Some(_), Some(_)) => {
            Err("both GATEWAY_JWT_SECRET and `keys` (GATEWAY_KEY_DIR) are set; keep one of them".to_owned())
        }
        (None, None) => Err("there is no key to sign tokens with; set GATEWAY_KEY_DIR to a folder (a key is made in \
                             it), or GATEWAY_JWT_SECRET; or name an issuer elsewhere with `jwks`"
            .to_owned()),
    }
}

fn foreign_issuer(table: &mut Table<'_>, mistakes: &mut Mistakes) -> Option<ExternalIssuerSettings> {
    let issuer = table.required("issuer", mistakes).and_then(|node| node.text(mistakes));
    let audience = table.required("audience", mistakes).and_then(|node| node.text(mistakes));
    let jwks = table.required("jwks", mistakes).and_then(|node| node.parse(mistakes, jwks_source));
    let typ = table.optional("typ").and_then(|node| typ(node, mistakes));
    let ca = table.optional("ca").and_then(|node| node.text(mistakes));
    let refresh = table.optional("refresh").and_then(|node| node.parse(mistakes, values::duration));
    Some(ExternalIssuerSettings {
        issuer: issuer?.to_owned(),
        audience: audience?.to_owned(),
        jwks: jwks?,
        typ: typ.unwrap_or(TypRule::AccessToken),
        ca: ca.map(PathBuf::from),
        refresh: refresh.unwrap_or(REFRESH_DEFAULT),
    })
}

fn jwks_source(text: &str) -> Result<JwksSource, String> {
    if !text.contains("://") {
        return Ok(JwksSource::File(PathBuf::from(text)));
    }
    let uri: Option<actix_http::Uri> = text.parse().ok();
    let is_http = uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if is_http {
        Ok(JwksSource::Url(text.to_owned()))
    } else {
        Err(format!("`{text}` is neither an http(s) address nor a file"))
    }
}

fn typ(node: &Node, mistakes: &mut Mistakes) -> Option<TypRule> {
    const RULES: [(&str, TypRule); 3] =
        [("at+jwt", TypRule::AccessToken), ("JWT", TypRule::Jwt), ("any", TypRule::Any)];
    let text = node.text(mistakes)?;
    let rule = RULES.iter().find(|(name, _)| *name == text).map(|(_, rule)| *rule);
    if rule.is_none() {
        let names = || RULES.iter().map(|(name, _)| *name);
        let help = did_you_mean(text, names()).or_else(|| Some("there are: at+jwt, JWT, any".to_owned()));
        mistakes.note_with_help(node.place, &node.path, format_args!("`{text}` is no rule for `typ`"), help);
    }
    rule
}
