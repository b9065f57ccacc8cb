//! Decodes `tokens`: which issuers are accepted, and how the gateway issues its own tokens.

use std::{path::PathBuf, time::Duration};

use chassis::config::{Lookup, Secret, secret};

use super::scope;
use crate::{
    auth::{
        issuers::verifying_key::AUD,
        settings::{ExternalIssuerSettings, JwksSource, KeySource, OwnTokens, SessionSettings, TokenSettings, TypRule},
    },
    config::{
        keys::shape::Section,
        keys::tokens::{
            AUDIENCE, AUDIENCE_CLAIM, CA, DISCOVERY, DiscoveredIssuerKeys, DiscoveredTokensKeys, ExternalIssuerKeys,
            ExternalTokensKeys, ISSUER, JWKS, OTHER_ISSUERS, OwnTokensKeys, REFRESH, SessionsKeys, TYP, TYP_RULES,
            WAIT_FOR_KEYS,
        },
        yaml::{
            mistake::{Mistakes, suggest},
            table::Table,
            tree::Node,
        },
    },
    upstream::settings::UpstreamSettings,
};

/// HS256 needs a key of at least the size of the hash (RFC 7518, section 3.2).
const JWT_SECRET_BYTES_MIN: usize = 32;
const TTL_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// Twice the five minutes for which verifiers usually cache a JWKS.
const PUBLISH_FOR_DEFAULT: Duration = Duration::from_secs(10 * 60);
const REFRESH_DEFAULT: Duration = Duration::from_secs(5 * 60);
/// Six attempts to fetch the keys, at most: an issuer that restarts is back by then.
const WAIT_FOR_KEYS_DEFAULT: Duration = Duration::from_secs(30);
/// More than the 20 s after which the feed of ended sessions answers, also where nothing has ended.
const SESSIONS_AFTER_DEFAULT: Duration = Duration::from_secs(30);
/// The feed is asked to wait for whole seconds, and for less than half of `after`.
const SESSIONS_AFTER_MIN: Duration = Duration::from_secs(2);

/// With `jwks` or `discovery`, the section describes an external issuer, and the gateway has no key of its own.
pub(crate) fn decode(
    node: &Node,
    upstreams: Option<&[UpstreamSettings]>,
    lookup: Lookup<'_>,
    mistakes: &Mistakes,
) -> Option<TokenSettings> {
    let is_external = node.has(&JWKS) || node.has(&DISCOVERY);
    let section = if node.has(&DISCOVERY) {
        &DiscoveredTokensKeys::SECTION
    } else if is_external {
        &ExternalTokensKeys::SECTION
    } else {
        &OwnTokensKeys::SECTION
    };
    let table = node.table(section, mistakes);
    let others = table.node(&OTHER_ISSUERS).map(|node| node.items(mistakes)).unwrap_or_default();
    let others = others.into_iter().map(|item| item.table(issuer_section(item), mistakes));
    let mut other_issuers: Vec<ExternalIssuerSettings> =
        others.filter_map(|table| external_issuer(table, mistakes)).collect();
    let (own, sessions) = if is_external {
        other_issuers.extend(external_issuer(table, mistakes));
        (None, None)
    } else {
        let feed = table.node(&OwnTokensKeys::SESSIONS);
        let feed = feed.and_then(|node| sessions(node, upstreams, mistakes));
        (Some(own(node, table, lookup, mistakes)?), feed)
    };
    let mut names: Vec<&str> = own.iter().map(|own| own.issuer.as_str()).collect();
    names.extend(other_issuers.iter().map(|other_issuers| other_issuers.issuer.as_str()));
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        node.report(mistakes, format_args!("the issuer `{}` is there twice", pair[0]));
    }
    Some(TokenSettings { own, other_issuers, sessions })
}

fn sessions(node: &Node, upstreams: Option<&[UpstreamSettings]>, mistakes: &Mistakes) -> Option<SessionSettings> {
    let table = node.table(&SessionsKeys::SECTION, mistakes);
    if let Some(from) = table.find(&SessionsKeys::FROM) {
        scope::upstream(from, upstreams, mistakes);
    }
    let (from, path) = (table.get(&SessionsKeys::FROM), table.get(&SessionsKeys::PATH));
    let (unreachable, after) = (table.get(&SessionsKeys::UNREACHABLE), table.get(&SessionsKeys::AFTER));
    let after = after.unwrap_or(SESSIONS_AFTER_DEFAULT);
    if let Some(node) = table.find(&SessionsKeys::AFTER).filter(|_| after < SESSIONS_AFTER_MIN) {
        node.report(mistakes, format_args!("`after` must be at least {} s", SESSIONS_AFTER_MIN.as_secs()));
    }
    Some(SessionSettings { from: from?, path: path?, unreachable: unreachable?, after })
}

