//! A mistake in the configuration, and how it is shown: its place, the line with a caret, a suggestion. Knows no YAML.

use std::{
    cell::RefCell,
    fmt::{self, Write},
};

/// A place in the file.
///
/// ```
/// use gateway::config::{Config, Place};
///
/// let mistakes = Config::load("version: 2", &|_| None).unwrap_err();
/// assert_eq!(mistakes[0].place, Place { line: 1, column: 1, width: 1 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The number of characters that carets underline.
    pub width: usize,
}

/// One mistake in a configuration. [`render`] shows it to people; an editor can use the fields.
///
/// ```
/// use gateway::config::Config;
///
/// let mistakes = Config::load("version: 1\nlissen: 127.0.0.1:8001\n", &|_| None).unwrap_err();
/// let mistake = mistakes.iter().find(|mistake| mistake.place.line == 2).unwrap();
/// assert_eq!(mistake.path, "lissen");
/// assert_eq!(mistake.message, "there is no key `lissen`");
/// assert_eq!(mistake.help.as_deref(), Some("did you mean `listen`?"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where the mistake is.
    pub place: Place,
    /// The path to the value: `routes[3].auth`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it, where there is a suggestion.
    pub help: Option<String>,
}

/// The mistakes of a file, collected while it is decoded. Shared by all decoders, which only ever add to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mistakes(RefCell<Vec<Mistake>>);

impl Mistakes {
    /// Reports a mistake.
    pub(crate) fn report(&self, place: Place, path: &str, message: impl fmt::Display) {
        self.report_with_help(place, path, message, None);
    }

    /// Reports a mistake, and what to do about it.
    pub(crate) fn report_with_help(&self, place: Place, path: &str, message: impl fmt::Display, help: Option<String>) {
        let mistake = Mistake { place, path: path.to_owned(), message: message.to_string(), help };
        self.0.borrow_mut().push(mistake);
    }

    /// Whether nothing has been reported.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// The mistakes in the order of their places. A place after the end of the text, as the parser reports it for what is
    /// missing there, becomes the end.
    pub(crate) fn into_sorted(self, source: &str) -> Vec<Mistake> {
        let mut mistakes = self.0.into_inner();
        let lines: Vec<usize> = source.lines().map(|line| line.chars().count()).collect();
        for Mistake { place, .. } in &mut mistakes {
            place.line = place.line.clamp(1, lines.len().max(1));
            let characters = lines.get(place.line - 1).copied().unwrap_or(0);
            place.column = place.column.clamp(1, characters + 1);
        }
        mistakes.sort_by_key(|mistake| mistake.place);
        mistakes
    }
}

/// Renders a mistake with its line of `source` and carets, as compilers do.
///
/// ```
/// use gateway::config::{Config, render};
///
/// let yaml = "version: 1\nlissen: 127.0.0.1:8001\n";
/// let mistakes = Config::load(yaml, &|_| None).unwrap_err();
/// let mistake = mistakes.iter().find(|mistake| mistake.place.line == 2).unwrap();
/// assert_eq!(
///     render(mistake, "gateway.yaml", yaml),
///     "\
/// gateway.yaml:2:1: lissen: there is no key `lissen`
///   |
/// 2 | lissen: 127.0.0.1:8001
///   | ^^^^^^ did you mean `listen`?"
/// );
/// ```
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
        let remaining = shown.chars().count().saturating_sub(column.saturating_sub(1));
        let carets = "^".repeat(width.clamp(1, remaining.max(1)));
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

/// A question for the known word that `word` resembles most.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    most_similar(word, known).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The known word that `word` resembles most.
pub(crate) fn most_similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Less similar words confuse more than they help; cargo and clap use a similar limit.
    const SIMILARITY_MIN: f64 = 0.75;
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity > SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// What to write instead of `word`: the known word that it resembles, or else all of them after `list_title`.
pub(crate) fn suggest(word: &str, known: &[&str], list_title: &str) -> String {
    did_you_mean(word, known.iter().copied()).unwrap_or_else(|| format!("{list_title}: {}", known.join(", ")))
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
