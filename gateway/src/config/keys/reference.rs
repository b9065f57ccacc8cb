//! The tables of keys for the documentation, in Markdown. Made from the descriptions of the keys alone.

use std::fmt::Write;

use super::{
    file::FILE,
    routes::{ROUTE, TEST},
    shape::{Need, Section, Shape},
};

/// Every key of the file: what is at the top, then what a route has, then what a test has.
pub fn reference() -> String {
    let mut text = String::new();
    for (title, section) in [("The file", &FILE), ("A route", &ROUTE), ("A test", &TEST)] {
        // Writing to a String cannot fail.
        let _ = write!(text, "### {title}\n\n| key | default | |\n|---|---|---|\n");
        rows(section, "", false, &mut text);
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// `instead` says that the value may have another form, in which other keys are required.
fn rows(section: &Section, prefix: &str, instead: bool, text: &mut String) {
    for key in section.keys {
        let name = format!("{prefix}{}", key.name);
        if text.contains(&format!("| `{name}` |")) && !prefix.is_empty() {
            // One of several forms of this table had it already.
            continue;
        }
        let default = match key.need {
            Need::Required if instead => "",
            Need::Required => "**required**",
            Need::Default(default) => default,
        };
        let _ = writeln!(text, "| `{name}` | {default} | {} |", key.about.replace('|', "\\|"));
        for (place, (below, section)) in tables(&key.shape).into_iter().enumerate() {
            if !(prefix == "defaults." && is_of_route(section)) {
                rows(section, &format!("{name}.{below}"), place > 0, text);
            }
        }
    }
}

/// The tables inside a value that are not described elsewhere.
fn tables(shape: &Shape) -> Vec<(&'static str, &'static Section)> {
    match shape {
        Shape::Table(section) => vec![("", section)],
        Shape::Map(Shape::Table(section), _) => vec![("NAME.", section)],
        Shape::Either(shapes) => shapes.iter().flat_map(tables).collect(),
        // Routes and tests have tables of their own.
        Shape::List(..)
        | Shape::Map(..)
        | Shape::Text
        | Shape::Form(_)
        | Shape::Whole(..)
        | Shape::Flag
        | Shape::Words(_)
        | Shape::Nothing => Vec::new(),
    }
}

/// What a route can have too is described there.
fn is_of_route(section: &Section) -> bool {
    ROUTE.keys.iter().flat_map(|key| tables(&key.shape)).any(|(_, known)| known.name == section.name)
}
