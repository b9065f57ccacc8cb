//! `gateway test`: runs the tests that stand in the configuration. Nothing is sent.

use std::{path::PathBuf, process::ExitCode};

use chassis::config::{EXIT_FAILED, StartError, environment};

use super::{File, junit, outcome::Outcome, paint::Paint, trial};
use crate::config::{self, Case};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    file: File,
    /// Write the results as JUnit XML, for Jenkins.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, StartError> {
    let config = config::load(&args.file.config, &environment)?;
    let outcomes: Vec<Outcome> = config
        .tests
        .iter()
        .map(|case| Outcome { name: name(case), line: case.place.line, differences: trial::run(&config, case) })
        .collect();
    let file = args.file.config.display().to_string();
    if let Some(junit) = &args.junit {
        let written = std::fs::write(junit, junit::xml(&file, &outcomes));
        written.map_err(|error| StartError::failed(format!("cannot write {}: {error}", junit.display())))?;
    }
    let failed = print(&file, &outcomes);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

/// `GET /api/users/7 as user_type=default`.
fn name(case: &Case) -> String {
    let mut name = format!("{} {}", case.method, case.target);
    if let Some(claims) = &case.caller {
        let claims: Vec<String> = claims
            .iter()
            .map(|(claim, value)| {
                format!("{claim}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .collect();
        name.push_str(&format!(" as {}", claims.join(",")));
    }
    let headers =
        case.headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    let headers: Vec<String> = headers.collect();
    if !headers.is_empty() {
        name.push_str(&format!(" with {}", headers.join(", ")));
    }
    name
}

fn print(file: &str, outcomes: &[Outcome]) -> usize {
    let paint = Paint::stdout();
    let mut failed = 0;
    for outcome in outcomes {
        if outcome.differences.is_empty() {
            println!("{} {}", paint.good("ok  "), outcome.name);
            continue;
        }
        failed += 1;
        println!("{} {} {}", paint.bad("FAIL"), outcome.name, paint.faint(&format!("({file}:{})", outcome.line)));
        for difference in &outcome.differences {
            println!("       {}", difference.what);
            println!("     {}", paint.good(&format!("- {}", difference.expected)));
            println!("     {}", paint.bad(&format!("+ {}", difference.actual)));
        }
    }
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    failed
}