/// What one of `other_issuers` has.
fn issuer_section(node: &Node) -> &'static Section {
    if node.has(&DISCOVERY) { &DiscoveredIssuerKeys::SECTION } else { &ExternalIssuerKeys::SECTION }
}

fn own(node: &Node, table: Table<'_>, lookup: Lookup<'_>, mistakes: &Mistakes) -> Option<OwnTokens> {
    let (issuer, audience) = (table.get(&ISSUER), table.get(&AUDIENCE));
    let ttl = table.get(&OwnTokensKeys::TTL).unwrap_or(TTL_DEFAULT);
    let publish_for = table.get(&OwnTokensKeys::PUBLISH_FOR).unwrap_or(PUBLISH_FOR_DEFAULT);
    if table.find(&OwnTokensKeys::KEYS).is_some_and(Node::is_unreadable) {
        return None;
    }
    // An empty text counts as absent: `keys: ${GATEWAY_KEY_DIR:-}`.
    let folder = table.get(&OwnTokensKeys::KEYS).filter(|folder| !folder.is_empty());
    let keys = secret("GATEWAY_JWT_SECRET", lookup)
        .and_then(|secret| key_source(secret, folder))
        .map_err(|message| node.report(mistakes, message));
    Some(OwnTokens { issuer: issuer?, audience: audience?, ttl, keys: keys.ok()?, publish_for })
}

fn key_source(secret: Option<Secret>, folder: Option<String>) -> Result<KeySource, String> {
    match (secret, folder) {
        (Some(secret), None) => {
            secret.key(JWT_SECRET_BYTES_MIN).map_err(|message| format!("GATEWAY_JWT_SECRET {message}"))?;
            Ok(KeySource::Secret(secret))
        }
        (None, Some(folder)) => Ok(KeySource::Folder(PathBuf::from(folder))),
        (Some(_), Some(_)) => {
            Err("both GATEWAY_JWT_SECRET and `keys` (GATEWAY_KEY_DIR) are set; keep one of them".to_owned())
        }
        (None, None) => Err("there is no key to sign tokens with; set GATEWAY_KEY_DIR to a folder, in which a key is \
                             made, or GATEWAY_JWT_SECRET; or name an external issuer with `jwks`"
            .to_owned()),
    }
}

fn external_issuer(table: Table<'_>, mistakes: &Mistakes) -> Option<ExternalIssuerSettings> {
    let audience = table.get(&AUDIENCE);
    let (issuer, jwks) = if table.may_have(&DISCOVERY) {
        (table.get(&DISCOVERY), Some(JwksSource::Discovery))
    } else {
        (table.get(&ISSUER), table.get(&JWKS))
    };
    let typ = table.node(&TYP).and_then(|node| typ(node, mistakes)).unwrap_or(TypRule::AccessToken);
    let (ca, refresh) = (table.get(&CA), table.get(&REFRESH).unwrap_or(REFRESH_DEFAULT));
    let audience_claim = table.get(&AUDIENCE_CLAIM).unwrap_or(AUD.to_owned());
    let wait_for_keys = table.get(&WAIT_FOR_KEYS).unwrap_or(WAIT_FOR_KEYS_DEFAULT);
    Some(ExternalIssuerSettings {
        issuer: issuer?,
        audience: audience?,
        audience_claim,
        jwks: jwks?,
        typ,
        ca,
        refresh,
        wait_for_keys,
    })
}

fn typ(node: &Node, mistakes: &Mistakes) -> Option<TypRule> {
    let text = node.scalar(mistakes)?;
    let rules = TYP_RULES.into_iter().zip([TypRule::AccessToken, TypRule::Jwt, TypRule::Any]);
    let rule = rules.into_iter().find(|(name, _)| *name == text).map(|(_, rule)| rule);
    if rule.is_none() {
        node.report_with_help(
            mistakes,
            format!("`{text}` is no rule for `typ`"),
            suggest(text, &TYP_RULES, "there are"),
        );
    }
    rule
}
