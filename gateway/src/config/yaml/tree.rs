//! The YAML as a tree in which every value knows its place, with the environment substituted. Knows no gateway.

use std::{borrow::Cow, cell::RefCell, fmt::Display};

use chassis::config::Lookup;
use saphyr::{MarkedYaml, YamlData, YamlLoader};
use saphyr_parser::{Parser, ScalarStyle, Span};

use super::{
    bounds,
    mistake::{Mistakes, Place, did_you_mean},
};
use crate::config::keys::shape::Section;

/// A value of the file.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// The way to it: `routes[3].auth`.
    pub(crate) path: String,
    pub(crate) value: Value,
}

/// What a value can be. Scalars stay text: each key knows what it wants.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: String,
}

/// Parses one document and substitutes `${NAME}` and `${NAME:-default}` inside its scalars: after parsing, so that no
/// variable can add structure.
///
/// # Errors
/// A text that is no YAML, with the place. A missing variable is noted in `mistakes` instead.
pub(crate) fn parse(source: &str, lookup: Lookup<'_>, mistakes: &mut Mistakes) -> Option<Node> {
    if let Err(too_much) = bounds::check(source) {
        mistakes.note(place_of(too_much.span), "", too_much.message);
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
        mistakes.note_with_help(place, "", format_args!("this is not valid YAML: {}", error.info()), help);
        return None;
    }
    let documents = loader.into_documents();
    let [document] = documents.as_slice() else {
        let place = Place { line: 1, column: 1, width: 1 };
        mistakes.note(place, "", format_args!("one YAML document is wanted, here are {}", documents.len()));
        return None;
    };
    Some(Builder { lookup, mistakes: RefCell::new(mistakes) }.node(document, String::new()))
}

struct Builder<'a> {
    lookup: Lookup<'a>,
    mistakes: RefCell<&'a mut Mistakes>,
}

