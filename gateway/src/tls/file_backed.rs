//! A value built from PEM files, and built again when they change. Knows neither what is in them nor what is built.
//!
//! A connection takes the value that is current when it is opened and keeps it: a renewed certificate is used by new
//! connections and disturbs no open one.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use super::pem;
use crate::files::poll::{LastSeen, reload_regularly};

/// Settings that name files, and say what is built from them.
pub(crate) trait FileSettings: Clone + fmt::Debug + Send + Sync + 'static {
    /// What is built.
    type Value: fmt::Debug + Send + Sync;

    /// What the log calls the files, in the plural.
    const WHAT: &'static str;

    /// Returns the paths of the files.
    fn paths(&self) -> Vec<&Path>;

    /// Builds the value from the contents of the files.
    ///
    /// # Errors
    /// Names the file and the reason.
    fn build(&self, contents: &FileContents, now: SystemTime) -> Result<Self::Value, String>;
}

/// The contents of some files. Wiped when dropped, since some may be private keys.
#[derive(PartialEq)]
pub(crate) struct FileContents(Vec<(PathBuf, Zeroizing<Vec<u8>>)>);

impl FileContents {
    fn read(paths: &[&Path]) -> Result<Self, String> {
        let one = |path: &&Path| Ok(((*path).to_owned(), Zeroizing::new(pem::read(path)?)));
        paths.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the contents of a file; nothing if it was not read.
    pub(crate) fn of(&self, path: &Path) -> &[u8] {
        self.0.iter().find(|(known, _)| known == path).map_or(&[], |(_, bytes)| bytes)
    }
}

/// A handle to the current value. Clones share it.
#[derive(Debug)]
pub(crate) struct FileBacked<F: FileSettings>(Arc<Inner<F>>);

struct Inner<F: FileSettings> {
    settings: F,
    current: ArcSwap<F::Value>,
    last_seen: Mutex<LastSeen<FileContents>>,
    is_watched: AtomicBool,
}

impl<F: FileSettings> fmt::Debug for Inner<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the contents that were seen: they include private keys.
        f.debug_struct("FileBacked").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<F: FileSettings> Clone for FileBacked<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: FileSettings> FileBacked<F> {
    /// Reads the files and builds the first value.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub(crate) fn load(settings: &F, now: SystemTime) -> Result<Self, String> {
        let contents = FileContents::read(&settings.paths())?;
        let value = settings.build(&contents, now)?;
        Ok(Self(Arc::new(Inner {
            settings: settings.clone(),
            current: ArcSwap::from_pointee(value),
            last_seen: Mutex::new(LastSeen::new(contents)),
            is_watched: AtomicBool::new(false),
        })))
    }

    /// Returns the value for the next connection.
    pub(crate) fn current(&self) -> Arc<F::Value> {
        self.0.current.load_full()
    }

    /// Reads the files again, and replaces the value if they have changed. Returns whether it was replaced.
    ///
    /// # Errors
    /// The files cannot be used: reported once for each change. The value stays as it was.
    pub(crate) fn reload_if_changed(&self, now: SystemTime) -> Result<bool, String> {
        let contents = FileContents::read(&self.0.settings.paths());
        let mut last_seen = self.0.last_seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(contents) = last_seen.changed(contents) else { return Ok(false) };
        let value = self.0.settings.build(contents?, now)?;
        self.0.current.store(Arc::new(value));
        Ok(true)
    }

    /// Reloads the files when they change, for as long as a handle exists. Calling it again has no effect. Needs the
    /// runtime of actix.
    pub(crate) fn watch(&self) {
        if self.0.settings.paths().is_empty() || self.0.is_watched.swap(true, Ordering::Relaxed) {
            return;
        }
        reload_regularly(&self.0, F::WHAT, |inner, now| {
            if Self(inner).reload_if_changed(now)? {
                log::info!("{} have been reloaded", F::WHAT);
            }
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// One file with a number in it.
    #[derive(Clone, Debug)]
    struct Number(PathBuf);

    impl FileSettings for Number {
        type Value = u32;

        const WHAT: &'static str = "numbers";

        fn paths(&self) -> Vec<&Path> {
            vec![&self.0]
        }

        fn build(&self, contents: &FileContents, _: SystemTime) -> Result<u32, String> {
            let text = std::str::from_utf8(contents.of(&self.0)).map_err(|error| error.to_string())?;
            text.parse().map_err(|_| format!("`{text}` is not a number"))
        }
    }

    #[test]
    fn files_that_cannot_be_used_change_nothing_and_are_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        fs::write(&file, "1").unwrap();
        let now = SystemTime::now();
        let number = FileBacked::load(&Number(file.clone()), now).unwrap();
        for content in ["rubbish", "", "-1"] {
            fs::write(&file, content).unwrap();
            assert!(number.reload_if_changed(now).unwrap_err().contains("is not a number"));
            assert_eq!(number.reload_if_changed(now), Ok(false), "reported once");
            assert_eq!(*number.current(), 1);
        }
        fs::remove_file(&file).unwrap();
        assert!(number.reload_if_changed(now).unwrap_err().contains("cannot read"));
        fs::write(&file, "2").unwrap();
        assert_eq!(number.reload_if_changed(now), Ok(true));
        assert_eq!(*number.current(), 2);
        assert!(FileBacked::load(&Number(folder.path().join("absent")), now).is_err());
    }
}
