//! The one normal form of a path (RFC 3986, section 6.2.2). What is matched is what is forwarded. Knows no routes.

use std::borrow::Cow;

/// Why a path has no normal form. All of them are answered 400: guessing is how filters are passed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with `/`.
    Relative,
    /// `%` without two hexadecimal digits.
    BadEscape,
    /// `%2F`, `%5C` or `\`: upstreams disagree about whether these separate segments.
    EncodedSlash,
    /// `%00` or another control character.
    Control,
    /// A character that must be percent-encoded (RFC 3986, section 2).
    Unencoded,
}

impl PathError {
    /// What the client is told.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Relative => "the path must begin with `/`",
            Self::BadEscape => "the path has a `%` that is not followed by two hexadecimal digits",
            Self::EncodedSlash => "the path has an encoded slash or a backslash",
            Self::Control => "the path has a control character",
            Self::Unencoded => "the path has a character that must be percent-encoded",
        }
    }
}

/// Decodes unreserved characters, writes hexadecimal digits in upper case, removes dot segments and empty segments.
///
/// # Errors
/// See [`PathError`].
pub fn normalize(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::Relative);
    }
    if is_normal(path) {
        return Ok(Cow::Borrowed(path));
    }
    Ok(Cow::Owned(remove_dot_segments(&decode_unreserved(path)?)))
}

/// The common case, in which there is nothing to do.
fn is_normal(path: &str) -> bool {
    path.bytes().all(|byte| is_path_byte(byte) && byte != b'%') && !path.contains("//") && !path.contains("/.")
}

fn decode_unreserved(path: &str) -> Result<String, PathError> {
    let mut decoded = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let (Some(high), Some(low)) = (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit)) else {
                return Err(PathError::BadEscape);
            };
            push_escape(&mut decoded, high * 16 + low)?;
        } else {
            check(byte)?;
            decoded.push(char::from(byte));
        }
    }
    Ok(decoded)
}

fn push_escape(decoded: &mut String, byte: u8) -> Result<(), PathError> {
    match byte {
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

/// Section 5.2.4; empty segments go too, except a last one: `/x/` is not `/x`.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in path.split('/').skip(1) {
        ends_open = matches!(segment, "" | "." | "..");
        match segment {
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
            ("/..;/a", "/..;/a"),
        ] {
            assert_eq!(normalize(path).as_deref(), Ok(normal), "{path}");
        }
    }

    #[test]
    fn paths_that_upstreams_would_read_differently_are_refused() {
        for (path, why) in [
            ("a", PathError::Relative),
            ("*", PathError::Relative),
            ("/a%2fb", PathError::EncodedSlash),
            ("/a%5Cb", PathError::EncodedSlash),
            ("/a\\b", PathError::EncodedSlash),
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

    proptest! {
        #[test]
        fn a_normal_path_stays_as_it_is(path in "/[a-z.%/0-9A-F;~ -]{0,40}") {
            if let Ok(normal) = normalize(&path) {
                let again = normalize(&normal);
                prop_assert_eq!(again.as_deref(), Ok(&*normal));
                prop_assert!(!normal.contains("//"));
                prop_assert!(!normal.split('/').any(|segment| segment == "." || segment == ".."));
            }
        }

        #[test]
        fn no_path_makes_it_panic(path in "\\PC*") {
            let _ = normalize(&path);
        }
    }
}
