//! The fields in which a proxy describes the client and the way of a request, such as `X-Forwarded-For`. Upstreams trust
//! them, so that a client must not be able to set one of them. Knows no requests and no proxies.
//!
//! There is no complete list, because each product has names of its own. These are the fields that are standardised, and
//! those that frameworks, application servers and ingress controllers read.

/// Names that begin like this.
const PREFIXES: [&str; 3] = ["x-forwarded-", "x-ssl-", "ssl-client-"];

/// Names that are not in [`PREFIXES`]. `Client-Cert` is RFC 9440, which demands that it is removed.
const NAMES: [&str; 20] = [
    "forwarded",
    "x-forwarded",
    "x-real-ip",
    "x-real-port",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-client-cert",
    "x-client-cert-chain",
    "client-cert",
    "client-cert-chain",
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// What a field name is, as far as forwarding is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardingField {
    /// It is written by a proxy, and kept where the proxy is trusted.
    ByProxy,
    /// `Forwarded` (RFC 7239), which the gateway neither reads nor extends, and the name of another field in a spelling
    /// that no proxy writes: CGI, WSGI and PHP turn `-`, `_` and `.` into the same character, so that such an upstream
    /// reads `X_Forwarded_For` as `X-Forwarded-For`. Never kept.
    Never,
}

/// Returns what kind of forwarding field a name is, in lower case as in every `HeaderName`; `None` for all others.
pub(crate) fn kind(name: &str) -> Option<ForwardingField> {
    let is_prefixed = || PREFIXES.iter().any(|prefix| name.len() > prefix.len() && begins_like(name, prefix));
    let is_listed = || NAMES.iter().any(|known| known.len() == name.len() && begins_like(name, known));
    if !is_prefixed() && !is_listed() {
        return None;
    }
    let is_usual = name != "forwarded" && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    Some(if is_usual { ForwardingField::ByProxy } else { ForwardingField::Never })
}

/// Whether a name begins with another one, in which `-` stands for any character that is neither letter nor digit.
fn begins_like(name: &str, known: &str) -> bool {
    let same = |(byte, known): (u8, u8)| byte == known || (known == b'-' && !byte.is_ascii_alphanumeric());
    name.bytes().zip(known.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarding_fields_are_recognised_in_every_spelling() {
        for (name, expected) in [
            ("x-forwarded-for", Some(ForwardingField::ByProxy)),
            ("x-forwarded-client-cert", Some(ForwardingField::ByProxy)),
            ("x-forwarded-anything", Some(ForwardingField::ByProxy)),
            ("x-real-ip", Some(ForwardingField::ByProxy)),
            ("x-client-cert", Some(ForwardingField::ByProxy)),
            ("client-cert-chain", Some(ForwardingField::ByProxy)),
            ("x-original-url", Some(ForwardingField::ByProxy)),
            ("x_forwarded_for", Some(ForwardingField::Never)),
            ("x-forwarded_for", Some(ForwardingField::Never)),
            ("x.forwarded.proto", Some(ForwardingField::Never)),
            ("x_real_ip", Some(ForwardingField::Never)),
            ("forwarded", Some(ForwardingField::Never)),
            ("x-forwarded-", None),
            ("x-forwardedfor", None),
            ("forwarded-to", None),
            ("x-real", None),
            ("x-original-filename", None),
            ("for", None),
            ("", None),
            ("x-request-id", None),
            ("content-type", None),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }
}
