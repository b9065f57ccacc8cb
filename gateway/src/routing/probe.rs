//! Sample paths that represent all paths, to compare two tables. There is one for each set of patterns that some path
//! matches at the same time: where two tables agree at all samples, they agree everywhere. Knows no routes.

use std::collections::BTreeSet;

use super::pattern::{Pattern, Segment};

/// Maximum number of paths. With parameters in many segments, the number of combinations grows exponentially.
const PATHS_MAX: usize = 100_000;

/// Returns one path for each set of these patterns that some path matches; `None` if there were too many.
pub(crate) fn paths<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> Option<Vec<String>> {
    let patterns: Vec<&[Segment]> = patterns.map(Pattern::segments).collect();
    let mut walk = Walk { unused: unused(&patterns), paths: Vec::new() };
    walk.step(&patterns, "").then_some(walk.paths)
}

/// Returns a segment that is a literal of no pattern.
fn unused(patterns: &[&[Segment]]) -> String {
    let literals: BTreeSet<&str> = patterns.iter().copied().flatten().filter_map(literal).collect();
    let mut unused = "~".to_owned();
    while literals.contains(unused.as_str()) {
        unused.push('~');
    }
    unused
}

const fn literal(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(text) => Some(text.as_str()),
        Segment::Param(_) | Segment::CatchAll(_) => None,
    }
}

struct Walk {
    unused: String,
    paths: Vec<String>,
}

impl Walk {
    /// Extends the path by one segment, in every way that makes a difference for the remaining patterns. `false` if
    /// there are too many paths.
    fn step(&mut self, patterns: &[&[Segment]], prefix: &str) -> bool {
        let firsts = || patterns.iter().filter_map(|segments| segments.first());
        let mut choices: BTreeSet<&str> = firsts().filter_map(literal).collect();
        let unused = self.unused.clone();
        if firsts().any(|segment| literal(segment).is_none()) {
            choices.insert(&unused);
        }
        if firsts().any(|segment| matches!(segment, Segment::CatchAll(_))) {
            choices.insert("");
        }
        choices.into_iter().all(|choice| self.choose(patterns, &format!("{prefix}/{choice}"), choice))
    }

    fn choose(&mut self, patterns: &[&[Segment]], path: &str, choice: &str) -> bool {
        let mut ends = false;
        let mut goes_on = false;
        let mut left: Vec<&[Segment]> = Vec::new();
        for segments in patterns {
            match segments.split_first() {
                Some((Segment::CatchAll(_), _)) => {
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
    fn every_combination_of_matches_has_a_path() {
        let patterns = parsed(&["/a/{x}", "/{y}/b", "/f/{p...}", "/"].map(str::to_owned));
        let paths = paths(patterns.iter()).unwrap();
        assert_eq!(paths, ["/", "/a/b", "/a/~", "/f/", "/f/b", "/f/~", "/~/b"]);
    }

    proptest! {
        /// What a table finds for any path, it finds for one of the samples.
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
