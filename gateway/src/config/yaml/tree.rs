//! The YAML as a tree in which every value knows its place, with variables substituted. Knows no keys.

use std::{borrow::Cow, fmt::Display};

use chassis::config::Lookup;
use saphyr::{MarkedYaml, YamlData, YamlLoader};
use saphyr_parser::{Parser, ScalarStyle, Span};

use super::{
    bounds,
    mistake::{Mistakes, Place},
};

/// A value of the file.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// The path to it: `routes[3].auth`.
    pub(crate) path: String,
    pub(crate) value: Value,
}

/// What a value can be. Scalars stay text: the key decides how they are parsed.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Name, Node)>),
    /// A value that could not be read, such as a variable that is not set. That has been reported, and nothing else is
    /// to be said about the value.
    Unreadable,
}

/// A key of a mapping, as it stands in the file.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) place: Place,
    pub(crate) text: String,
}

/// Parses one document and substitutes `${NAME}` and `${NAME:-default}` inside its scalars: after parsing, so that no
/// variable can add structure.
///
/// Returns `None` where the text is not a YAML document. Other mistakes, such as a missing variable, leave the tree usable.
pub(crate) fn parse(source: &str, lookup: Lookup<'_>, mistakes: &Mistakes) -> Option<Node> {
    if let Err(exceeded) = bounds::check(source) {
        mistakes.report(place_of(exceeded.span), "", exceeded.message);
        return None;
    }
    let mut parser = Parser::new_from_str(source);
    let mut loader: YamlLoader<'_, MarkedYaml<'_>> = YamlLoader::default();
    loader.early_parse(false);
    let parsed = parser.load(&mut loader, true);
    if let Some(error) = parsed.as_ref().err().or(loader.error()) {
        let place = Place { line: error.marker().line(), column: error.marker().col() + 1, width: 1 };
        let in_flow = error.info().contains("flow mapping");
        let help =
            in_flow.then(|| "a value with `{`, `}`, `,` or `: ` in it needs quotes: \"GET /users/{id}\"".to_owned());
        mistakes.report_with_help(place, "", format_args!("this is not valid YAML: {}", error.info()), help);
        return None;
    }
    let documents = loader.into_documents();
    let [document] = documents.as_slice() else {
        let place = Place { line: 1, column: 1, width: 1 };
        mistakes.report(place, "", format_args!("expected one YAML document, found {}", documents.len()));
        return None;
    };
    Some(Builder { lookup, mistakes }.node(document, String::new()))
}

struct Builder<'a> {
    lookup: Lookup<'a>,
    mistakes: &'a Mistakes,
}

impl Builder<'_> {
    fn node(&self, yaml: &MarkedYaml<'_>, path: String) -> Node {
        let place = place_of(yaml.span);
        let value = match &yaml.data {
            YamlData::Representation(text, ScalarStyle::Plain, _) if is_null(text) => Value::Null,
            YamlData::Representation(text, _, _) => self.substitute(text, place, &path),
            YamlData::Sequence(items) => Value::Sequence(
                items.iter().enumerate().map(|(index, item)| self.node(item, format!("{path}[{index}]"))).collect(),
            ),
            YamlData::Mapping(entries) => {
                Value::Mapping(entries.iter().map(|(key, value)| self.entry(key, value, &path)).collect())
            }
            YamlData::Tagged(_, inner) => return self.node(inner, path),
            YamlData::Value(_) | YamlData::Alias(_) | YamlData::BadValue => {
                self.mistakes.report(place, &path, "this value cannot be read");
                Value::Unreadable
            }
        };
        Node { place, path, value }
    }

    fn entry(&self, key: &MarkedYaml<'_>, value: &MarkedYaml<'_>, path: &str) -> (Name, Node) {
        let place = place_of(key.span);
        let text = match &key.data {
            YamlData::Representation(text, _, _) => text.clone().into_owned(),
            YamlData::Value(_)
            | YamlData::Sequence(_)
            | YamlData::Mapping(_)
            | YamlData::Tagged(..)
            | YamlData::Alias(_)
            | YamlData::BadValue => {
                self.mistakes.report(place, path, "a key must be a single value");
                String::new()
            }
        };
        let below = if path.is_empty() { text.clone() } else { format!("{path}.{text}") };
        (Name { place, text }, self.node(value, below))
    }

    fn substitute(&self, text: &str, place: Place, path: &str) -> Value {
        match substituted(text, self.lookup) {
            Ok(text) => Value::Scalar(text.into_owned()),
            Err(message) => {
                self.mistakes.report(place, path, message);
                Value::Unreadable
            }
        }
    }
}

fn place_of(span: Span) -> Place {
    let on_one_line = span.start.line() == span.end.line();
    let width = if on_one_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    Place { line: span.start.line(), column: span.start.col() + 1, width: width.max(1) }
}

