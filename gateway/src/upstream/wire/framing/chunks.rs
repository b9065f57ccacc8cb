//! Follows a chunked body to its last byte (RFC 9112, section 7.1). Keeps no data, only its place in it.

/// Bytes of chunk extensions of one chunk, or of trailers: nobody reads them, so that only a flood has more.
const OVERHEAD_BYTES_MAX: usize = 16 * 1024;
/// Sixteen hexadecimal digits are the largest size that a `u64` holds.
const SIZE_DIGITS_MAX: usize = 16;

/// How far some bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All of them belong to the body, which goes on.
    More,
    /// This many belong to the body, which ends with them.
    End(usize),
    /// This many belong to the body; the next one cannot.
    Invalid(usize),
}

/// A place in a chunked body.
#[derive(Debug)]
pub(crate) struct Chunks {
    at: At,
    /// Data bytes that are left of this chunk.
    size: u64,
    /// Digits of the size, bytes of the extension or of the trailers so far.
    count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    LineStart,
    Trailer,
    TrailerLf,
    LastLf,
    End,
}

impl Chunks {
    /// Before the first chunk.
    pub(crate) const fn new() -> Self {
        Self { at: At::Size, size: 0, count: 0 }
    }

    /// Follows the body through these bytes.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Progress {
        let mut place = 0;
        while place < bytes.len() {
            if self.at == At::Data {
                place += self.skip_data(bytes.len() - place);
                continue;
            }
            let Some(next) = self.step(bytes[place]) else { return Progress::Invalid(place) };
            self.at = next;
            place += 1;
            if next == At::End {
                return Progress::End(place);
            }
        }
        Progress::More
    }

    fn skip_data(&mut self, at_hand: usize) -> usize {
        let skipped = usize::try_from(self.size).unwrap_or(usize::MAX).min(at_hand);
        self.size -= skipped as u64;
        if self.size == 0 {
            self.at = At::DataCr;
        }
        skipped
    }

    fn step(&mut self, byte: u8) -> Option<At> {
        match (self.at, byte) {
            (At::Size, b'\r') if self.count > 0 => Some(At::SizeLf),
            (At::Size, b';') if self.count > 0 => self.count_from_zero(At::Extension),
            (At::Size, b' ' | b'\t') if self.count > 0 => self.count_from_zero(At::SizeSpace),
            (At::Size, _) => self.digit(byte),
            (At::SizeSpace, b' ' | b'\t') => self.counted(At::SizeSpace),
            (At::SizeSpace, b';') => Some(At::Extension),
            (At::SizeSpace | At::Extension, b'\r') => Some(At::SizeLf),
            (At::Extension, _) if is_text(byte) => self.counted(At::Extension),
            (At::SizeLf, b'\n') if self.size == 0 => self.count_from_zero(At::LineStart),
            (At::SizeLf, b'\n') => Some(At::Data),
            (At::DataCr, b'\r') => Some(At::DataLf),
            (At::DataLf, b'\n') => self.count_from_zero(At::Size),
            (At::LineStart, b'\r') => Some(At::LastLf),
            (At::Trailer, b'\r') => Some(At::TrailerLf),
            (At::LineStart | At::Trailer, _) if is_text(byte) => self.counted(At::Trailer),
            (At::TrailerLf, b'\n') => Some(At::LineStart),
            (At::LastLf, b'\n') => Some(At::End),
            (
                At::SizeSpace
                | At::Extension
                | At::SizeLf
                | At::Data
                | At::DataCr
                | At::DataLf
                | At::LineStart
                | At::Trailer
                | At::TrailerLf
                | At::LastLf
                | At::End,
                _,
            ) => None,
        }
    }

    fn digit(&mut self, byte: u8) -> Option<At> {
        let digit = char::from(byte).to_digit(16)?;
        self.count += 1;
        self.size = (self.size << 4) | u64::from(digit);
        (self.count <= SIZE_DIGITS_MAX).then_some(At::Size)
    }

    fn count_from_zero(&mut self, next: At) -> Option<At> {
        self.count = 0;
        Some(next)
    }

    fn counted(&mut self, next: At) -> Option<At> {
        self.count += 1;
        (self.count <= OVERHEAD_BYTES_MAX).then_some(next)
    }
}

/// No control characters but the tabulator: a bare line feed ends a line for some readers and not for others.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_where_its_last_line_ends() {
        for (body, expected) in [
            ("0\r\n\r\n", Progress::End(5)),
            ("3\r\nabc\r\n0\r\n\r\nrest", Progress::End(13)),
            ("A;x=\"y\"\r\n0123456789\r\n00\r\nTrailer: 1\r\n\r\n", Progress::End(39)),
            ("3 \t;x\r\nabc\r\n", Progress::More),
            ("3\r\nab", Progress::More),
            ("", Progress::More),
        ] {
            assert_eq!(Chunks::new().follow(body.as_bytes()), expected, "{body:?}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_invalid() {
        for (body, at) in [
            ("\r\n", 0),
            (";x\r\n", 0),
            (" 3\r\n", 0),
            ("3\nabc", 1),
            ("0x3\r\n", 1),
            ("-1\r\n", 0),
            ("3 3\r\n", 2),
            ("3;a\nb\r\n", 3),
            ("3\r\nabcd\r\n", 6),
            ("3\r\nabc\n", 6),
            ("00000000000000003\r\n", 16),
            ("0\r\nA: b\nC", 7),
            ("0\r\n\r0", 4),
        ] {
            assert_eq!(Chunks::new().follow(body.as_bytes()), Progress::Invalid(at), "{body:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_have_a_limit() {
        let long = "a".repeat(OVERHEAD_BYTES_MAX + 1);
        for body in [format!("3;{long}"), format!("0\r\n{long}"), format!("3{}", " ".repeat(OVERHEAD_BYTES_MAX + 2))] {
            assert!(matches!(Chunks::new().follow(body.as_bytes()), Progress::Invalid(_)), "{}", &body[..5]);
        }
    }
}
