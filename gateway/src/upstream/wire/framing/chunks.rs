//! Follows a chunked body to its last byte (RFC 9112, section 7.1). Stores no data, only its position. Strict: it
//! accepts no bare line feeds and no other leniencies, because two readers that are lenient in different ways find
//! different ends.

/// Maximum size of the extensions of one chunk, and of the trailers: 16 KiB. Nobody reads them.
const OVERHEAD_BYTES_MAX: usize = 16 * 1024;
/// Maximum number of digits of a chunk size: 16 hexadecimal digits are 64 bits.
const SIZE_DIGITS_MAX: usize = 16;

/// How far some bytes reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkProgress {
    /// All of them belong to the body, which is not complete.
    More,
    /// This many belong to the body, which ends with them.
    End(usize),
    /// This many belong to the body; the next one is invalid.
    Invalid(usize),
}

/// A position in a chunked body.
#[derive(Debug)]
pub(crate) struct ChunkedBody {
    position: Position,
    /// The remaining data bytes of this chunk.
    size: u64,
    /// The number of digits of the size, or of bytes of the extension or of the trailers so far.
    count: usize,
    /// The trailers as they are received; `None` where nobody wants them.
    trailers: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
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

impl Position {
    /// Returns whether the next byte belongs to the trailers or to the empty line after them.
    const fn is_in_trailers(self) -> bool {
        matches!(self, Self::LineStart | Self::Trailer | Self::TrailerLf | Self::LastLf)
    }
}

impl ChunkedBody {
    /// Before the first chunk.
    pub(crate) const fn new() -> Self {
        Self { position: Position::Size, size: 0, count: 0, trailers: None }
    }

    /// As [`new`](Self::new), and keeps the trailers, at most [`OVERHEAD_BYTES_MAX`].
    pub(crate) fn keeping_trailers() -> Self {
        Self { trailers: Some(Vec::new()), ..Self::new() }
    }

    /// Returns the trailers with the empty line after them, once the body has ended, if they were to be kept.
    pub(crate) fn into_trailers(self) -> Option<Vec<u8>> {
        self.trailers
    }

    /// Follows the body through these bytes.
    pub(crate) fn track(&mut self, bytes: &[u8]) -> ChunkProgress {
        let mut at = 0;
        while at < bytes.len() {
            if self.position == Position::Data {
                at += self.skip_data(bytes.len() - at);
                continue;
            }
            if let Some(trailers) = &mut self.trailers
                && self.position.is_in_trailers()
            {
                trailers.push(bytes[at]);
            }
            let Some(next) = self.step(bytes[at]) else { return ChunkProgress::Invalid(at) };
            self.position = next;
            at += 1;
            if next == Position::End {
                return ChunkProgress::End(at);
            }
        }
        ChunkProgress::More
    }

    fn skip_data(&mut self, at_hand: usize) -> usize {
        let skipped = usize::try_from(self.size).unwrap_or(usize::MAX).min(at_hand);
        self.size -= skipped as u64;
        if self.size == 0 {
            self.position = Position::DataCr;
        }
        skipped
    }

    fn step(&mut self, byte: u8) -> Option<Position> {
        match (self.position, byte) {
            (Position::Size, b'\r') if self.count > 0 => Some(Position::SizeLf),
            (Position::Size, b';') if self.count > 0 => self.count_from_zero(Position::Extension),
            (Position::Size, b' ' | b'\t') if self.count > 0 => self.count_from_zero(Position::SizeSpace),
            (Position::Size, _) => self.digit(byte),
            (Position::SizeSpace, b' ' | b'\t') => self.counted(Position::SizeSpace),
            (Position::SizeSpace, b';') => Some(Position::Extension),
            (Position::SizeSpace | Position::Extension, b'\r') => Some(Position::SizeLf),
            (Position::Extension, _) if is_text(byte) => self.counted(Position::Extension),
            (Position::SizeLf, b'\n') if self.size == 0 => self.count_from_zero(Position::LineStart),
            (Position::SizeLf, b'\n') => Some(Position::Data),
            (Position::DataCr, b'\r') => Some(Position::DataLf),
            (Position::DataLf, b'\n') => self.count_from_zero(Position::Size),
            (Position::LineStart, b'\r') => Some(Position::LastLf),
            (Position::Trailer, b'\r') => Some(Position::TrailerLf),
            (Position::LineStart | Position::Trailer, _) if is_text(byte) => self.counted(Position::Trailer),
            (Position::TrailerLf, b'\n') => Some(Position::LineStart),
            (Position::LastLf, b'\n') => Some(Position::End),
            (
                Position::SizeSpace
                | Position::Extension
                | Position::SizeLf
                | Position::Data
                | Position::DataCr
                | Position::DataLf
                | Position::LineStart
                | Position::Trailer
                | Position::TrailerLf
                | Position::LastLf
                | Position::End,
                _,
            ) => None,
        }
    }

    fn digit(&mut self, byte: u8) -> Option<Position> {
        let digit = char::from(byte).to_digit(16)?;
        self.count += 1;
        self.size = (self.size << 4) | u64::from(digit);
        (self.count <= SIZE_DIGITS_MAX).then_some(Position::Size)
    }

    fn count_from_zero(&mut self, next: Position) -> Option<Position> {
        self.count = 0;
        Some(next)
    }

    fn counted(&mut self, next: Position) -> Option<Position> {
        self.count += 1;
        (self.count <= OVERHEAD_BYTES_MAX).then_some(next)
    }
}

/// No control characters but the tab: a bare line feed ends a line for some readers and not for others.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_where_its_last_line_ends() {
        for (body, expected) in [
            ("0\r\n\r\n", ChunkProgress::End(5)),
            ("3\r\nabc\r\n0\r\n\r\nrest", ChunkProgress::End(13)),
            ("A;x=\"y\"\r\n0123456789\r\n00\r\nTrailer: 1\r\n\r\n", ChunkProgress::End(39)),
            ("3 \t;x\r\nabc\r\n", ChunkProgress::More),
            ("3\r\nab", ChunkProgress::More),
            ("", ChunkProgress::More),
        ] {
            assert_eq!(ChunkedBody::new().track(body.as_bytes()), expected, "{body:?}");
        }
    }

    #[test]
    fn trailers_are_kept_where_they_are_wanted() {
        let bytes = b"3\r\nabc\r\n0\r\nA: 1\r\nB: 2\r\n\r\n";
        for size in [1, 4, bytes.len()] {
            let mut body = ChunkedBody::keeping_trailers();
            let ended = bytes.chunks(size).map(|part| body.track(part)).last();
            assert!(matches!(ended, Some(ChunkProgress::End(_))));
            assert_eq!(body.into_trailers().as_deref(), Some(&b"A: 1\r\nB: 2\r\n\r\n"[..]), "in parts of {size}");
        }
        let mut body = ChunkedBody::new();
        body.track(bytes);
        assert_eq!(body.into_trailers(), None);
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_invalid() {
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
            assert_eq!(ChunkedBody::new().track(body.as_bytes()), ChunkProgress::Invalid(at), "{body:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_have_a_limit() {
        let long = "a".repeat(OVERHEAD_BYTES_MAX + 1);
        for body in [format!("3;{long}"), format!("0\r\n{long}"), format!("3{}", " ".repeat(OVERHEAD_BYTES_MAX + 2))] {
            assert!(matches!(ChunkedBody::new().track(body.as_bytes()), ChunkProgress::Invalid(_)), "{}", &body[..5]);
        }
    }
}
