//! What docs/configuration.md must have: a row for every key of the YAML, and for every variable that the file of this stack
//! reads. The flags of the command line are tested beside its grammar.

use std::{cell::RefCell, collections::BTreeSet};

use gateway::config::{self, Config};
use serde_json::Value;

const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

/// The text between backticks in the first cells of all tables.
fn documented() -> BTreeSet<&'static str> {
    let first_cells = DOCUMENTATION.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// Adds the path of every key that this schema allows. Routes and tests have tables of their own, without a prefix.
fn add_keys(schema: &Value, root: &Value, prefix: &str, keys: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.trim_start_matches("#/$defs/");
        let prefix = if ["route", "test"].contains(&name) { "" } else { prefix };
        return add_keys(&root["$defs"][name], root, prefix, keys);
    }
    for (name, value) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if prefix.is_empty() { "" } else { "." };
        let path = format!("{prefix}{dot}{name}");
        keys.insert(path.clone());
        add_keys(value, root, &path, keys);
    }
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        add_keys(choice, root, prefix, keys);
    }
    if schema["additionalProperties"].is_object() {
        add_keys(&schema["additionalProperties"], root, &format!("{prefix}.NAME"), keys);
    }
    if schema["items"].is_object() {
        add_keys(&schema["items"], root, &format!("{prefix}[]"), keys);
    }
}

#[test]
fn every_key_has_a_row() {
    let (schema, documented) = (config::schema(), documented());
    let mut keys = BTreeSet::new();
    add_keys(&schema, &schema, "", &mut keys);
    assert!(keys.len() > 100 && keys.contains("defaults.timeout.connect"), "{keys:#?}");
    let missing: Vec<&String> = keys.iter().filter(|key| !documented.contains(key.as_str())).collect();
    assert!(
        missing.is_empty(),
        "put the output of `gateway schema --markdown` into docs/configuration.md: {missing:#?}"
    );
}

#[test]
fn every_variable_that_the_file_of_this_stack_reads_has_a_row() {
    let (names, documented) = (RefCell::new(BTreeSet::new()), documented());
    let lookup = |name: &str| {
        names.borrow_mut().insert(name.trim_end_matches("_FILE").to_owned());
        name.ends_with("_SERVICE_URL").then(|| "http://127.0.0.1:1".to_owned())
    };
    Config::load(gateway::STACK_YAML, &lookup).unwrap_err();
    let names = names.into_inner();
    assert!(names.contains("GATEWAY_JWT_SECRET") && names.contains("INTERNAL_KEY"), "{names:?}");
    let missing: Vec<&String> = names.iter().filter(|name| !documented.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/configuration.md lacks {missing:?}");
}
