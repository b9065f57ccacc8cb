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
pub trait Files: Clone + fmt::Debug + Send + Sync + 'static {
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
pub struct Contents(Vec<(PathBuf, Zeroizing<Vec<u8>>)>);

impl Contents {
    /// Reads files.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub fn read(paths: &[&Path]) -> Result<Self, String> {
        let one = |path: &&Path| Ok(((*path).to_owned(), Zeroizing::new(pem::read(path)?)));
        paths.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// What is in this one; nothing if it was not read.
    pub fn of(&self, path: &Path) -> &[u8] {
        self.0.iter().find(|(known, _)| known == path).map_or(&[], |(_, bytes)| bytes)
    }
}

/// The handle. Clones are the same.
#[derive(Debug)]
pub struct Renewed<F: Files>(Arc<Inner<F>>);

struct Inner<F: Files> {
    files: F,
    current: RwLock<Arc<F::Made>>,
    /// What the last look saw, so that a mistake is told once for each change.
    seen: Mutex<Result<Contents, String>>,
    watched: AtomicBool,
}

impl<F: Files> fmt::Debug for Inner<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what was seen: keys are.
        f.debug_struct("Renewed").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<F: Files> Clone for Renewed<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F: Files> Renewed<F> {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file and the reason.
    pub fn load(files: &F, now: SystemTime) -> Result<Self, String> {
        let contents = Contents::read(&files.paths())?;
        let made = files.make(&contents, now)?;
        let (current, seen) = (RwLock::new(Arc::new(made)), Mutex::new(Ok(contents)));
        Ok(Self(Arc::new(Inner { files: files.clone(), current, seen, watched: AtomicBool::new(false) })))
    }

    /// What the next connection is made with.
    pub fn current(&self) -> Arc<F::Made> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the files, as [`watch`](Self::watch) does every second; whether they have changed.
    ///
    /// # Errors
    /// What is wrong with them, once for each change; what was made of them before stays.
    pub fn look(&self, now: SystemTime) -> Result<bool, String> {
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
    pub fn watch(&self) {
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
    match Renewed(inner).look(SystemTime::now()) {
        Ok(true) => log::info!("{} have been renewed", F::WHAT),
        Ok(false) => {}
        Err(error) => log::error!(cause = error.as_str(); "{} stay as they were", F::WHAT),
    }
    true
}
