//! The settings of tokens: which issuers are accepted, and how the gateway issues its own. Knows no YAML.

use std::{path::PathBuf, time::Duration};

use chassis::config::Secret;

/// Whose tokens are believed. At least one issuer is named.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenSettings {
    /// The gateway itself.
    pub(crate) own: Option<OwnTokens>,
    pub(crate) foreign: Vec<ForeignIssuer>,
}

/// How the gateway issues tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnTokens {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) ttl: Duration,
    pub(crate) keys: KeySource,
    /// How long a new key is published before it signs.
    pub(crate) publish_for: Duration,
}

/// An issuer elsewhere, whose tokens are good here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ForeignIssuer {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) jwks: JwksSource,
    pub(crate) typ: TypRule,
    /// The certificate authority of its server, where that is none that the world knows.
    pub(crate) ca: Option<PathBuf>,
    /// How often its keys are fetched anew.
    pub(crate) refresh: Duration,
}

/// Where the public keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JwksSource {
    Url(String),
    File(PathBuf),
}

/// Which `typ` a token must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypRule {
    /// `at+jwt` (RFC 9068): an ID token is never taken for an access token.
    AccessToken,
    /// `JWT` as well, as many issuers write.
    Jwt,
    /// Whatever it says, or nothing.
    Any,
}

/// Where the signing key comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KeySource {
    /// Ed25519, every `*.pem` in this folder; the first is made on the first start.
    Folder(PathBuf),
    /// HS256.
    Secret(Secret),
}

/// Clocks of two machines may differ by this much; the default of the library, 60 s, is a gift to thieves.
pub(crate) const LEEWAY: Duration = Duration::from_secs(5);
