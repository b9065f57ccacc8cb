//! Refuses YAML that would take more memory or stack than a configuration is worth, before a tree is made of it. Knows
//! no keys.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, Span};

/// The deepest key of a configuration is eight levels down.
const DEPTH_MAX: usize = 32;
/// 10,000 routes of 25 values are 250,000. Aliases count as what they stand for, so that a few lines of them (the
/// "billion laughs") cannot become gigabytes.
const NODES_MAX: usize = 1_000_000;

/// Why a text is refused, and where.
pub(crate) struct TooMuch {
    pub(crate) span: Span,
    pub(crate) message: String,
}

/// Checks a text. What is no YAML passes: that is for the parser to say.
pub(crate) fn check(source: &str) -> Result<(), TooMuch> {
    let mut count = Count { sizes: HashMap::new(), open: vec![(0, 0)] };
    for (event, span) in Parser::new_from_str(source).map_while(Result::ok) {
        count.take(&event);
        let message = if count.open.len() > DEPTH_MAX {
            format!("this is nested deeper than {DEPTH_MAX} levels")
        } else if count.open.last().is_some_and(|(_, nodes)| *nodes > NODES_MAX) {
            format!("these are more than {NODES_MAX} values, aliases counted as what they stand for")
        } else {
            continue;
        };
        return Err(TooMuch { span, message });
    }
    Ok(())
}

struct Count {
    /// How many values each anchor stands for.
    sizes: HashMap<usize, usize>,
    /// The collections that are open: the anchor of each, and how many values it has so far.
    open: Vec<(usize, usize)>,
}

impl Count {
    fn take(&mut self, event: &Event<'_>) {
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
