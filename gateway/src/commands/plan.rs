//! `gateway plan OLD NEW`: what a new configuration changes, and for whom. The exit code is 2 where it allows more than before.

use std::{path::PathBuf, process::ExitCode};

use chassis::config::{StartError, counted, environment};
use serde::Serialize;

use super::{
    diff::{self, Change},
    output::{Paint, print_json},
};
use crate::{config, hooks::Hooks};

/// The exit code where the new file allows more than the old one.
const EXIT_WIDER: u8 = 2;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The YAML file that is served now
    old: PathBuf,
    /// The YAML file to serve next
    new: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Plan {
    wider: bool,
    changes: Vec<Change>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, StartError> {
    // The same hooks for both: a hook equals only itself.
    let hooks = Hooks::default();
    let load = |path| config::load_with(path, &environment, &hooks);
    // Both are loaded, so that the mistakes of both are reported.
    let (old, new) = match (load(&args.old), load(&args.new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(StartError::Config(mut mistakes)), Err(StartError::Config(more))) => {
            mistakes.extend(more);
            return Err(StartError::Config(mistakes));
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let changes = diff::changes(&old, &new)
        .ok_or_else(|| StartError::failed("the routes can match in too many ways to compare all of them"))?;
    let plan = Plan { wider: changes.iter().any(|change| change.wider), changes };
    if args.json {
        print_json(&plan)?
    } else {
        print(&plan)
    }
    Ok(if plan.wider { ExitCode::from(EXIT_WIDER) } else { ExitCode::SUCCESS })
}

fn print(plan: &Plan) {
    let paint = Paint::stdout();
    for change in &plan.changes {
        let mark = if change.wider { paint.bad("WIDER") } else { paint.faint("     ") };
        println!("{mark} {} {}", paint.bold(&change.of), change.change);
    }
    let wider = plan.changes.iter().filter(|change| change.wider).count();
    match (plan.changes.len(), wider) {
        (0, _) => println!("nothing changes for anybody"),
        (all, 0) => println!("{}; nobody may do more than before", counted(all, "change")),
        (all, wider) => println!("{}, {wider} of which let more pass than before", counted(all, "change")),
    }
}
