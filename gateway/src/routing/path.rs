//! The normal form of a path (RFC 3986, section 6.2.2). Knows no routes.
//!
//! If the gateway matches one reading of a path and the upstream serves another one, a client gets around the policy of
//! a route: `/public/..%2Fadmin` is below `/public` for one and below `/` for the other. So a path has one normal form,
//! the same bytes are matched and forwarded, and a path that upstreams read in different ways is refused with 400.

use std::borrow::Cow;

/// Why a path has no normal form. Each is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathError {
    /// It does not begin with `/`.
    Relative,
    /// `%` without two hexadecimal digits.
    BadEscape,
    /// `%2F`, `%5C` or `\`: upstreams disagree whether these separate segments.
    EncodedSlash,
    /// `..;x`: upstreams that drop parameters of segments, such as Tomcat and Jetty, read it as `..`.
    DotParameter,
    /// `%00` or another control character.
    Control,
    /// A character that must be percent-encoded (RFC 3986, section 2).
    Unencoded,
}

impl PathError {
    /// Returns the explanation for the client.
    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Self::Relative => "the path must begin with `/`",
            Self::BadEscape => "the path has a `%` that is not followed by two hexadecimal digits",
            Self::EncodedSlash => "the path has an encoded slash or a backslash",
            Self::DotParameter => "the path has a segment `.` or `..` with parameters",
            Self::Control => "the path has a control character",
            Self::Unencoded => "the path has a character that must be percent-encoded",
        }
    }
}

/// How slashes in a path are treated. Package registries and object stores have names that contain slashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathOptions {
    pub(crate) encoded_slash: EncodedSlash,
    /// Whether `//` is the same as `/`.
    pub(crate) merge_slashes: bool,
}

/// How `%2F` is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EncodedSlash {
    Refuse,
    /// It is a part of its segment.
    Keep,
    /// It separates segments, as some upstreams treat it.
    Decode,
}

impl PathOptions {
    /// All options that a route can have besides the default.
    pub(crate) const LENIENT: [Self; 3] = [
        Self { encoded_slash: EncodedSlash::Keep, merge_slashes: false },
        Self { encoded_slash: EncodedSlash::Keep, merge_slashes: true },
        Self { encoded_slash: EncodedSlash::Refuse, merge_slashes: false },
    ];
}

impl Default for PathOptions {
    fn default() -> Self {
        Self { encoded_slash: EncodedSlash::Refuse, merge_slashes: true }
    }
}

/// Returns whether the options make a difference for a path.
pub(crate) fn has_disputed_slashes(path: &str) -> bool {
    path.contains("//") || path.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f"))
}

/// Returns the normal form: unreserved characters decoded, hexadecimal digits in upper case, no dot segments and no
/// empty segments.
///
/// # Errors
/// See [`PathError`].
pub(crate) fn normalize(path: &str) -> Result<Cow<'_, str>, PathError> {
    normalize_with(path, PathOptions::default())
}

/// Returns the normal form for a route with these options. A `%2F` next to `.` or `..` is refused even if it is kept:
/// an upstream that decodes it would leave the folder. So would one that drops the parameters of `..;x`.
///
/// # Errors
/// See [`PathError`].
pub(crate) fn normalize_with(path: &str, options: PathOptions) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::Relative);
    }
    if is_normal(path) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode_unreserved(path, options.encoded_slash)?;
    if decoded.split('/').flat_map(|segment| segment.split("%2F")).any(has_dot_parameter) {
        return Err(PathError::DotParameter);
    }
    let normal = remove_dot_segments(&decoded, options.merge_slashes);
    if normal
        .split('/')
        .any(|segment| segment.contains("%2F") && segment.split("%2F").any(|part| matches!(part, "." | "..")))
    {
        return Err(PathError::EncodedSlash);
    }
    Ok(Cow::Owned(normal))
}

