//! Creates the folder of a store so that it outlives a power loss. Knows nothing of what is in it.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

/// Creates a folder, and those above it that are missing, accessible as `mode` says. Does nothing where it exists.
///
/// A new entry is durable only after an fsync of the folder that it is in. Without it, a power loss could take the new
/// folder away, with everything in it that was made durable.
///
/// # Errors
/// A folder cannot be created, or not be made durable.
pub fn create(path: &Path, mode: u32) -> io::Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    // From the top: a folder that is durable in one that is not is lost with it.
    missing.into_iter().rev().try_for_each(|folder| File::open(parent(folder))?.sync_all())
}

/// The folder that a path is in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_part_is_in_the_current_folder() {
        for (path, expected) in [("users", "."), ("./users", "."), ("a/users", "a"), ("/users", "/"), ("/", ".")] {
            assert_eq!(parent(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
