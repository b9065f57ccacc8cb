//! Reads a whole file, up to a maximum size.

use std::{fs::File, io::Read, path::Path};

/// Returns the bytes of a file that must not be larger than `bytes_max`; `what` names its format in the error.
///
/// # Errors
/// Names the file and the reason.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64, what: &str) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits. The size in the metadata would
    // not do: the file may grow between the two calls, and a pipe has none.
    File::open(path).map_err(describe)?.take(bytes_max + 1).read_to_end(&mut bytes).map_err(describe)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("{} is too large for {what}", path.display()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_larger_than_the_maximum_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "1234").unwrap();
        assert_eq!(read_bounded(&file, 4, "a test"), Ok(b"1234".to_vec()));
        assert!(read_bounded(&file, 3, "a test").unwrap_err().ends_with("file is too large for a test"));
        assert!(read_bounded(&folder.path().join("absent"), 4, "a test").unwrap_err().contains("cannot read"));
    }
}
