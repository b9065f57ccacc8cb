//! A mapping that is being decoded: values are asked for by the constants that describe the keys. Knows what a section is, but
//! no section in particular.

use super::{
    mistake::{Mistakes, most_similar},
    tree::{Name, Node, Value},
};
use crate::config::keys::shape::{Key, KeyInfo, Need, Scalar, Section};

impl Node {
    /// A mapping with the keys of a section. All other keys are reported as mistakes.
    pub(crate) fn table<'a>(&'a self, section: &'static Section, mistakes: &'a Mistakes) -> Table<'a> {
        let table = Table { node: self, entries: self.entries(mistakes), section, mistakes };
        table.refuse_unknown_keys();
        table
    }

    /// Whether this is a mapping in which `key` has a value. Where a section has two forms, this tells which one it is.
    pub(crate) fn has<P>(&self, key: &Key<P>) -> bool {
        matches!(&self.value, Value::Mapping(entries) if value_of(entries, key.info.name).is_some())
    }
}

/// `key:` with nothing after it counts as absent.
fn value_of<'a>(entries: &'a [(Name, Node)], name: &str) -> Option<&'a Node> {
    let (_, node) = entries.iter().find(|(key, _)| key.text == name)?;
    (!matches!(node.value, Value::Null)).then_some(node)
}

/// A mapping that is being decoded. Values are asked for by the constants that describe the keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    node: &'a Node,
    entries: &'a [(Name, Node)],
    section: &'static Section,
    mistakes: &'a Mistakes,
}

impl<'a> Table<'a> {
    /// The value of a scalar key. `None` where it is absent; where it is required or cannot be parsed, that is reported.
    pub(crate) fn get<T>(&self, key: &Key<Scalar<T>>) -> Option<T> {
        self.node(key)?.parse(self.mistakes, key.parse)
    }

    /// The node of a key. `None` where it is absent; where it is required, that is reported.
    pub(crate) fn node<P>(&self, key: &Key<P>) -> Option<&'a Node> {
        let found = self.find(key);
        // A node that is not even a mapping has been reported already, and so has a key that was written differently.
        let is_wanted = key.info.need == Need::Required && matches!(self.node.value, Value::Mapping(_));
        if found.is_none() && is_wanted && !self.is_misspelled(key) {
            self.node.report(self.mistakes, format_args!("`{}` is missing", key.info.name));
        }
        found
    }

    /// Whether the section has this key, which differs between the forms of a value.
    pub(crate) fn may_have<P>(&self, key: &Key<P>) -> bool {
        self.section.has(key.info.name)
    }

    /// The node of a key. `None` where it is absent, which is never reported.
    pub(crate) fn find<P>(&self, key: &Key<P>) -> Option<&'a Node> {
        debug_assert!(self.section.has(key.info.name), "{} is not a key of {}", key.info.name, self.section.name);
        value_of(self.entries, key.info.name)
    }

    /// Whether an unknown key stands in the place of this one. That has been reported, with this key as the suggestion.
    pub(crate) fn is_misspelled<P>(&self, key: &Key<P>) -> bool {
        let mut intended = self.unknown().filter_map(|(name, _)| intended(&name.text, self.section.keys));
        intended.any(|other| other.name == key.info.name)
    }

    fn unknown(&self) -> impl Iterator<Item = &'a (Name, Node)> {
        let section = self.section;
        self.entries.iter().filter(move |(name, _)| !section.has(&name.text))
    }

    fn refuse_unknown_keys(&self) {
        for (name, node) in self.unknown() {
            let (message, help) = refusal(&name.text, self.section.keys);
            self.mistakes.report_with_help(name.place, &node.path, message, Some(help));
        }
    }
}

/// The message about an unknown key, and what to do about it.
fn refusal(name: &str, keys: &[KeyInfo]) -> (String, String) {
    let unknown = format!("there is no key `{name}`");
    match intended(name, keys) {
        Some(key) if key.former_name == Some(name) => {
            (format!("the key `{name}` has been renamed to `{}`", key.name), format!("write `{}`", key.name))
        }
        Some(key) => (unknown, format!("did you mean `{}`?", key.name)),
        None => {
            let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
            (unknown, format!("known here: {}", known.join(", ")))
        }
    }
}

/// The key that was probably meant by an unknown one: its former name, its name in other gateways, or one that is
/// similar.
fn intended<'k>(name: &str, keys: &'k [KeyInfo]) -> Option<&'k KeyInfo> {
    let by_other_name = keys.iter().find(|key| key.former_name == Some(name) || key.synonyms.contains(&name));
    by_other_name.or_else(|| {
        let similar = most_similar(name, keys.iter().map(|key| key.name))?;
        keys.iter().find(|key| key.name == similar)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        keys::{
            shape::{Shape, Subtree, optional, required, subtree},
            values::TEXT,
        },
        yaml::tree::parse,
    };

    const LISTEN: Key<Scalar<String>> = required("listen", TEXT, "").elsewhere(&["bind"]);
    const PEERS: Key<Subtree> = optional("peers", "none", subtree(Shape::Text), "").formerly("others");
    const SECTION: Section = Section { name: "s", about: "", keys: &[LISTEN.info, PEERS.info] };

    #[test]
    fn keys_that_do_not_exist_are_refused() {
        let source = "lissen: x\nother: y\nothers: z\n";
        let mistakes = Mistakes::default();
        let node = parse(source, &|_| None, &mistakes).unwrap();
        let table = node.table(&SECTION, &mistakes);
        assert!(table.find(&LISTEN).is_none() && table.node(&PEERS).is_none());
        let found = mistakes.into_sorted(source);
        let helps: Vec<_> = found.iter().map(|mistake| mistake.help.as_deref().unwrap()).collect();
        assert_eq!(helps, ["did you mean `listen`?", "known here: listen, peers", "write `peers`"]);
        assert_eq!(found[2].message, "the key `others` has been renamed to `peers`");
    }

    #[test]
    fn a_misspelled_key_is_not_missing_as_well() {
        for name in ["lissen", "bind"] {
            let mistakes = Mistakes::default();
            let node = parse(&format!("{name}: x\n"), &|_| None, &mistakes).unwrap();
            assert_eq!(node.table(&SECTION, &mistakes).get(&LISTEN), None, "{name}");
            let messages: Vec<_> = mistakes.into_sorted("").into_iter().map(|mistake| mistake.message).collect();
            assert_eq!(messages, [format!("there is no key `{name}`")]);
        }
    }

    #[test]
    fn a_required_key_that_is_missing_is_reported_once() {
        let mistakes = Mistakes::default();
        let node = parse("listen:\npeers: x\n", &|_| None, &mistakes).unwrap();
        let table = node.table(&SECTION, &mistakes);
        assert_eq!((table.get(&LISTEN), node.has(&LISTEN), node.has(&PEERS)), (None, false, true));
        let messages: Vec<_> = mistakes.into_sorted("").into_iter().map(|mistake| mistake.message).collect();
        assert_eq!(messages, ["`listen` is missing"]);
    }
}