/// Whether a segment is `.` or `..` with parameters, also where their `;` is encoded. The unreserved characters have been
/// decoded.
fn has_dot_parameter(segment: &str) -> bool {
    let rest = segment.strip_prefix("..").or_else(|| segment.strip_prefix('.'));
    rest.is_some_and(|rest| rest.starts_with(';') || rest.starts_with("%3B"))
}

/// The common case: there is nothing to do.
fn is_normal(path: &str) -> bool {
    path.bytes().all(|byte| is_path_byte(byte) && byte != b'%') && !path.contains("//") && !path.contains("/.")
}

fn decode_unreserved(path: &str, encoded_slash: EncodedSlash) -> Result<String, PathError> {
    let mut decoded = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (Some(high), Some(low)) = (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit)) else {
                return Err(PathError::BadEscape);
            };
            push_escape(&mut decoded, high * 16 + low, encoded_slash)?;
        } else {
            check(byte)?;
            decoded.push(char::from(byte));
        }
    }
    Ok(decoded)
}

fn push_escape(decoded: &mut String, byte: u8, encoded_slash: EncodedSlash) -> Result<(), PathError> {
    match byte {
        b'/' if encoded_slash == EncodedSlash::Keep => decoded.push_str("%2F"),
        b'/' if encoded_slash == EncodedSlash::Decode => decoded.push('/'),
        b'/' | b'\\' => return Err(PathError::EncodedSlash),
        _ if byte.is_ascii_control() => return Err(PathError::Control),
        _ if is_unreserved(byte) => decoded.push(char::from(byte)),
        _ => {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            decoded.push('%');
            decoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            decoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    Ok(())
}

fn check(byte: u8) -> Result<(), PathError> {
    match byte {
        b'\\' => Err(PathError::EncodedSlash),
        _ if byte.is_ascii_control() => Err(PathError::Control),
        _ if is_path_byte(byte) => Ok(()),
        _ => Err(PathError::Unencoded),
    }
}

/// Section 5.2.4. If slashes are merged, empty segments are removed, too, except a last one: `/x/` is not `/x`.
fn remove_dot_segments(path: &str, merge_slashes: bool) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_open = false;
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        ends_open = matches!(segment, "" | "." | "..");
        match segment {
            "" if !merge_slashes && segments.peek().is_some() => kept.push(segment),
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let mut normal = String::with_capacity(path.len());
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if ends_open || kept.is_empty() {
        normal.push('/');
    }
    normal
}

/// Returns the text that a part of a path in normal form stands for; `None` if it is no text.
pub(super) fn decoded(part: &str) -> Option<String> {
    let mut bytes = part.bytes();
    let mut decoded = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next()?)? * 16 + hex_digit(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` and `/` of section 3.3.
const fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'/' | b':' | b'@' | b'%')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// Returns a path that was filled with parameters, with one slash at its beginning. With `//` it would name a host for many
/// URL parsers; that happens where a value is empty, or begins with a slash.
pub(crate) fn with_one_slash(path: String) -> String {
    match path.strip_prefix("//") {
        Some(rest) => format!("/{}", rest.trim_start_matches('/')),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_have_one_normal_form() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/", "/a/"),
            ("//a///b", "/a/b"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/../../a", "/a"),
            ("/a/.", "/a/"),
            ("/%61%2e%7E", "/a.~"),
            ("/a/%2e%2E/b", "/b"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%20b", "/a%20b"),
            ("/%252e%252e/a", "/%252e%252e/a"),
            ("/.hidden", "/.hidden"),
            ("/a/...", "/a/..."),
            ("/a;..", "/a;.."),
            ("/a..;/b", "/a..;/b"),
            ("/...;/a", "/...;/a"),
            ("/.a;b/c", "/.a;b/c"),
            ("/;/a", "/;/a"),
        ] {
            assert_eq!(normalize(path).as_deref(), Ok(normal), "{path}");
        }
    }

    #[test]
    fn paths_that_upstreams_read_in_different_ways_are_refused() {
        for (path, why) in [
            ("a", PathError::Relative),
            ("*", PathError::Relative),
            ("/a%2fb", PathError::EncodedSlash),
            ("/a%5Cb", PathError::EncodedSlash),
            ("/a\\b", PathError::EncodedSlash),
            ("/..;", PathError::DotParameter),
            ("/a/..;/b", PathError::DotParameter),
            ("/a/..;x=1/b", PathError::DotParameter),
            ("/a/.;/b", PathError::DotParameter),
            ("/a/%2e%2E;/b", PathError::DotParameter),
            ("/a/.%2e%3b/b", PathError::DotParameter),
            ("/a/..%3Bx/b", PathError::DotParameter),
            ("/a/..;/../b", PathError::DotParameter),
            ("/a%00", PathError::Control),
            ("/a%0d%0aX", PathError::Control),
            ("/a%", PathError::BadEscape),
            ("/a%4", PathError::BadEscape),
            ("/a%zz", PathError::BadEscape),
            ("/a b", PathError::Unencoded),
            ("/é", PathError::Unencoded),
            ("/a\"b", PathError::Unencoded),
        ] {
            assert_eq!(normalize(path), Err(why), "{path}");
        }
    }

    #[test]
    fn a_route_may_keep_its_slashes() {
        let [both, encoded, unmerged] = PathOptions::LENIENT;
        for (path, options, normal) in [
            ("/@a%2fb/-//c", both, Ok("/@a%2Fb/-//c")),
            ("/@a%2fb//c", encoded, Ok("/@a%2Fb/c")),
            ("/a//b//", unmerged, Ok("/a//b//")),
            ("//a//../b", unmerged, Ok("//a/b")),
            ("/a%2Fb", unmerged, Err(PathError::EncodedSlash)),
            ("/a%5cb", both, Err(PathError::EncodedSlash)),
            ("/a/..%2fb", both, Err(PathError::EncodedSlash)),
            ("/a/%2e%2E%2Fb", both, Err(PathError::EncodedSlash)),
            ("/a/b%2F.", both, Err(PathError::EncodedSlash)),
            ("/a%2F..;%2Fb", both, Err(PathError::DotParameter)),
            ("/a%2f%2e;x", encoded, Err(PathError::DotParameter)),
            ("//..;//b", unmerged, Err(PathError::DotParameter)),
        ] {
            assert_eq!(normalize_with(path, options).map(Cow::into_owned), normal.map(str::to_owned), "{path}");
        }
    }

    /// Whether an upstream that drops the parameters of segments would find a dot segment.
    fn has_dot_segment(normal: &str) -> bool {
        let dropped = |segment: &str| matches!(segment.replace("%3B", ";").split(';').next(), Some("." | ".."));
        normal.split('/').flat_map(|segment| segment.split("%2F")).any(dropped)
    }

    proptest! {
        #[test]
        fn a_kept_path_stays_as_it_is(path in "/([a-z.%/;~]|%2[fF]|%2e|%3[bB]){0,20}", which in 0..3_usize) {
            let options = PathOptions::LENIENT[which];
            if let Ok(normal) = normalize_with(&path, options) {
                let again = normalize_with(&normal, options);
                prop_assert_eq!(again.as_deref(), Ok(&*normal));
                prop_assert!(!has_dot_segment(&normal), "{}", normal);
            }
        }

        #[test]
        fn a_normal_path_stays_as_it_is(path in "/[a-z.%/0-9A-F;~ -]{0,40}") {
            if let Ok(normal) = normalize(&path) {
                let again = normalize(&normal);
                prop_assert_eq!(again.as_deref(), Ok(&*normal));
                prop_assert!(!normal.contains("//"));
                prop_assert!(!has_dot_segment(&normal), "{}", normal);
            }
        }

        #[test]
        fn no_path_makes_it_panic(path in "\\PC*") {
            let _ = normalize(&path);
        }
    }
}
