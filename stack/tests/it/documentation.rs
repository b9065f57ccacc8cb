//! What docs/configuration.md must have: a row for every flag and variable of users, orders and the stack.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use clap::{Args, Command, CommandFactory, Parser};

const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

/// The text between backticks in the first cells of all tables.
fn documented() -> BTreeSet<&'static str> {
    let first_cells = DOCUMENTATION.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_flag_and_variable_of_the_services_has_a_row() {
    let documented = documented();
    let load = stack::load::Args::augment_args(Command::new("load"));
    for command in [users::Args::command(), orders::Args::command(), stack::Args::command(), load] {
        for argument in command.get_arguments() {
            let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            let flag = argument.get_long().map(|name| format!("--{name}"));
            if let Some(name) = variable.or(flag) {
                assert!(documented.contains(name.as_str()), "docs/configuration.md lacks a row for {name}");
            }
        }
    }
}

#[test]
fn every_secret_of_the_services_has_a_row() {
    let (names, documented) = (RefCell::new(BTreeSet::new()), documented());
    let lookup = |name: &str| {
        names.borrow_mut().insert(name.to_owned());
        None
    };
    users::Settings::from_args(&users::Args::parse_from(["users"]), &lookup).unwrap_err();
    orders::Settings::from_args(&orders::Args::parse_from(["orders"]), &lookup).unwrap_err();
    let load =
        stack::load::Args { url: "http://localhost".to_owned(), duration: Duration::ZERO, rate: 1, users: 1, ca: None };
    assert!(stack::load::Settings::from_args(&load, &lookup).is_err());
    let names = names.into_inner();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        // A secret may come from a file that `NAME_FILE` names.
        let secret = name.trim_end_matches("_FILE");
        let is_documented = documented.contains(name.as_str()) || documented.contains(secret);
        assert!(is_documented, "docs/configuration.md lacks a row for {name}");
    }
}
