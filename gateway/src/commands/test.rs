//! `gateway test`: runs the tests in the configuration. Sends nothing.

use std::{path::PathBuf, process::ExitCode};

use chassis::config::{EXIT_FAILED, StartError, environment};

use super::{args::PositionalConfigFile, junit, output::Paint, test_case, test_result::TestResult};
use crate::config::{self, Case};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    file: PositionalConfigFile,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, StartError> {
    let path = args.file.path()?;
    let config = config::load(path, &environment)?;
    let results: Vec<TestResult> = config
        .tests
        .iter()
        .map(|case| TestResult { name: name(case), line: case.place.line, differences: test_case::run(&config, case) })
        .collect();
    let file = path.display().to_string();
    if let Some(junit) = &args.junit {
        let written = std::fs::write(junit, junit::xml(&file, &results));
        written.map_err(|error| StartError::failed(format!("cannot write {}: {error}", junit.display())))?;
    }
    let failed = print(&file, &results);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

/// The name of a test: `GET /api/users/7 as user_type=default`.
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

/// Prints the results and returns the number of failures.
fn print(file: &str, results: &[TestResult]) -> usize {
    let paint = Paint::stdout();
    let mut failed = 0;
    for result in results {
        if result.differences.is_empty() {
            println!("{} {}", paint.good("ok  "), result.name);
            continue;
        }
        failed += 1;
        println!("{} {} {}", paint.bad("FAIL"), result.name, paint.faint(&format!("({file}:{})", result.line)));
        for difference in &result.differences {
            println!("       {}", difference.what);
            println!("     {}", paint.good(&format!("- {}", difference.expected)));
            println!("     {}", paint.bad(&format!("+ {}", difference.actual)));
        }
    }
    println!("{} passed, {failed} failed", results.len() - failed);
    failed
}
