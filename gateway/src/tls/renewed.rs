//! What is made of PEM files, and made anew when they change. Knows neither what is in them nor what is made.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use zeroize::Zeroizing;

use super::pem;

/// How often the files are looked at; a handful of files of a few KiB.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Settings that name files.
pub(crate) trait Files: Clone + fmt::Debug + Send + Sync + 'static {
    /// What is made of them.
    type Made: fmt::Debug + Send + Sync;

    /// What the log calls it.
    const WHAT: &'static str;

    /// The files.
    fn paths(&self) -> Vec<&Path>;

    /// Makes it of what is in the files.
    ///
    /// # Errors
    /// Names the file and the reason.
    fn make(&self, contents: &Contents, now: SystemTime) -> Result<Self::Made, String>;
}

/// What is in files. Some may be keys.
#[derive(Clone, PartialEq)]
pub(crate) struct Contents(Vec<(PathBuf, Zeroizing<Vec<u8>>)>);

impl Contents {
    /// Reads files.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub(crate) fn read(paths: &[&Path]) -> Result<Self, String> {
        let one = |path: &&Path| Ok(((*path).to_owned(), Zeroizing::new(pem::read(path)?)));
        paths.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// What is in this one; nothing if it was not read.
    pub(crate) fn of(&self, path: &Path) -> &[u8] {
        self.0.iter().find(|(known, _)| known == path).map_or(&[], |(_, bytes)| bytes)
    }
}

/// The handle. Clones are the same.
#[derive(Debug)]
pub(crate) struct FileBacked<F: Files>(Arc<Inner<F>>);

struct Inner<F: Files> {
    files: F,
    current: RwLock<Arc<F::Made>>,
    /// What the last look saw, so that a mistake is told once for each change.
    seen: Mutex<Result<Contents, String>>,
    pub(crate) watched: AtomicBool,
}

impl<F: Files> fmt::Debug for Inner<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what was seen: keys are.
        f.debug_struct("FileBacked").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<F: Files> Clone for FileBacked<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: Files> FileBacked<F> {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub(crate) fn load(files: &F, now: SystemTime) -> Result<Self, String> {
        let contents = Contents::read(&files.paths())?;
        let made = files.make(&contents, now)?;
        let (current, seen) = (RwLock::new(Arc::new(made)), Mutex::new(Ok(contents)));
        Ok(Self(Arc::new(Inner { files: files.clone(), current, seen, watched: AtomicBool::new(false) })))
    }

    /// What the next connection is made with.
    pub(crate) fn current(&self) -> Arc<F::Made> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// TickLimits at the files, as [`watch`](Self::watch) does every second; whether they have changed.
    ///
    /// # Errors
    /// What is wrong with them, once for each change; what was made of them before stays.
    pub(crate) fn look(&self, now: SystemTime) -> Result<bool, String> {
        let contents = Contents::read(&self.0.files.paths());
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == contents {
            return Ok(false);
        }
        seen.clone_from(&contents);
        let made = self.0.files.make(&contents?, now)?;
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
        Ok(true)
    }

    /// Watches the files for as long as a handle exists, where that is not yet done. Needs the runtime of actix.
    pub(crate) fn watch(&self) {
        if self.0.files.paths().is_empty() || self.0.watched.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = Arc::downgrade(&self.0);
        actix_rt::spawn(async move {
            loop {
                actix_rt::time::sleep(LOOK_EVERY).await;
                let inner = Weak::clone(&inner);
                // Files may lie on a disk that hangs.
                if !actix_rt::task::spawn_blocking(move || look(&inner)).await.unwrap_or(true) {
                    return;
                }
            }
        });
    }
}

/// Whether there is still something to watch.
fn look<F: Files>(inner: &Weak<Inner<F>>) -> bool {
    let Some(inner) = inner.upgrade() else { return false };
    match FileBacked(inner).look(SystemTime::now()) {
        Ok(true) => log::info!("{} have been renewed", F::WHAT),
        Ok(false) => {}
        Err(error) => log::error!(cause = error.as_str(); "{} stay as they were", F::WHAT),
    }
    true
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// One file with a number in it.
    #[derive(Clone, Debug)]
    struct Number(PathBuf);

    impl Files for Number {
        type Made = u32;

        const WHAT: &'static str = "numbers";

        fn paths(&self) -> Vec<&Path> {
            vec![&self.0]
        }

        fn make(&self, contents: &Contents, _: SystemTime) -> Result<u32, String> {
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
            assert!(number.look(now).unwrap_err().contains("is not a number"));
            assert_eq!(number.look(now), Ok(false), "reported once");
            assert_eq!(*number.current(), 1);
        }
        fs::remove_file(&file).unwrap();
        assert!(number.look(now).unwrap_err().contains("cannot read"));
        fs::write(&file, "2").unwrap();
        assert_eq!(number.look(now), Ok(true));
        assert_eq!(*number.current(), 2);
        assert!(FileBacked::load(&Number(folder.path().join("absent")), now).is_err());
    }
}
