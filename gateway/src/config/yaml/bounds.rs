//! Refuses YAML that would need an unreasonable amount of memory or stack, before a tree is built from it. Knows no keys.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, Span};

/// Maximum depth of nesting. The deepest key of a configuration is at level eight.
const DEPTH_MAX: usize = 32;
/// Maximum number of values: 10,000 routes of 25 values each are 250,000. An alias counts as all values that it stands for,
/// so that a few lines of aliases (the "billion laughs") cannot expand to gigabytes.
const NODES_MAX: usize = 1_000_000;

/// A bound that a text exceeds, and where.
pub(crate) struct BoundExceeded {
    pub(crate) span: Span,
    pub(crate) message: String,
}

/// Checks a text. Invalid YAML passes: the parser reports it.
pub(crate) fn check(source: &str) -> Result<(), BoundExceeded> {
    let mut count = Count { sizes: HashMap::new(), open: vec![(0, 0)] };
    for (event, span) in Parser::new_from_str(source).map_while(Result::ok) {
        count.record(&event);
        let message = if count.open.len() > DEPTH_MAX {
            format!("this is nested deeper than {DEPTH_MAX} levels")
        } else if count.open.last().is_some_and(|(_, nodes)| *nodes > NODES_MAX) {
            format!("there are more than {NODES_MAX} values, counting those that aliases stand for")
        } else {
            continue;
        };
        return Err(BoundExceeded { span, message });
    }
    Ok(())
}

struct Count {
    /// The number of values that each anchor stands for.
    sizes: HashMap<usize, usize>,
    /// The open collections: the anchor of each, and the number of values in it so far.
    open: Vec<(usize, usize)>,
}

impl Count {
    fn record(&mut self, event: &Event<'_>) {
        match event {
            Event::Scalar(_, _, anchor, _) => {
                self.sizes.insert(*anchor, 1);
                self.add(1);
            }
            Event::Alias(anchor) => self.add(self.sizes.get(anchor).copied().unwrap_or(1)),
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => self.open.push((*anchor, 1)),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((anchor, nodes)) = self.open.pop() {
                    self.sizes.insert(anchor, nodes);
                    self.add(nodes);
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
    }

    fn add(&mut self, nodes: usize) {
        if let Some((_, open)) = self.open.last_mut() {
            *open = open.saturating_add(nodes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn a_billion_laughs_are_refused_and_a_few_are_not() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let below = format!("*a{}", level - 1);
            let _ = writeln!(laughs, "a{level}: &a{level} [{}]", vec![below; 10].join(", "));
        }
        assert!(check(&laughs).is_err_and(|why| why.message.contains("aliases")));
        assert!(check("a: &a [1, 2]\nb: [*a, *a]\n").is_ok());
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        for opened in ["[", "{a: ", "- ", "&x ["] {
            assert!(check(&opened.repeat(100)).is_err_and(|why| why.message.contains("nested")), "{opened}");
        }
        assert!(check(&format!("{}{}", "[".repeat(20), "]".repeat(20))).is_ok());
    }
}
