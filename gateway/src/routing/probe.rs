//! Paths that stand for all paths: one for each set of patterns that some path matches together, so that two tables can
//! be compared everywhere by looking at a few places. Knows no routes.

use std::collections::BTreeSet;

use super::pattern::{Pattern, Segment};

/// Patterns with parameters at many places could match together in more ways than anybody wants to wait for.
const PATHS_MAX: usize = 100_000;

/// One path for each set of these patterns that some path matches together; `None` where there would be too many.
pub(crate) fn paths<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> Option<Vec<String>> {
    let alive: Vec<&[Segment]> = patterns.map(Pattern::segments).collect();
    let mut walk = Walk { fresh: fresh(&alive), paths: Vec::new() };
    walk.step(&alive, "").then_some(walk.paths)
}

/// A segment that no pattern has as a literal.
fn fresh(patterns: &[&[Segment]]) -> String {
    let literals: BTreeSet<&str> = patterns.iter().copied().flatten().filter_map(literal).collect();
    let mut fresh = "~".to_owned();
    while literals.contains(fresh.as_str()) {
        fresh.push('~');
    }
    fresh
}

const fn literal(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(text) => Some(text.as_str()),
        Segment::Param(_) | Segment::Rest(_) => None,
    }
}

struct Walk {
    fresh: String,
    paths: Vec<String>,
}

impl Walk {
    /// Goes one segment further, in every way that makes a difference to what is left of the patterns. `false` once
    /// there are too many paths.
    fn step(&mut self, alive: &[&[Segment]], prefix: &str) -> bool {
        let firsts = || alive.iter().filter_map(|segments| segments.first());
        let mut choices: BTreeSet<&str> = firsts().filter_map(literal).collect();
        let fresh = self.fresh.clone();
        if firsts().any(|segment| literal(segment).is_none()) {
            choices.insert(&fresh);
        }
        if firsts().any(|segment| matches!(segment, Segment::Rest(_))) {
            choices.insert("");
        }
        choices.into_iter().all(|choice| self.choose(alive, &format!("{prefix}/{choice}"), choice))
    }

    fn choose(&mut self, alive: &[&[Segment]], path: &str, choice: &str) -> bool {
        let mut ends = false;
        let mut goes_on = false;
        let mut left: Vec<&[Segment]> = Vec::new();
        for segments in alive {
            match segments.split_first() {
                Some((Segment::Rest(_), _)) => {
                    ends = true;
                    left.push(segments);
                }
                Some((segment, tail)) if literal(segment).map_or(!choice.is_empty(), |text| text == choice) => {
                    ends |= tail.is_empty();
                    goes_on |= !tail.is_empty();
                    left.extend((!tail.is_empty()).then_some(tail));
                }
                Some(_) | None => {}
            }
        }
        if ends {
            self.paths.push(path.to_owned());
        }
        self.paths.len() <= PATHS_MAX && (!goes_on || self.step(&left, path))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::{
        condition::{Conditions, RouteQuery},
        entry::{Entry, Methods},
        table::{Lookup, Table},
    };

    fn parsed(texts: &[String]) -> Vec<Pattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn every_way_to_match_has_a_path() {
        let patterns = parsed(&["/a/{x}", "/{y}/b", "/f/{p...}", "/"].map(str::to_owned));
        let paths = paths(patterns.iter()).unwrap();
        assert_eq!(paths, ["/", "/a/b", "/a/~", "/f/", "/f/b", "/f/~", "/~/b"]);
    }

    proptest! {
        /// What a table finds at any path, it finds at one of the probes.
        #[test]
        fn no_route_is_out_of_reach_of_the_probes(
            texts in proptest::collection::btree_set("(/(a|b|\\{[xy]\\})){1,3}(/\\{r\\.\\.\\.\\})?", 1..6),
            path in "(/[abc]){1,4}/?",
        ) {
            let texts: Vec<String> = texts.into_iter().filter(|text| text.parse::<Pattern>().is_ok()).collect();
            let patterns = parsed(&texts);
            let mut table = Table::default();
            for (route, pattern) in patterns.iter().enumerate() {
                let entry = Entry { methods: Methods::Any, conditions: Conditions::default(), route };
                let _ = table.insert(pattern, entry);
            }
            let reached = |path: &str| table.find(&RouteQuery::plain("GET", path));
            let probes = paths(patterns.iter()).unwrap();
            let found = reached(&path);
            prop_assert!(found == Lookup::Unknown || probes.iter().any(|probe| reached(probe) == found), "{:?}", probes);
        }
    }
}