impl Builder<'_> {
    fn node(&self, yaml: &MarkedYaml<'_>, path: String) -> Node {
        let place = place_of(yaml.span);
        let value = match &yaml.data {
            YamlData::Representation(text, ScalarStyle::Plain, _) if is_null(text) => Value::Null,
            YamlData::Representation(text, _, _) => Value::Scalar(self.substitute(text, place, &path)),
            YamlData::Sequence(items) => Value::Sequence(
                items.iter().enumerate().map(|(index, item)| self.node(item, format!("{path}[{index}]"))).collect(),
            ),
            YamlData::Mapping(entries) => {
                Value::Mapping(entries.iter().map(|(key, value)| self.entry(key, value, &path)).collect())
            }
            YamlData::Tagged(_, inner) => return self.node(inner, path),
            YamlData::Value(_) | YamlData::Alias(_) | YamlData::BadValue => {
                self.mistakes.borrow_mut().note(place, &path, "this value cannot be read");
                Value::Null
            }
        };
        Node { place, path, value }
    }

    fn entry(&self, key: &MarkedYaml<'_>, value: &MarkedYaml<'_>, path: &str) -> (Key, Node) {
        let place = place_of(key.span);
        let name = match &key.data {
            YamlData::Representation(text, _, _) => text.clone().into_owned(),
            YamlData::Value(_)
            | YamlData::Sequence(_)
            | YamlData::Mapping(_)
            | YamlData::Tagged(..)
            | YamlData::Alias(_)
            | YamlData::BadValue => {
                self.mistakes.borrow_mut().note(place, path, "a key must be a plain word");
                String::new()
            }
        };
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        (Key { place, name }, self.node(value, below))
    }

    fn substitute(&self, text: &str, place: Place, path: &str) -> String {
        match substituted(text, self.lookup) {
            Ok(text) => text.into_owned(),
            Err(message) => {
                self.mistakes.borrow_mut().note(place, path, message);
                text.to_owned()
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
    /// Notes a mistake in this value.
    pub(crate) fn wrong(&self, mistakes: &mut Mistakes, message: impl Display) {
        mistakes.note(self.place, &self.path, message);
    }

    /// The text of a scalar.
    pub(crate) fn text(&self, mistakes: &mut Mistakes) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => {
                self.wrong(mistakes, format_args!("a single value is wanted here, not {}", self.kind()));
                None
            }
        }
    }

    /// A scalar, parsed.
    pub(crate) fn parse<T, E: Display>(
        &self,
        mistakes: &mut Mistakes,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(mistakes)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(mistakes, error);
                None
            }
        }
    }

    /// The items of a list. A single scalar counts as a list of one.
    pub(crate) fn items(&self, mistakes: &mut Mistakes) -> Vec<&Self> {
        match &self.value {
            Value::Sequence(items) => items.iter().collect(),
            Value::Scalar(_) => vec![self],
            Value::Null | Value::Mapping(_) => {
                self.wrong(mistakes, format_args!("a list is wanted here, not {}", self.kind()));
                Vec::new()
            }
        }
    }

    /// The entries of a mapping whose keys are free.
    pub(crate) fn entries(&self, mistakes: &mut Mistakes) -> &[(Key, Self)] {
        match &self.value {
            Value::Mapping(entries) => entries,
            Value::Null | Value::Scalar(_) | Value::Sequence(_) => {
                self.wrong(mistakes, format_args!("`key: value` pairs are wanted here, not {}", self.kind()));
                &[]
            }
        }
    }

    /// A mapping whose keys are fixed.
    pub(crate) fn table(&self, section: &'static Section, mistakes: &mut Mistakes) -> Table<'_> {
        Table { node: self, entries: self.entries(mistakes), section, asked: Vec::new() }
    }

    /// Whether a key has a value; asks for nothing.
    pub(crate) fn has(&self, name: &str) -> bool {
        let Value::Mapping(entries) = &self.value else { return false };
        entries.iter().any(|(key, node)| key.name == name && !matches!(node.value, Value::Null))
    }

    const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

/// A mapping being decoded. The keys of its section are the keys that exist: [`Table::finish`] refuses the rest.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    node: &'a Node,
    entries: &'a [(Key, Node)],
    section: &'static Section,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The value of a key; `None` where it is absent or null.
    pub(crate) fn optional(&mut self, name: &'static str) -> Option<&'a Node> {
        self.asked.push(name);
        let found = self.entries.iter().find(|(key, _)| key.name == name)?;
        (!matches!(found.1.value, Value::Null)).then_some(&found.1)
    }

    /// The value of a key that must be there.
    pub(crate) fn required(&mut self, name: &'static str, mistakes: &mut Mistakes) -> Option<&'a Node> {
        let found = self.optional(name);
        // What is no mapping at all was noted once already.
        if found.is_none() && matches!(self.node.value, Value::Mapping(_)) {
            self.node.wrong(mistakes, format_args!("`{name}` is missing"));
        }
        found
    }

    /// Refuses the keys that do not exist.
    pub(crate) fn finish(self, mistakes: &mut Mistakes) {
        let known = || self.section.names();
        for (key, node) in self.entries.iter().filter(|(key, _)| !known().any(|name| name == key.name)) {
            let help = did_you_mean(&key.name, known())
                .or_else(|| Some(format!("known here: {}", known().collect::<Vec<_>>().join(", "))));
            mistakes.note_with_help(key.place, &node.path, format_args!("there is no key `{}`", key.name), help);
        }
        self.refuse_drift(mistakes);
    }

    /// A key that is described but not decoded, or decoded but not described, fails every test that reads a file.
    fn refuse_drift(&self, mistakes: &mut Mistakes) {
        let undescribed = self.asked.iter().filter(|asked| !self.section.names().any(|name| name == **asked));
        let undecoded = self.section.keys.iter().map(|key| &key.name).filter(|name| !self.asked.contains(name));
        for name in undescribed.chain(undecoded) {
            let section = self.section.name;
            self.node.wrong(mistakes, format_args!("a bug: `{name}` of `{section}` is not both described and decoded"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::shape::{Shape, required};

    fn parsed(source: &str) -> (Option<Node>, Vec<super::super::mistake::Mistake>) {
        let mut mistakes = Mistakes::default();
        let lookup = |name: &str| (name == "SET").then(|| "value: [1]".to_owned());
        let node = parse(source, &lookup, &mut mistakes);
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

    #[test]
    fn keys_that_do_not_exist_are_refused() {
        const SECTION: Section = Section { name: "s", about: "", keys: &[required("listen", Shape::Text, "")] };
        let mut mistakes = Mistakes::default();
        let node = parse("lissen: x\nother: y\n", &|_| None, &mut mistakes).unwrap();
        let mut table = node.table(&SECTION, &mut mistakes);
        assert!(table.optional("listen").is_none());
        table.finish(&mut mistakes);
        let helps: Vec<_> =
            mistakes.into_sorted("lissen: x\nother: y\n").into_iter().map(|m| m.help.unwrap()).collect();
        assert_eq!(helps, ["did you mean `listen`?", "known here: listen"]);
    }
}
