//! Runs one test of a configuration: rehearses its request, and compares the outcome with the expected one. Prints nothing.

use std::rc::Rc;

use actix_http::header::HeaderMap;

use super::test_result::Difference;
use crate::{
    auth::{bearer, caller::Caller},
    config::{Case, Config},
    proxy::rehearse::{self, Outcome, Rehearsal, Rehearsed},
};

/// Runs a test and returns how the outcome differs from the expected one.
pub(crate) fn run(config: &Config, case: &Case) -> Vec<Difference> {
    // It was valid when the file was decoded.
    let Ok(target) = case.target.parse() else { return vec![difference("request", "a path", &case.target)] };
    let mut rehearsal = Rehearsal {
        method: case.method.clone(),
        target,
        headers: case.headers.clone(),
        client: case.client,
        body_bytes: case.body.as_ref().and_then(|body| u64::try_from(body.len()).ok()),
    };
    let caller = case.caller.clone().map(|claims| Rc::new(Caller::from_claims(claims)));
    rehearsal.headers.extend(caller.as_ref().map(|_| rehearse::assumed_token()));
    let rehearsed = rehearse::rehearse(config, &rehearsal, &|_| {
        caller
            .clone()
            .ok_or_else(|| bearer::invalid("tests cannot verify tokens; give the claims of the caller with `as`"))
    });
    compare(config, case, &rehearsal, &rehearsed)
}

fn compare(config: &Config, case: &Case, rehearsal: &Rehearsal, rehearsed: &Rehearsed) -> Vec<Difference> {
    let expected = &case.expected;
    let mut differences = Vec::new();
    let answered = rehearse::answered(config, rehearsal, rehearsed);
    let actual = describe(config, rehearsed, answered.as_ref().map(|(status, _)| *status));
    if let Some(status) = expected.status
        && answered.as_ref().map(|(status, _)| *status) != Some(status)
    {
        differences.push(difference("outcome", &format!("answered {status}"), &actual));
    }
    let (to, path) = forwarded_to(config, rehearsed);
    if let Some(upstream) = &expected.to
        && to != Some(upstream.as_str())
    {
        differences.push(difference("outcome", &format!("goes to {upstream}"), &actual));
    }
    if let Some(expected_path) = &expected.path
        && path != Some(expected_path.as_str())
    {
        differences.push(difference("path", expected_path, path.unwrap_or(&actual)));
    }
    let headers = match (&rehearsed.outcome, &answered) {
        (Outcome::Forwarded(forwarded), _) => Some(&forwarded.headers),
        (Outcome::Refused(_) | Outcome::Answered(_) | Outcome::Page(_), answered) => answered.as_ref().map(|(_, h)| h),
    };
    differences.extend(headers.map(|headers| compare_headers(case, headers)).unwrap_or_default());
    differences
}

fn compare_headers(case: &Case, headers: &HeaderMap) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (name, expected) in &case.expected.headers {
        let actual: Vec<String> =
            headers.get_all(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        let actual = (!actual.is_empty()).then(|| actual.join(", "));
        if actual != *expected {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "not there".to_owned());
            differences.push(difference(&format!("header {name}"), &shown(expected), &shown(&actual)));
        }
    }
    differences
}

/// The upstream, and the path and query that it receives; `None` where the gateway answers itself.
fn forwarded_to<'a>(config: &'a Config, rehearsed: &'a Rehearsed) -> (Option<&'a str>, Option<&'a str>) {
    match &rehearsed.outcome {
        Outcome::Forwarded(forwarded) => {
            (Some(&config.upstreams[forwarded.upstream].name), Some(&forwarded.path_and_query))
        }
        Outcome::Refused(_) | Outcome::Answered(_) | Outcome::Page(_) => (None, None),
    }
}

fn describe(config: &Config, rehearsed: &Rehearsed, status: Option<u16>) -> String {
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    match &rehearsed.outcome {
        Outcome::Refused(problem) => format!("answered {status} {}: {}", problem.code().name(), problem.detail()),
        Outcome::Answered(_) | Outcome::Page(_) => format!("answered {status}"),
        Outcome::Forwarded(forwarded) => format!("goes to {}", config.upstreams[forwarded.upstream].name),
    }
}

fn difference(what: &str, expected: &str, actual: &str) -> Difference {
    Difference { what: what.to_owned(), expected: expected.to_owned(), actual: actual.to_owned() }
}
