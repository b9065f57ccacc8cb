//! A mistake in the configuration, and how it is shown: its place, the line with a caret, a suggestion. Knows no YAML.

use std::fmt::{self, Write};

/// Where something stands in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters; the caret underlines so many.
    pub width: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub place: Place,
    /// The way to the value: `routes[3].auth`.
    pub path: String,
    pub message: String,
    /// What to do about it, where that can be guessed.
    pub help: Option<String>,
}

/// Everything that is wrong with a file, in the order of its lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Notes a mistake.
    pub(crate) fn note(&mut self, place: Place, path: &str, message: impl fmt::Display) {
        self.0.push(Mistake { place, path: path.to_owned(), message: message.to_string(), help: None });
    }

    /// Notes a mistake and what to do about it.
    pub(crate) fn note_with_help(
        &mut self,
        place: Place,
        path: &str,
        message: impl fmt::Display,
        help: Option<String>,
    ) {
        self.0.push(Mistake { place, path: path.to_owned(), message: message.to_string(), help });
    }

    /// Whether nothing is wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mistakes by line. A place behind the end of the text, as parsers give for what is missing there, becomes
    /// the end.
    pub(crate) fn into_sorted(mut self, source: &str) -> Vec<Mistake> {
        let lines: Vec<usize> = source.lines().map(|line| line.chars().count()).collect();
        for Mistake { place, .. } in &mut self.0 {
            place.line = place.line.clamp(1, lines.len().max(1));
            let characters = lines.get(place.line - 1).copied().unwrap_or(0);
            place.column = place.column.clamp(1, characters + 1);
        }
        self.0.sort_by_key(|mistake| mistake.place);
        self.0
    }
}

/// Shows a mistake with its line of `source`, as compilers do.
pub fn render(mistake: &Mistake, file: &str, source: &str) -> String {
    let Place { line, column, width } = mistake.place;
    let mut text = format!("{file}:{line}:{column}: ");
    if !mistake.path.is_empty() {
        let _ = write!(text, "{}: ", mistake.path);
    }
    text.push_str(&mistake.message);
    if let Some(shown) = source.lines().nth(line.saturating_sub(1)) {
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let rest = shown.chars().count().saturating_sub(column.saturating_sub(1));
        let carets = "^".repeat(width.clamp(1, rest.max(1)));
        let indent = " ".repeat(column.saturating_sub(1));
        let _ = write!(text, "\n{gutter} |\n{number} | {shown}\n{gutter} | {indent}{carets}");
        if let Some(help) = &mistake.help {
            let _ = write!(text, " {help}");
        }
    } else if let Some(help) = &mistake.help {
        let _ = write!(text, " ({help})");
    }
    text
}

/// The known word that `word` was probably meant to be.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // Under 0.75 suggestions are more puzzling than helpful; this is also where cargo and clap draw the line.
    const SIMILARITY_MIN: f64 = 0.75;
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity > SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_shown_with_its_line_and_a_caret() {
        let mistake = Mistake {
            place: Place { line: 2, column: 3, width: 4 },
            path: "routes[0].atuh".to_owned(),
            message: "there is no key `atuh`".to_owned(),
            help: did_you_mean("atuh", ["auth", "to"]),
        };
        assert_eq!(
            render(&mistake, "gateway.yaml", "routes:\n  atuh: public\n"),
            "gateway.yaml:2:3: routes[0].atuh: there is no key `atuh`\n  |\n2 |   atuh: public\n  |   ^^^^ did you mean `auth`?"
        );
    }

    #[test]
    fn nothing_is_suggested_for_a_word_unlike_all() {
        assert_eq!(did_you_mean("colour", ["auth", "to"]), None);
    }
}