/// The core schema of YAML 1.2, section 10.3.2.
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn substituted<'a>(text: &'a str, lookup: Lookup<'_>) -> Result<Cow<'a, str>, String> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, behind) = after.split_once('}').ok_or("`${` without its `}`")?;
        let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
        let value = lookup(name).or_else(|| default.map(str::to_owned));
        let value = value.ok_or_else(|| {
            format!("the environment variable {name} is not set; set it, or give a default: ${{{name}:-…}}")
        })?;
        result.push_str(before);
        result.push_str(&value);
        rest = behind;
    }
    result.push_str(rest);
    Ok(Cow::Owned(result))
}

impl Node {
    /// Reports a mistake in this value.
    pub(crate) fn report(&self, mistakes: &Mistakes, message: impl Display) {
        mistakes.report(self.place, &self.path, message);
    }

    /// Reports a mistake in this value, and what to do about it.
    pub(crate) fn report_with_help(&self, mistakes: &Mistakes, message: impl Display, help: String) {
        self.report_with_optional_help(mistakes, message, Some(help));
    }

    /// Reports a mistake in this value, and what to do about it, where there is a suggestion.
    pub(crate) fn report_with_optional_help(&self, mistakes: &Mistakes, message: impl Display, help: Option<String>) {
        mistakes.report_with_help(self.place, &self.path, message, help);
    }

    /// The text of a scalar.
    pub(crate) fn scalar(&self, mistakes: &Mistakes) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            Value::Unreadable => None,
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => {
                self.report(mistakes, format_args!("a single value is wanted here, not {}", self.kind()));
                None
            }
        }
    }

    /// The value of a scalar, parsed.
    pub(crate) fn parse<T, E: Display>(
        &self,
        mistakes: &Mistakes,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(self.scalar(mistakes)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.report(mistakes, error);
                None
            }
        }
    }

    /// The items of a list. A single scalar counts as a list of one.
    pub(crate) fn items(&self, mistakes: &Mistakes) -> Vec<&Self> {
        match &self.value {
            Value::Sequence(items) => items.iter().collect(),
            Value::Scalar(_) | Value::Unreadable => vec![self],
            Value::Null | Value::Mapping(_) => {
                self.report(mistakes, format_args!("a list is wanted here, not {}", self.kind()));
                Vec::new()
            }
        }
    }

    /// The entries of a mapping in which any name may stand.
    pub(crate) fn entries(&self, mistakes: &Mistakes) -> &[(Name, Self)] {
        match &self.value {
            Value::Mapping(entries) => entries,
            Value::Unreadable => &[],
            Value::Null | Value::Scalar(_) | Value::Sequence(_) => {
                self.report(mistakes, format_args!("`key: value` pairs are wanted here, not {}", self.kind()));
                &[]
            }
        }
    }

    /// Whether the value could not be read, which has been reported.
    pub(crate) const fn is_unreadable(&self) -> bool {
        matches!(self.value, Value::Unreadable)
    }

    /// Whether this is the word `off`.
    pub(crate) fn is_off(&self) -> bool {
        matches!(&self.value, Value::Scalar(text) if text == "off")
    }

    /// Whether this is a list with nothing in it.
    pub(crate) fn is_empty_list(&self) -> bool {
        matches!(&self.value, Value::Sequence(items) if items.is_empty())
    }

    const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Unreadable => "a value that cannot be read",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(source: &str) -> (Option<Node>, Vec<super::super::mistake::Mistake>) {
        let mistakes = Mistakes::default();
        let lookup = |name: &str| (name == "SET").then(|| "value: [1]".to_owned());
        let node = parse(source, &lookup, &mistakes);
        (node, mistakes.into_sorted(source))
    }

    #[test]
    fn a_variable_cannot_add_structure() {
        let (node, mistakes) = parsed("a: ${SET}\nb: x-${UNSET:-y}-z\nc: ${UNSET}\n");
        let Some(Node { value: Value::Mapping(entries), .. }) = node else { panic!("no mapping") };
        assert!(matches!(&entries[0].1.value, Value::Scalar(text) if text == "value: [1]"), "{entries:?}");
        assert!(matches!(&entries[1].1.value, Value::Scalar(text) if text == "x-y-z"), "{entries:?}");
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert_eq!((mistakes[0].place.line, mistakes[0].path.as_str()), (3, "c"));
    }

    #[test]
    fn broken_yaml_and_repeated_keys_have_a_place() {
        for (source, line) in [("a: [1,\nb: 2", 2), ("a: 1\na: 2\n", 2), ("a: \"x\n", 1)] {
            let (node, mistakes) = parsed(source);
            assert!(node.is_none(), "{source}");
            assert!(mistakes[0].place.line >= line, "{source}: {mistakes:?}");
        }
    }
}
