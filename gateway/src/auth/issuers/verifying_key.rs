//! A public key with everything that its tokens must satisfy. Knows neither where keys come from nor the tokens.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};

/// The claim that has the audience of usual tokens (RFC 7519, section 4.1.3).
pub(crate) const AUD: &str = "aud";

/// The claims that every token of an issuer must have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpectedClaims<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    /// The claim that has the audience.
    pub(crate) audience_claim: &'a str,
}

/// What identifies a key: its name and its thumbprint (RFC 7638). The name alone would not do, since an issuer may give
/// it to another key later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyId {
    /// The `kid` of its tokens; an external issuer may give it none.
    pub(crate) kid: Option<String>,
    pub(crate) thumbprint: String,
}

/// Verifies the tokens of one key.
#[derive(Clone)]
pub(crate) struct VerifyingKey {
    /// Shared with the cached tokens that it has verified.
    pub(crate) id: Arc<KeyId>,
    pub(crate) decoding: DecodingKey,
    /// With the algorithm that belongs to the key: a token does not choose it.
    pub(crate) validation: Validation,
    /// Claim and value that take the place of `aud`, which `validation` does not require then.
    pub(crate) audience: Option<(String, String)>,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// Creates a key whose tokens must have these claims and be signed with this algorithm. When they are valid is not
    /// checked with the signature but by the verifier, for cached tokens too: the library rounds a time with a fraction
    /// up or down, so that the two would differ.
    pub(crate) fn new(id: KeyId, decoding: DecodingKey, algorithm: Algorithm, expected: ExpectedClaims<'_>) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.set_issuer(&[expected.issuer]);
        let mut audience = None;
        if expected.audience_claim == AUD {
            validation.set_audience(&[expected.audience]);
            validation.set_required_spec_claims(&["exp", "iss", AUD, "sub"]);
        } else {
            audience = Some((expected.audience_claim.to_owned(), expected.audience.to_owned()));
            validation.validate_aud = false;
            validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        }
        Self { id: Arc::new(id), decoding, validation, audience }
    }
}
