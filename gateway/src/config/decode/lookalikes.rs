//! Refuses texts that are valid, but look like a feature that other gateways have and this one does not: `/a/*`, `/a/:id`,
//! `{id}` in the value of a header, the claim `"!admin"`. They would be compared or sent as they are, which nobody wants.

/// Claims of `auth` that are hardly claims, and what was probably meant.
const CLAIMS: [(&str, &str); 9] = [
    ("url", "for a decision by a program of your own, write `{hook: NAME}`"),
    ("public", "write `auth: public`"),
    ("signed-in", "write `auth: signed-in`"),
    ("not", NO_NEGATION),
    ("or", "for alternatives write `any: [{group: a}, {user_type: admin}]`"),
    ("and", "all claims must hold: `{group: a, user_type: admin}`"),
    ("scope", SCOPES),
    ("scp", SCOPES),
    ("roles[]", "of a list, one item is enough: write `roles`"),
];
const NO_NEGATION: &str = "there is no negation: name the values that are accepted";
const SCOPES: &str = "its scopes are compared one by one with `scopes: [orders:read]`";

/// A path with parameters, of `route` or `rewrite`.
///
/// # Errors
/// A segment looks like a parameter or a wildcard. The message gives the right spelling.
pub(crate) fn path(text: &str) -> Result<(), String> {
    let last = text.split('/').count() - 1;
    let segments = text.split('/').enumerate();
    let spelled: Vec<Option<String>> = segments.map(|(at, segment)| parameter(segment, at == last)).collect();
    let Some(at) = spelled.iter().position(Option::is_some) else { return Ok(()) };
    let segments: Vec<&str> = text.split('/').collect();
    let right = segments.iter().zip(&spelled).map(|(segment, spelled)| spelled.as_deref().unwrap_or(segment));
    Err(format!(
        "`{}` is no parameter here: `{{name}}` is one segment, and `{{name...}}` at the end is all the rest; did you \
         mean `{}`?",
        segments[at],
        right.collect::<Vec<&str>>().join("/")
    ))
}

/// How a segment that looks like a parameter or a wildcard is written here. Others give `None`.
fn parameter(segment: &str, is_last: bool) -> Option<String> {
    let named = |name: &str, is_rest: bool| {
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then(|| if is_rest && is_last { format!("{{{name}...}}") } else { format!("{{{name}}}") })
    };
    if matches!(segment, "*" | "**") {
        return named(if is_last { "rest" } else { "name" }, true);
    }
    if let Some(name) = segment.strip_prefix(':') {
        return named(name.trim_end_matches(['*', '+']), name.ends_with(['*', '+']));
    }
    if let Some(name) = segment.strip_prefix('*') {
        return named(name, true);
    }
    if let Some(name) = segment.strip_prefix('<').and_then(|segment| segment.strip_suffix('>')) {
        return named(name.rsplit(':').next()?, false);
    }
    let inner = segment.strip_prefix('{')?.strip_suffix('}')?;
    let (name, form) = inner.split_once(':').unwrap_or((inner, ""));
    let bare = name.trim_matches('*');
    if bare == inner { None } else { named(bare, bare != name || form.ends_with(".*")) }
}

/// The value of a header.
///
/// # Errors
/// It contains something that looks like a parameter of the path.
pub(crate) fn header_value(name: &str, text: &str) -> Result<(), String> {
    // Its values are templates (RFC 9652).
    if name.eq_ignore_ascii_case("link-template") {
        return Ok(());
    }
    let mut parts = text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0));
    let is_name = |part: &&str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
    };
    match parts.find(is_name) {
        Some(part) => Err(format!(
            "`{{{part}}}` would be sent as it is: values of headers have no parameters. Only `rewrite` can use parts of \
             the path; claims of the caller are sent by `identity`"
        )),
        None => Ok(()),
    }
}

/// The name of a claim in a policy.
///
/// # Errors
/// It is hardly a claim. The message says what to write.
pub(crate) fn claim(name: &str) -> Result<(), String> {
    match CLAIMS.iter().find(|(known, _)| *known == name) {
        Some((_, help)) => Err(format!("`{name}` would be the name of a claim; {help}")),
        None => Ok(()),
    }
}

/// A value that a policy accepts of a claim.
///
/// # Errors
/// It looks like a negation, a wildcard or a regular expression.
pub(crate) fn claim_value(text: &str) -> Result<(), String> {
    let help = if text.starts_with('!') {
        NO_NEGATION
    } else if text == "*" {
        "there is no wildcard: name the values that are accepted, or write `auth: signed-in`"
    } else if text.starts_with('^') && text.ends_with('$') {
        "there are no regular expressions: name the values that are accepted"
    } else {
        return Ok(());
    };
    Err(format!("`{text}` would be compared as it is; {help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_parameter_is_spelled_right() {
        for (text, spelled) in [
            ("/a/*", "/a/{rest...}"),
            ("/a/**", "/a/{rest...}"),
            ("/a/*path", "/a/{path...}"),
            ("/a/:id/b", "/a/{id}/b"),
            ("/a/*/b", "/a/{name}/b"),
            ("/a/:path*", "/a/{path...}"),
            ("/a/<int:id>", "/a/{id}"),
            ("/a/{*path}", "/a/{path...}"),
            ("/a/{path*}", "/a/{path...}"),
            ("/a/{path:.*}", "/a/{path...}"),
            ("/a/{id:[0-9]+}", "/a/{id}"),
        ] {
            let message = path(text).unwrap_err();
            assert!(message.ends_with(&format!("did you mean `{spelled}`?")), "{text}: {message}");
        }
        for text in ["/", "/a/{id}", "/a/{rest...}", "/a/b:c", "/a/~u", "/a/b*c", "/{a}/{b}", "/v1/x:batch"] {
            assert_eq!(path(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_meant_as_it_is_written_passes() {
        for text in ["nosniff", "{\"group\": \"a\", \"max_age\": 1}", "{}", "{ }", "a}b{c", "max-age=1; {"] {
            assert_eq!(header_value("x", text), Ok(()), "{text}");
        }
        assert!(header_value("x", "a {id} b").is_err() && header_value("x", "{claims.sub}").is_err());
        assert_eq!(header_value("Link-Template", "</x/{id}>"), Ok(()));
        for text in ["admin", "orders:*", "a!", "^", ""] {
            assert_eq!(claim_value(text), Ok(()), "{text}");
        }
        assert_eq!(claim("user_type"), Ok(()));
    }
}
