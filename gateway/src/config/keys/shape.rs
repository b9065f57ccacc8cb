//! How keys of the file are described: [`Section`], [`Key`], [`Shape`]. Knows no key in particular.
//!
//! A key is described once, in a [`section!`]. That makes two things of it: a constant, by which the decoder asks for the
//! value, and an entry in the list of the section, from which the JSON Schema and the reference are generated.

/// A mapping with a fixed set of keys.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its name in the JSON Schema.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) keys: &'static [KeyInfo],
}

/// The description of one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyInfo {
    pub(crate) name: &'static str,
    /// The name that the key had in an earlier version. It is refused, with a message that names the current one.
    pub(crate) former_name: Option<&'static str>,
    /// What the key is called in other gateways. It is refused, with a message that suggests this key.
    pub(crate) synonyms: &'static [&'static str],
    pub(crate) need: Need,
    pub(crate) shape: Shape,
    /// What the key means, in Markdown.
    pub(crate) about: &'static str,
}

/// Whether a key must be present, and what applies where it is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    /// Exactly one of the keys of the section that say this must be present; the others, in words.
    OneOf(&'static str),
    /// The default: YAML in backticks, or words.
    Default(&'static str),
    /// A key of a route: the same key of `defaults` applies, and where that is absent too, this default.
    Inherited(&'static str),
}

/// The form of a value. Every scalar may also contain a variable: `${NAME}`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Any scalar.
    Text,
    /// A scalar that matches this regular expression.
    Form(&'static str),
    /// A whole number in this range, both ends included.
    Whole(u64, u64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A list of values of this shape, with a minimum length. A single scalar counts as a list of one.
    List(&'static Self, usize),
    /// A mapping from any name to values of this shape, with a minimum size.
    Map(&'static Self, usize),
    /// A mapping with the keys of a section.
    Table(&'static Section),
    /// One of these shapes.
    Either(&'static [Self]),
    /// `null`, where that has a meaning.
    Null,
}

/// A key as the decoder uses it. `P` says how the value is decoded: [`Scalar`] or [`Subtree`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<P> {
    pub(crate) info: KeyInfo,
    pub(crate) parse: P,
}

/// The value is a scalar, and this function parses it.
pub(crate) type Scalar<T> = fn(&str) -> Result<T, String>;

/// The value is decoded by a function of its own, which gets the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subtree;

/// A kind of value that keys can have: its form for the schema together with its parser.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind<P> {
    pub(crate) shape: Shape,
    pub(crate) parse: P,
}

/// A value of this shape that is decoded by a function of its own.
pub(crate) const fn subtree(shape: Shape) -> Kind<Subtree> {
    Kind { shape, parse: Subtree }
}

impl Section {
    /// Whether a key of this name exists.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }
}

/// A key that must be present.
pub(crate) const fn required<P: Copy>(name: &'static str, kind: Kind<P>, about: &'static str) -> Key<P> {
    key(name, Need::Required, kind, about)
}

/// A key of which the section has exactly one, this or another.
pub(crate) const fn one_of<P: Copy>(
    name: &'static str,
    others: &'static str,
    kind: Kind<P>,
    about: &'static str,
) -> Key<P> {
    key(name, Need::OneOf(others), kind, about)
}

/// A key that may be absent.
pub(crate) const fn optional<P: Copy>(
    name: &'static str,
    default: &'static str,
    kind: Kind<P>,
    about: &'static str,
) -> Key<P> {
    key(name, Need::Default(default), kind, about)
}

/// A key of routes that `defaults` has too.
pub(crate) const fn inherited<P: Copy>(
    name: &'static str,
    default: &'static str,
    kind: Kind<P>,
    about: &'static str,
) -> Key<P> {
    key(name, Need::Inherited(default), kind, about)
}

const fn key<P: Copy>(name: &'static str, need: Need, kind: Kind<P>, about: &'static str) -> Key<P> {
    Key { info: KeyInfo { name, former_name: None, synonyms: &[], need, shape: kind.shape, about }, parse: kind.parse }
}

impl<P: Copy> Key<P> {
    /// The same key, which had this name in an earlier version.
    pub(crate) const fn formerly(self, name: &'static str) -> Self {
        Self { info: KeyInfo { former_name: Some(name), ..self.info }, parse: self.parse }
    }

    /// The same key, which has these names in other gateways.
    pub(crate) const fn elsewhere(self, names: &'static [&'static str]) -> Self {
        Self { info: KeyInfo { synonyms: names, ..self.info }, parse: self.parse }
    }
}

/// Describes a section: makes a type with an associated constant for each key, and `SECTION`, which lists all of them.
///
/// `NAME: Scalar<Duration> = optional(…);` describes a key; `NAME;` lists one that is described outside, because several
/// sections have it. The list holds a copy of each description rather than the constant, so that the compiler reports a key
/// that no decoder asks for as dead code.
macro_rules! section {
    (@info $key:ident) => { $key.info };
    (@info $key:ident $make:expr) => { $make.info };
    ($keys:ident ($name:literal, $about:literal) { $($key:ident $(: $parse:ty = $make:expr)?;)+ }) => {
        #[doc = $about]
        pub(crate) enum $keys {}

        impl $keys {
            $($(pub(crate) const $key: Key<$parse> = $make;)?)+

            pub(crate) const SECTION: Section =
                Section { name: $name, about: $about, keys: &[$(section!(@info $key $($make)?)),+] };
        }
    };
}

pub(crate) use section;
