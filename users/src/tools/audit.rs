//! `users audit`: checks and prints the audit log, here or in a copy of its folder. Needs neither the lock nor a key.

use std::{
    io::{self, BufWriter, ErrorKind},
    path::{Path, PathBuf},
    time::SystemTime,
};

use chassis::{
    config::{StartError, counted, parse_duration},
    timestamp::Timestamp,
};
use clap::{Args, Subcommand};

use crate::audit::{self, Filter, Verdict};

/// What to do with the audit log.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Check that no line was changed, removed or inserted, and print how many there are and the hash of the last one
    Verify(VerifyArgs),
    /// Print lines, the oldest first
    Show(ShowArgs),
}

#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// The hash of a line that was kept elsewhere: the log must still have this line
    #[arg(long, value_name = "HASH")]
    expect: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The folder of the log [default: audit in the data folder]
    folder: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// From this time on: 2026-01-31T12:00:00Z, or how long ago, such as 24h
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Timestamp>,
    /// Only events with this name, such as sign_in_failed; may be repeated
    #[arg(long, value_name = "NAME")]
    event: Vec<String>,
    /// Only what is by or about this user: an id or a name
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Print the lines as they are
    #[arg(long)]
    json: bool,
    /// The folder of the log [default: audit in the data folder]
    folder: Option<PathBuf>,
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// The log is broken, or cannot be read.
    pub fn run(&self, data_dir: &Path) -> Result<(), StartError> {
        match self {
            Self::Verify(args) => {
                let folder = log_folder(args.folder.as_ref(), data_dir);
                let verdict =
                    audit::verify(&folder, args.expect.clone()).map_err(|error| unreadable(&folder, &error))?;
                if args.json {
                    println!("{}", serde_json::to_string(&verdict).map_err(StartError::failed)?);
                }
                report(&verdict, args.json)
            }
            Self::Show(ShowArgs { since, event, user, json, folder }) => {
                let folder = log_folder(folder.as_ref(), data_dir);
                let filter = Filter { since: *since, events: event.clone(), user: user.clone() };
                let shown = audit::show(&folder, &filter, *json, &mut BufWriter::new(io::stdout().lock()));
                // Whoever reads it, such as `head`, has had enough.
                shown
                    .or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
                    .map_err(|error| unreadable(&folder, &error))
            }
        }
    }
}

fn log_folder(given: Option<&PathBuf>, data_dir: &Path) -> PathBuf {
    given.cloned().unwrap_or_else(|| data_dir.join(audit::FOLDER))
}

fn unreadable(folder: &Path, error: &io::Error) -> StartError {
    StartError::failed(format!("cannot read the audit log in {}: {error}", folder.display()))
}

fn report(verdict: &Verdict, is_printed: bool) -> Result<(), StartError> {
    match verdict {
        Verdict::Whole(whole) if !is_printed => {
            let (lines, files) =
                (counted(usize::try_from(whole.lines).unwrap_or(usize::MAX), "line"), counted(whole.files, "file"));
            println!("ok: {lines} in {files}, seq {} to {}", whole.first_seq, whole.last_seq);
            println!("last hash: {}", whole.last_hash);
            if whole.unfinished_bytes > 0 {
                println!("and the beginning of a line, which is being written or which a crash interrupted");
            }
            Ok(())
        }
        Verdict::Whole(_) => Ok(()),
        Verdict::Broken { file, line, what } => {
            Err(StartError::failed(format!("the audit log is broken: line {line} of {file} {what}")))
        }
        Verdict::HashNotFound { expected, last_hash } => Err(StartError::failed(format!(
            "no line has the hash {expected}: lines at the end of the audit log were removed, or all of it was written anew. \
             The hash of the last line is {last_hash}"
        ))),
    }
}

fn parse_since(raw: &str) -> Result<Timestamp, String> {
    if let Ok(time) = raw.parse() {
        return Ok(time);
    }
    let ago =
        parse_duration(raw).map_err(|_| "write a time like 2026-01-31T12:00:00Z, or a duration like 24h".to_owned())?;
    let time = SystemTime::now().checked_sub(ago).ok_or_else(|| format!("`{raw}` is too long ago"))?;
    Ok(Timestamp::from(time))
}
