//! Keeps the write-ahead log of the database short. Writes nothing but what is in the log already.
//!
//! A commit is appended to the log; a checkpoint copies the log into the database, after which the next commit may begin at
//! its start again. The tricky part is that it may only if nobody reads from the log at that moment: with readers that never
//! pause it would grow without end, although everything in it has been copied. So where it has become too long, the writer
//! pauses instead. With nothing new in the log, readers that begin read the database alone, and when those that began before
//! have ended, the log is truncated.

use std::time::{Duration, Instant};

use chassis::store::StoreFault;
use diesel::sqlite::SqliteConnection;

use super::{
    connection::{self, Checkpoint, LOG_BYTES_MAX},
    target::Target,
};
use crate::store::metrics::LogMetrics;

/// Number of changes after which the log is copied into the database. Each writes a page or two of 4 KiB to the log, so that
/// it has 4 to 8 MiB by then.
const CHECKPOINT_AFTER_CHANGES: usize = 1000;
/// How long the writer pauses at most. A page is read in milliseconds; another process may read for as long as it likes.
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// How long to wait after a reader has kept the log from being truncated: the writer pauses for an eighth of the time at most.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The log, as the writer sees it.
pub(super) struct WriteAheadLog {
    target: Target,
    changes_since_checkpoint: usize,
    /// A reader has kept the log from being truncated: not again before this.
    retry_at: Option<Instant>,
    metrics: LogMetrics,
}

impl WriteAheadLog {
    pub(super) const fn new(target: Target, metrics: LogMetrics) -> Self {
        Self { target, changes_since_checkpoint: 0, retry_at: None, metrics }
    }

    /// Counts changes that were committed.
    pub(super) const fn committed(&mut self, changes: usize) {
        self.changes_since_checkpoint += changes;
    }

    /// Copies the log into the database after enough changes, and truncates it where it has become too long.
    ///
    /// # Errors
    /// The log stays as it is, and the next attempt copies all of it.
    pub(super) fn checkpoint_if_due(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreFault> {
        if self.changes_since_checkpoint >= CHECKPOINT_AFTER_CHANGES {
            self.changes_since_checkpoint = 0;
            let used_bytes = connection::checkpoint(connection, Checkpoint::Passive)?;
            let may_truncate = self.retry_at.is_none_or(|retry_at| retry_at <= Instant::now());
            if used_bytes > LOG_BYTES_MAX && may_truncate {
                self.truncate(connection)?;
            }
        }
        self.metrics.bytes.set(i64::try_from(self.target.log_bytes()).unwrap_or(i64::MAX));
        Ok(())
    }

    fn truncate(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreFault> {
        self.metrics.truncations.inc();
        let used_bytes = connection::truncate_log_within(connection, PAUSE_MAX)?;
        self.retry_at = (used_bytes > 0).then(|| Instant::now() + RETRY_AFTER);
        Ok(())
    }
}
