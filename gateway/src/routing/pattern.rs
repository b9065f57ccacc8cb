//! Path patterns: `/users/{id}` and `/files/{path...}`. Knows no requests.

use std::{fmt, str::FromStr};

use super::path;

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// Exactly this text.
    Literal(String),
    /// Any segment that is not empty, with the name of the parameter.
    Param(String),
    /// All remaining segments, possibly none, with the name of the parameter; only at the end.
    CatchAll(String),
}

/// A path with parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

impl Pattern {
    /// Returns the segments between the slashes.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the names of its parameters.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Param(name) | Segment::CatchAll(name) => Some(name.as_str()),
        })
    }

    /// Returns the segment that has the parameter of this name.
    pub(crate) fn segment_of(&self, parameter: &str) -> Option<usize> {
        self.segments.iter().position(|segment| match segment {
            Segment::Literal(_) => false,
            Segment::Param(name) | Segment::CatchAll(name) => name == parameter,
        })
    }

    /// Returns it as it is written in the configuration.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the values of its parameters in a path that it matches, in the order of [`names`](Self::names).
    pub(crate) fn captures<'p>(&self, path: &'p str) -> Vec<&'p str> {
        let mut captured = Vec::new();
        let mut rest = path.strip_prefix('/').unwrap_or(path);
        for segment in &self.segments {
            let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::Literal(_) => {}
                Segment::Param(_) => captured.push(head),
                Segment::CatchAll(_) => captured.push(rest),
            }
            rest = tail;
        }
        captured
    }

    /// Returns the decoded value of the parameter in this segment, in a path that it matches. `None` if the segment has no
    /// parameter, or its value is no text.
    pub(crate) fn value_at(&self, path: &str, segment: usize) -> Option<String> {
        let before = self.segments.get(..segment)?.iter().filter(|one| !matches!(one, Segment::Literal(_))).count();
        match self.segments.get(segment)? {
            Segment::Literal(_) => None,
            Segment::Param(_) | Segment::CatchAll(_) => path::decoded(self.captures(path).get(before)?),
        }
    }

    /// Returns the path with these values for its parameters.
    pub(crate) fn fill(&self, mut value_of: impl FnMut(&str) -> String) -> String {
        self.segments.iter().fold(String::new(), |mut path, segment| {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                Segment::Param(name) | Segment::CatchAll(name) => path.push_str(&value_of(name)),
            }
            path
        })
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('/').ok_or_else(|| format!("the path `{text}` must begin with `/`"))?;
        let segments = inner.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
        if let Some(at) = segments.iter().position(|segment| matches!(segment, Segment::CatchAll(_)))
            && at + 1 != segments.len()
        {
            return Err("`{name...}` matches all remaining segments, so that it must be the last one".to_owned());
        }
        let pattern = Self { text: text.to_owned(), segments };
        check_names(&pattern)?;
        check_literals(&pattern)?;
        Ok(pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        if text.contains(['{', '}']) {
            return Err(format!("`{text}`: a segment is a text, `{{name}}` or `{{name...}}`, and nothing in between"));
        }
        return Ok(Segment::Literal(text.to_owned()));
    };
    let (name, rest) = inner.strip_suffix("...").map_or((inner, false), |name| (name, true));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!("`{text}`: a name is made of letters, digits and `_`"));
    }
    let name = name.to_owned();
    Ok(if rest { Segment::CatchAll(name) } else { Segment::Param(name) })
}

fn check_names(pattern: &Pattern) -> Result<(), String> {
    let names: Vec<&str> = pattern.names().collect();
    match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        Some((_, name)) => Err(format!("the name `{name}` is given twice")),
        None => Ok(()),
    }
}

/// A literal that is not in normal form cannot match.
fn check_literals(pattern: &Pattern) -> Result<(), String> {
    let sample = pattern.fill(|_| "x".to_owned());
    match path::normalize(&sample) {
        Ok(normal) if normal == sample => Ok(()),
        Ok(normal) => Err(format!("the path is not in normal form, so that nothing would match it; write `{normal}`")),
        Err(error) => Err(error.detail().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::{
        condition::{Conditions, RouteQuery},
        entry::{Entry, Methods},
        table::{Lookup, Table},
    };

    #[test]
    fn patterns_capture_what_they_name() {
        let pattern: Pattern = "/files/{bucket}/{path...}".parse().unwrap();
        assert_eq!(pattern.names().collect::<Vec<_>>(), ["bucket", "path"]);
        assert_eq!(pattern.captures("/files/b/x/y"), ["b", "x/y"]);
        assert_eq!(pattern.captures("/files/b/"), ["b", ""]);
        assert_eq!(pattern.fill(|name| format!("<{name}>")), "/files/<bucket>/<path>");
    }

    #[test]
    fn the_value_of_a_parameter_is_decoded() {
        let pattern: Pattern = "/users/{id}/files/{path...}".parse().unwrap();
        for (path, segment, value) in [
            ("/users/7/files/a/b", 1, Some("7")),
            ("/users/a%20b%2Fc/files/", 1, Some("a b/c")),
            ("/users/7/files/a/%C3%A9", 3, Some("a/\u{e9}")),
            ("/users/7/files/", 3, Some("")),
            ("/users/%FF/files/", 1, None),
            ("/users/7/files/", 0, None),
            ("/users/7/files/", 4, None),
        ] {
            assert_eq!(pattern.value_at(path, segment).as_deref(), value, "{path} {segment}");
        }
    }

    #[test]
    fn patterns_that_cannot_match_are_refused() {
        for text in ["users", "/a//b", "/a/../b", "/a%2Fb", "/{a}/{a}", "/{a...}/b", "/x{a}", "/{}", "/{a b}", "/%61"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    proptest! {
        /// The parameters of a matched path, put into the pattern again, give the same path.
        #[test]
        fn nothing_of_a_matched_path_is_lost(
            pattern in prop_oneof![
                Just("/{a}"),
                Just("/x/{a}"),
                Just("/x/{a}/y/{b}"),
                Just("/x/{rest...}"),
                Just("/{a}/{b}/{rest...}"),
                Just("/{rest...}"),
            ],
            path in "(/[xyz%2F]{0,3}){0,5}/?",
        ) {
            let pattern: Pattern = pattern.parse().unwrap();
            let mut table = Table::default();
            let entry = Entry { methods: Methods::Any, conditions: Conditions::default(), route: () };
            table.insert(&pattern, entry).unwrap();
            if table.find(&RouteQuery::plain("GET", &path)) == Lookup::Found(()) {
                let mut captured = pattern.captures(&path).into_iter();
                let filled = pattern.fill(|_| captured.next().unwrap_or_default().to_owned());
                prop_assert_eq!(filled, if path.is_empty() { "/".to_owned() } else { path });
            }
        }
    }
}
