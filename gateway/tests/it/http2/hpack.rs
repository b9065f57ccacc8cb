//! Heads in the compressed form of HTTP/2 (HPACK, RFC 7541). Written by hand and in the plainest form, so that a test can
//! also write what is wrong; read by a crate, since an answer may use all that there is.

use loona_hpack::Decoder;

/// A field: its name and its value.
pub(crate) type Field<'a> = (&'a str, &'a str);

/// Writes a header block: each field as a literal that is not remembered (section 6.2.2), without Huffman coding.
pub(crate) fn block(fields: &[Field<'_>]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0b0000_0000, name.as_bytes(), value.as_bytes())).collect()
}

/// Writes a literal field with a literal name. `form` is the pattern that tells whether it is to be remembered:
/// `0100_0000` (section 6.2.1), `0000_0000` (section 6.2.2), `0001_0000` for never (section 6.2.3).
pub(crate) fn literal(form: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![form], string(name), string(value)].concat()
}

/// Writes a reference to a field of the tables (section 6.1): 1 to 61 are fixed, 62 is the one that was remembered last.
pub(crate) fn indexed(index: usize) -> Vec<u8> {
    integer(0b1000_0000, 7, index)
}

/// Writes a new size of the table of remembered fields (section 6.3).
pub(crate) fn table_size(bytes: usize) -> Vec<u8> {
    integer(0b0010_0000, 5, bytes)
}

/// Writes a string: its length, and its bytes as they are (section 5.2).
fn string(bytes: &[u8]) -> Vec<u8> {
    [integer(0b0000_0000, 7, bytes.len()), bytes.to_vec()].concat()
}

/// Writes an integer into the last `bits` of a byte that begins with `pattern`, and into as many further bytes as it
/// takes, seven bits in each, the lowest first (section 5.1).
pub(crate) fn integer(pattern: u8, bits: u32, value: usize) -> Vec<u8> {
    let limit = (1_usize << bits) - 1;
    if value < limit {
        return vec![pattern | u8::try_from(value).unwrap()];
    }
    let mut bytes = vec![pattern | u8::try_from(limit).unwrap()];
    let mut rest = value - limit;
    while rest >= 0x80 {
        bytes.push(0x80 | u8::try_from(rest & 0x7f).unwrap());
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// Reads a header block.
pub(crate) fn read(decoder: &mut Decoder<'_>, block: &[u8]) -> Vec<(String, String)> {
    let fields = decoder.decode(block).unwrap_or_else(|error| panic!("{error:?} in {block:02x?}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

#[test]
fn integers_are_written_as_in_the_examples_of_the_rfc() {
    // RFC 7541, appendix C.1.
    assert_eq!(integer(0, 5, 10), [0b0000_1010]);
    assert_eq!(integer(0, 5, 1337), [0b0001_1111, 0b1001_1010, 0b0000_1010]);
    assert_eq!(integer(0, 8, 42), [0b0010_1010]);
}
