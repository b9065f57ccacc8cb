//! `gateway check`: reports every mistake in a file, or lists its public routes.

use std::{path::Path, process::ExitCode, sync::Arc};

use chassis::config::{EXIT_USAGE, StartError, counted, environment};
use serde::Serialize;

use super::output::{Paint, print_json};
use crate::{
    auth::{claims::ClaimPath, policy::Policy},
    config::{self, Config, Mistake, render},
    route::RouteSettings,
    routing::pattern::{Pattern, Segment},
};

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    ok: bool,
    routes: usize,
    tests: usize,
    public: Vec<&'a str>,
    hints: Vec<String>,
    mistakes: Vec<MistakeReport<'a>>,
}

#[derive(Serialize)]
struct MistakeReport<'a> {
    line: usize,
    column: usize,
    width: usize,
    path: &'a str,
    message: &'a str,
    help: Option<&'a str>,
}

pub(crate) fn run(path: &Path, json: bool) -> Result<ExitCode, StartError> {
    let source = config::read(path)?;
    let (config, mistakes) = match Config::load(&source, &environment) {
        Ok(config) => (Some(config), Vec::new()),
        Err(mistakes) => (None, mistakes),
    };
    let code = if config.is_some() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) };
    if json {
        print_json(&report(path, config.as_ref(), &mistakes))?;
        return Ok(code);
    }
    match &config {
        Some(config) => print_summary(path, config),
        None => print_mistakes(path, &source, &mistakes),
    }
    Ok(code)
}

fn report<'a>(path: &Path, config: Option<&'a Config>, mistakes: &'a [Mistake]) -> Report<'a> {
    Report {
        file: path.display().to_string(),
        ok: config.is_some(),
        routes: config.map_or(0, |config| config.routes.len()),
        tests: config.map_or(0, |config| config.tests.len()),
        public: config.map(public).unwrap_or_default(),
        hints: config.map(hints).unwrap_or_default(),
        mistakes: mistakes.iter().map(mistake_report).collect(),
    }
}

fn mistake_report(mistake: &Mistake) -> MistakeReport<'_> {
    MistakeReport {
        line: mistake.place.line,
        column: mistake.place.column,
        width: mistake.place.width,
        path: &mistake.path,
        message: &mistake.message,
        help: mistake.help.as_deref(),
    }
}

fn print_summary(path: &Path, config: &Config) {
    println!("{}: {}, no mistakes", path.display(), counted(config.routes.len(), "route"));
    // A route that is public by mistake is the worst mistake that a valid file can have.
    match public(config).as_slice() {
        [] => println!("no route is public"),
        public => println!("public routes: {}", public.join(", ")),
    }
    hints(config).iter().for_each(|hint| println!("hint: {hint}"));
}

/// What is valid, but easily overlooked: `/api/{path...}` does not match `/api`.
fn hints(config: &Config) -> Vec<String> {
    let hint = |route: &Arc<RouteSettings>| {
        let Some(Segment::CatchAll(_)) = route.pattern.segments().last() else { return None };
        let (above, _) = route.pattern.as_str().rsplit_once('/')?;
        let sample = above.parse::<Pattern>().ok()?.fill(|_| "x".to_owned());
        let is_free = config.table.at(&sample).is_empty();
        is_free.then(|| format!("`{}` does not match `{above}`, and no other route does", route.name))
    };
    let hints = config.routes.iter().filter_map(hint).chain(config.routes.iter().flat_map(nested_claims));
    hints.chain(anonymous_feed(config)).collect()
}

/// A service that keeps sessions cannot tell the gateway from anybody else who asks for its feed.
fn anonymous_feed(config: &Config) -> Option<String> {
    let sessions = config.tokens.as_ref()?.sessions.as_ref()?;
    let upstream = config.upstreams.iter().find(|upstream| upstream.name == sessions.from)?;
    upstream.assertion.is_none().then(|| {
        let name = &upstream.name;
        format!(
            "`tokens.sessions`: `{name}` has no `assertion`, so that it cannot tell that the gateway reads its feed"
        )
    })
}

/// A name with dots is the name of one claim, although in other gateways it is a nested one.
fn nested_claims(route: &Arc<RouteSettings>) -> Vec<String> {
    let Policy::Claims(requirement) = &route.policy else { return Vec::new() };
    let mut hints = Vec::new();
    requirement.visit_claims(&mut |at: &ClaimPath| {
        let name = at.as_str();
        // Names with a namespace are URLs.
        if name.contains('.') && !name.contains('/') {
            let pointer = name.replace('.', "/");
            hints.push(format!(
                "`{}` asks for a claim named `{name}`; a nested one is written `/{pointer}`",
                route.name
            ));
        }
    });
    hints
}

fn public(config: &Config) -> Vec<&str> {
    config.routes.iter().filter(|route| route.policy.is_public()).map(|route| route.name.as_str()).collect()
}

fn print_mistakes(path: &Path, source: &str, mistakes: &[Mistake]) {
    let paint = Paint::stderr();
    eprintln!("gateway: the configuration has {}:", counted(mistakes.len(), "mistake"));
    for mistake in mistakes {
        let rendered = render(mistake, &path.display().to_string(), source);
        let (head, rest) = rendered.split_once('\n').unwrap_or((&rendered, ""));
        eprintln!("\n{}", paint.bold(head));
        for line in rest.lines() {
            eprintln!("{}", if line.contains('^') { paint.bad(line) } else { line.to_owned() });
        }
    }
}
