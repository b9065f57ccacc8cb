//! The settings of tokens: which issuers are accepted, and how the gateway issues its own tokens. Knows no YAML.

use std::{path::PathBuf, time::Duration};

use chassis::config::Secret;

/// The issuers whose tokens are accepted: at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenSettings {
    /// The gateway itself.
    pub(crate) own: Option<OwnTokens>,
    pub(crate) other_issuers: Vec<ExternalIssuerSettings>,
    /// Where to learn which sessions have ended; `None` where our own tokens are valid until they expire.
    pub(crate) sessions: Option<SessionSettings>,
}

/// Where to learn which sessions have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionSettings {
    /// The name of the upstream that keeps the sessions.
    pub(crate) from: String,
    /// The path of its feed.
    pub(crate) path: String,
    pub(crate) unreachable: Unreachable,
    /// For how long the feed may not be read until `unreachable` applies.
    pub(crate) after: Duration,
}

/// What becomes of tokens while it is not known which sessions have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// They are accepted, except those of sessions of which it is known that they have ended.
    Accept,
    /// They are refused: 503.
    Refuse,
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

/// An external issuer whose tokens are accepted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExternalIssuerSettings {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// The claim that has the audience: `aud`, or that of issuers which write another one.
    pub(crate) audience_claim: String,
    pub(crate) jwks: JwksSource,
    pub(crate) typ: TypRule,
    /// The file with the certificate authority of its server; without one, the public authorities are trusted.
    pub(crate) ca: Option<PathBuf>,
    /// Interval between two fetches of its keys.
    pub(crate) refresh: Duration,
    /// How long after its start the gateway is not ready, if the keys have not been fetched.
    pub(crate) wait_for_keys: Duration,
}

/// Where the public keys of an issuer are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JwksSource {
    Url(String),
    File(PathBuf),
    /// Where the metadata of the issuer say; the name of the issuer is the address that they are found by.
    Discovery,
}

/// Which `typ` a token must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypRule {
    /// `at+jwt` (RFC 9068), so that an ID token is never accepted as an access token.
    AccessToken,
    /// `JWT` as well, which many issuers write.
    Jwt,
    /// Any, or none.
    Any,
}

/// Where the signing key comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum KeySource {
    /// Ed25519 keys: every `*.pem` file in this folder. The first one is created on the first start.
    Folder(PathBuf),
    /// A shared secret for HS256.
    Secret(Secret),
}

/// How much the clocks of two machines may differ: 5 s. The default of the library, 60 s, would let a stolen token live
/// longer.
pub(crate) const LEEWAY: Duration = Duration::from_secs(5);
