//! No text makes `check` panic, and every mistake stands somewhere.

use gateway::config::render;
use proptest::prelude::*;

use super::mistakes;

/// Every mistake stands somewhere in the file, where an editor can show it, and can be rendered.
fn has_places(source: &str) {
    for mistake in mistakes(source) {
        let place = mistake.place;
        let lines = source.lines().count().max(1);
        assert!((1..=lines).contains(&place.line), "{mistake:?}\n{source}");
        let characters = source.lines().nth(place.line - 1).unwrap_or_default().chars().count();
        assert!((1..=characters + 1).contains(&place.column), "{mistake:?}\n{source}");
        assert!(render(&mistake, "g.yaml", source).contains(&mistake.message));
    }
}

#[test]
fn what_no_configuration_needs_is_refused_before_it_costs_memory() {
    for opened in ["[", "{a: ", "- ", "? ", "? - "] {
        assert!(mistakes(&opened.repeat(100))[0].message.contains("nested deeper"), "{opened}");
        // Where the parser itself gives up first, that is a mistake like any other.
        assert_eq!(mistakes(&opened.repeat(100_000)).len(), 1, "{opened}");
    }
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")));
    }
    assert!(mistakes(&laughs)[0].message.contains("more than 1000000 values"));
}

proptest! {
    #[test]
    fn no_text_makes_check_panic(source in "(\\PC|\n|\t|[\\[\\]{}:,&*!|>'\"%@`#-]|: |- |  ){0,200}") {
        has_places(&source);
    }

    /// The file of this stack with something cut out of it and something else in its place.
    #[test]
    fn no_change_of_a_good_file_makes_check_panic(
        at in 0..gateway::STACK_YAML.len(),
        cut in 0..60_usize,
        put in prop_oneof![
            "\\PC{0,12}",
            Just("\n".to_owned()),
            Just("{".to_owned()),
            Just("[".to_owned()),
            Just(": ".to_owned()),
            Just("${".to_owned()),
            Just("null".to_owned()),
            Just("{a: [b]}".to_owned()),
            Just("'*".to_owned()),
        ],
    ) {
        let characters: Vec<char> = gateway::STACK_YAML.chars().collect();
        let at = at.min(characters.len());
        let end = (at + cut).min(characters.len());
        let source: String = characters[..at].iter().copied().chain(put.chars()).chain(characters[end..].iter().copied()).collect();
        has_places(&source);
    }
}
