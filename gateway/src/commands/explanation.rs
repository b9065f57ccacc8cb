//! The output of `gateway explain`: as JSON, or as text. Decides nothing.

use serde::Serialize;
use serde_json::Value;

use super::output::Paint;

/// What would happen to a request, and why.
#[derive(Serialize)]
pub(crate) struct Explanation {
    pub(crate) method: String,
    pub(crate) target: String,
    /// The path in normal form, after aliases.
    pub(crate) path: String,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) route: Option<String>,
    pub(crate) auth: Option<String>,
    /// How each claim that the policy names compares with that of the caller.
    pub(crate) claims: Vec<String>,
    pub(crate) limits: Vec<String>,
    pub(crate) outcome: ExplainedOutcome,
}

/// A route whose pattern matches the path.
#[derive(Serialize)]
pub(crate) struct Candidate {
    pub(crate) route: String,
    pub(crate) chosen: bool,
    pub(crate) why: String,
}

/// How the request would end.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ExplainedOutcome {
    Refused {
        status: u16,
        code: &'static str,
        detail: String,
    },
    Answered {
        status: u16,
        headers: Vec<(String, String)>,
    },
    Page {
        page: String,
    },
    Forwarded {
        upstream: String,
        targets: Vec<String>,
        path: String,
        headers: Vec<(String, String)>,
        /// Headers of the client that are not forwarded, and those that are forwarded with another value.
        removed: Vec<String>,
        replaced: Vec<String>,
        /// The claims of the assertion that the upstream receives; `null` where it receives none.
        assertion: Value,
    },
}

pub(crate) fn print(explanation: &Explanation) {
    let paint = Paint::stdout();
    println!("{} {}", explanation.method, paint.bold(&explanation.target));
    if explanation.path != explanation.target {
        println!("path    {}", explanation.path);
    }
    println!("route   {}", explanation.route.as_deref().unwrap_or("none"));
    for candidate in &explanation.candidates {
        let mark = if candidate.chosen { paint.good("+") } else { paint.faint("-") };
        println!("        {mark} {}: {}", candidate.route, candidate.why);
    }
    if let Some(auth) = &explanation.auth {
        println!("auth    {auth}");
        explanation.claims.iter().for_each(|verdict| println!("        {verdict}"));
        let limits = explanation.limits.join(", ");
        println!("limits  {}", if limits.is_empty() { "none" } else { &limits });
    }
    print_outcome(&explanation.outcome, &explanation.method, paint);
}

fn print_outcome(outcome: &ExplainedOutcome, method: &str, paint: Paint) {
    let fields =
        |headers: &[(String, String)]| headers.iter().for_each(|(name, value)| println!("        {name}: {value}"));
    match outcome {
        ExplainedOutcome::Refused { status, code, detail } => {
            println!("answer  {}: {detail}", paint.bad(&format!("{status} {code}")));
        }
        ExplainedOutcome::Answered { status, headers } => {
            println!("answer  {}", paint.good(&status.to_string()));
            fields(headers);
        }
        ExplainedOutcome::Page { page } => {
            println!("answer  {}", paint.good(&format!("the gateway's own page {page}")))
        }
        ExplainedOutcome::Forwarded { upstream, targets, path, headers, removed, replaced, assertion } => {
            println!("goes to {} ({})", paint.good(upstream), targets.join(", "));
            println!("        {method} {path}");
            fields(headers);
            for (what, names) in [("removed", removed), ("changed", replaced)] {
                if !names.is_empty() {
                    println!("{what:<8}{}", names.join(", "));
                }
            }
            if !assertion.is_null() {
                println!("states  {assertion}");
            }
        }
    }
}
