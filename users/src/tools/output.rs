//! Prints for people and for programs. A reader that has seen enough (`users list | head`) ends the output, and is no
//! failure.

use std::io::{self, BufWriter, StdoutLock, Write};

use chassis::config::StartError;
use serde::Serialize;

/// How wide the names of fields are, in `users show`.
const FIELD_WIDTH: usize = 12;

/// The standard output. What failed is kept until the end.
pub(super) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    outcome: io::Result<()>,
}

impl Output {
    pub(super) fn stdout() -> Self {
        Self { out: BufWriter::new(io::stdout().lock()), outcome: Ok(()) }
    }

    /// Prints a line as it is.
    pub(super) fn line(&mut self, line: &str) {
        self.print(|out| writeln!(out, "{line}"));
    }

    /// Prints a name, and a value that may be anything.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        self.line(&format!("{name:FIELD_WIDTH$}{}", visible(value)));
    }

    /// Prints JSON on a line of its own.
    pub(super) fn json(&mut self, value: &impl Serialize) {
        self.print(|out| {
            serde_json::to_writer(&mut *out, value)?;
            out.write_all(b"\n")
        });
    }

    /// Whether nothing can be printed any more.
    pub(super) const fn is_closed(&self) -> bool {
        self.outcome.is_err()
    }

    /// Prints what is left.
    ///
    /// # Errors
    /// Something could not be printed, although there is a reader.
    pub(super) fn end(mut self) -> Result<(), StartError> {
        self.print(Write::flush);
        match self.outcome {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(StartError::failed(format!("cannot write the output: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn print(&mut self, write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>) {
        if self.outcome.is_ok() {
            self.outcome = write(&mut self.out);
        }
    }
}

/// A table that is printed in parts. Its columns become wider when they must, and never narrower.
pub(super) struct Table<const COLUMNS: usize> {
    header: Option<[&'static str; COLUMNS]>,
    widths: [usize; COLUMNS],
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new(header: [&'static str; COLUMNS]) -> Self {
        Self { header: Some(header), widths: header.map(str::len) }
    }

    /// Prints rows, and the header before the first of them.
    pub(super) fn print(&mut self, rows: Vec<[String; COLUMNS]>, out: &mut Output) {
        let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| visible(&cell))).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if let Some(header) = self.header.take() {
            self.row(&header.map(str::to_owned), out);
        }
        rows.iter().for_each(|row| self.row(row, out));
    }

    fn row(&self, cells: &[String; COLUMNS], out: &mut Output) {
        let padded: Vec<String> = cells.iter().zip(self.widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.line(padded.join("  ").trim_end());
    }
}

/// A text in which every character shows, and none controls the terminal: an escape sequence in a name could change what
/// is on the screen, and a character that turns the direction of writing could make one name look like another.
pub(super) fn visible(text: &str) -> String {
    text.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_controls_the_terminal() {
        for (text, expected) in [
            ("Ann O'Brien \"Annie\"", "Ann O'Brien \"Annie\""),
            ("Zoë Ωmega 安", "Zoë Ωmega 安"),
            ("zoe\u{308}", "zoe\u{308}"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{202e}nimda", "\\u{202e}nimda"),
            ("a\u{200b}b\u{2028}c\r\n", "a\\u{200b}b\\u{2028}c\\r\\n"),
            ("a\\u{1b}", "a\\\\u{1b}"),
            ("\\'", "\\\\'"),
        ] {
            assert_eq!(visible(text), expected, "{text:?}");
        }
    }
}
