//! The metadata that an issuer publishes: where its keys are (OpenID Connect Discovery 1.0, RFC 8414). Pure.

use serde::Deserialize;

/// Returns where the metadata of an issuer may be: as OpenID Connect Discovery says (section 4), and as RFC 8414 does
/// (section 3.1), where the path of the issuer comes after the well-known one.
pub(super) fn locations(issuer: &str) -> [String; 2] {
    let issuer = issuer.trim_end_matches('/');
    let (scheme, rest) = issuer.split_once("://").unwrap_or(("https", issuer));
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    [
        format!("{issuer}/.well-known/openid-configuration"),
        format!("{scheme}://{host}/.well-known/oauth-authorization-server{path}"),
    ]
}

/// What of the metadata is used.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// Returns the address of the JWKS in the metadata of this issuer.
///
/// # Errors
/// The document is no metadata, or that of another issuer, which could speak for this one otherwise (section 4.3); or the keys
/// would be fetched without TLS although the metadata are fetched with it.
pub(super) fn jwks_uri(document: &[u8], issuer: &str) -> Result<String, String> {
    let metadata: Metadata = serde_json::from_slice(document)
        .map_err(|error| format!("the document is not the metadata of an issuer: {error}"))?;
    if metadata.issuer != issuer {
        return Err(format!("the metadata are those of `{}`, not of `{issuer}`", metadata.issuer));
    }
    let is_allowed = |scheme: &str| metadata.jwks_uri.starts_with(scheme);
    if is_allowed("https://") || (is_allowed("http://") && issuer.starts_with("http://")) {
        Ok(metadata.jwks_uri)
    } else {
        Err(format!("the metadata name the keys `{}`, which is no `https://` address", metadata.jwks_uri))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_are_where_both_standards_say() {
        for (issuer, oidc, oauth) in [
            (
                "https://a.example",
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example/",
                "https://a.example/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://a.example/r/s",
                "https://a.example/r/s/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server/r/s",
            ),
        ] {
            assert_eq!(locations(issuer), [oidc, oauth]);
        }
    }

    #[test]
    fn metadata_speak_for_their_issuer_alone_and_do_not_give_up_tls() {
        let read = |issuer: &str, jwks: &str| {
            let document = json!({"issuer": issuer, "jwks_uri": jwks}).to_string();
            jwks_uri(document.as_bytes(), "https://a.example")
        };
        assert_eq!(read("https://a.example", "https://keys.example/k").as_deref(), Ok("https://keys.example/k"));
        for (issuer, jwks) in [
            ("https://b.example", "https://keys.example/k"),
            ("https://a.example/", "https://keys.example/k"),
            ("https://a.example", "http://keys.example/k"),
            ("https://a.example", "file:///etc/passwd"),
        ] {
            assert!(read(issuer, jwks).is_err(), "{issuer} {jwks}");
        }
        assert!(jwks_uri(b"{}", "https://a.example").is_err());
    }
}
