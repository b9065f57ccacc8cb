//! How the keys of the file are described: name, form, default, meaning. The decoder, the JSON Schema and the tables of
//! the documentation all come from the same descriptions. Knows no key in particular.

/// A mapping whose keys are fixed.
#[derive(Debug)]
pub(crate) struct Section {
    /// Names it in the JSON Schema.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [KeyInfo],
}

/// One key of a section.
#[derive(Debug)]
pub(crate) struct KeyInfo {
    pub(crate) name: &'static str,
    pub(crate) need: Need,
    pub(crate) shape: Shape,
    /// Markdown.
    pub(crate) about: &'static str,
}

/// Whether a key must be there, and what holds where it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    /// Left out, this holds; in words.
    Default(&'static str),
}

/// What a value may look like. Every scalar may also have a variable in it: `${NAME}`.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Any scalar.
    Text,
    /// A scalar that matches this regular expression.
    Form(&'static str),
    /// A whole number of this range.
    Whole(u64, u64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Several values of this shape, at least so many. A single scalar counts as a list of one.
    List(&'static Self, usize),
    /// Free names with values of this shape, at least so many.
    Map(&'static Self, usize),
    /// Fixed names.
    Table(&'static Section),
    /// One of these shapes.
    Either(&'static [Self]),
    /// Nothing, where nothing means something.
    Nothing,
}

impl Section {
    /// The names of its keys.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

/// A key that must be there.
pub(crate) const fn required(name: &'static str, shape: Shape, about: &'static str) -> KeyInfo {
    KeyInfo { name, need: Need::Required, shape, about }
}

/// A key that may be left out.
pub(crate) const fn optional(name: &'static str, default: &'static str, shape: Shape, about: &'static str) -> KeyInfo {
    KeyInfo { name, need: Need::Default(default), shape, about }
}
