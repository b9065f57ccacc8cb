//! The tables of keys for `docs/configuration.md`, in Markdown. Generated from the descriptions of the keys alone.

use std::fmt::Write;

use super::{
    file::RootKeys,
    routes::{RouteKeys, TestKeys},
    shape::{KeyInfo, Need, Section, Shape},
};

/// The keys below this one are the defaults of routes and upstreams.
const DEFAULTS: &str = "defaults.";

/// The tables of every key, in Markdown: the top of the file, a route, a test.
///
/// ```
/// let tables = gateway::config::reference();
/// assert!(tables.contains("| `version` | **required** | Version of the format: `1` |"));
/// ```
pub fn reference() -> String {
    let mut text = String::new();
    for (title, section) in
        [("The file", &RootKeys::SECTION), ("A route", &RouteKeys::SECTION), ("A test", &TestKeys::SECTION)]
    {
        let mut rows = Vec::new();
        add_rows(section, "", false, &mut rows);
        // Writing to a String cannot fail.
        let _ = write!(text, "### {title}\n\n| key | default | meaning |\n|---|---|---|\n");
        for Row { path, default, about } in rows {
            let _ = writeln!(text, "| `{path}` | {default} | {} |", about.replace('|', "\\|"));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

struct Row {
    path: String,
    default: String,
    about: &'static str,
}

/// Adds a row for each key of a section and for all keys below it. `is_alternative` says that another form of the same value
/// has been described already.
fn add_rows(section: &Section, prefix: &str, is_alternative: bool, rows: &mut Vec<Row>) {
    for key in section.keys {
        let path = format!("{prefix}{}", key.name);
        if rows.iter().any(|row| row.path == path) {
            // Another form of the same value has this key too.
            continue;
        }
        rows.push(Row { default: default(key, &path, is_alternative), about: key.about, path: path.clone() });
        for (index, (infix, section)) in tables(&key.shape).into_iter().enumerate() {
            add_rows(section, &format!("{path}{infix}"), index > 0, rows);
        }
    }
}

fn default(key: &KeyInfo, path: &str, is_alternative: bool) -> String {
    match key.need {
        Need::Required if is_alternative => "–".to_owned(),
        Need::Required => "**required**".to_owned(),
        Need::OneOf(others) => format!("**this or {others}**"),
        Need::Inherited(_) if !path.starts_with(DEFAULTS) => format!("`{DEFAULTS}{path}`"),
        Need::Default(default) | Need::Inherited(default) => default.to_owned(),
    }
}

/// The sections that a value can have, each with what stands between the key and theirs. Routes and tests have tables of
/// their own.
fn tables(shape: &Shape) -> Vec<(String, &'static Section)> {
    let below = |infix: &str, shape: &Shape| {
        tables(shape).into_iter().map(|(rest, section)| (format!("{infix}{rest}"), section)).collect()
    };
    match shape {
        Shape::Table(section) if [RouteKeys::SECTION.name, TestKeys::SECTION.name].contains(&section.name) => {
            Vec::new()
        }
        Shape::Table(section) => vec![(".".to_owned(), section)],
        Shape::Map(value, _) => below(".NAME", value),
        Shape::List(item, _) => below("[]", item),
        Shape::Either(shapes) => shapes.iter().flat_map(tables).collect(),
        Shape::Text | Shape::Form(_) | Shape::Whole(..) | Shape::Flag | Shape::Words(_) | Shape::Null => Vec::new(),
    }
}
