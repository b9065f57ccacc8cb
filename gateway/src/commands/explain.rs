//! `gateway explain METHOD PATH`: which route a request takes and why, and what would go out. Nothing is sent.

use std::{process::ExitCode, rc::Rc, time::SystemTime};

use actix_http::{
    Method, Uri,
    header::{HOST, HeaderMap, HeaderName, HeaderValue},
};
use chassis::{
    config::{Mistakes, StartError, environment},
    problem::Problem,
};
use serde_json::{Value, json};

use super::{
    File, claims,
    explanation::{Candidate, Explanation, Told, print},
    print_json,
};
use crate::{
    auth::{
        bearer,
        caller::Caller,
        policy::Claims,
        token_issuers::TokenIssuers,
        verifier::{Verifier, VerifyError},
    },
    config::{self, Config},
    proxy::rehearse::{self, Forwarded, Outcome, Rehearsal, Rehearsed},
    route::Destination,
    routing::{
        entry::Entry,
        pattern::{Pattern, Segment},
    },
};

#[derive(clap::Args)]
pub(crate) struct Args {
    method: String,
    /// Path and query, as in /api/users/7
    path: String,
    /// The host that is asked for.
    #[arg(long)]
    host: Option<String>,
    /// A header of the request, as in 'x-version: 2'
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The token of the caller; it is verified.
    #[arg(long, conflicts_with = "claims")]
    token: Option<String>,
    /// The claims of a supposed caller, as in user_type=admin,sub=1
    #[arg(long = "as", value_name = "CLAIMS")]
    claims: Option<String>,
    #[command(flatten)]
    file: File,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Whose request it is.
enum Who {
    Nobody,
    Supposed(Claims),
    Token(String),
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, StartError> {
    let (rehearsal, who) = parse(args)?;
    let config = config::load(&args.file.config, &environment)?;
    let explanation = explain(&config, rehearsal, &who)?;
    if args.json {
        print_json(&explanation)?
    } else {
        print(&explanation)
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(args: &Args) -> Result<(Rehearsal, Who), StartError> {
    let mut mistakes = Mistakes::default();
    let method = Method::from_bytes(args.method.as_bytes());
    let method = mistakes.take("METHOD", method);
    let target = args.path.parse::<Uri>().map_err(|error| format!("`{}` is no path: {error}", args.path));
    let target = mistakes.take("PATH", target);
    let host = args.host.iter().map(|host| format!("{HOST}: {host}"));
    let headers: Vec<_> =
        args.headers.iter().cloned().chain(host).filter_map(|text| mistakes.take("-H", header(&text))).collect();
    let who = match (&args.token, &args.claims) {
        (Some(token), _) => Some(Who::Token(token.clone())),
        (None, Some(text)) => mistakes.take("--as", claims::parse(text)).map(Who::Supposed),
        (None, None) => Some(Who::Nobody),
    };
    let rehearsal = method.zip(target).map(|(method, target)| Rehearsal { method, target, headers, body_bytes: None });
    mistakes.finish(rehearsal.zip(who))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("`{text}` is not a header; write it like 'x-version: 2'");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
    Ok((name, HeaderValue::from_str(value.trim()).map_err(|_| wrong())?))
}

fn explain(config: &Config, mut rehearsal: Rehearsal, who: &Who) -> Result<Explanation, StartError> {
    let rehearsed = match who {
        Who::Nobody => rehearse::rehearse(config, &rehearsal, &|_| Err(bearer::invalid("give it with --token"))),
        Who::Supposed(claims) => {
            let caller = Rc::new(Caller::from_claims(claims.clone()));
            rehearsal.headers.push(rehearse::assumed_token());
            rehearse::rehearse(config, &rehearsal, &|_| Ok(Rc::clone(&caller)))
        }
        Who::Token(token) => {
            let verify = verifier(config)?;
            rehearsal.headers.push(rehearse::token(token).map_err(StartError::failed)?);
            rehearse::rehearse(config, &rehearsal, &verify)
        }
    };
    Ok(told(config, &rehearsal, &rehearsed))
}

/// Verifies with the key of the configuration, which must be there: a key made now would have signed nothing.
fn verifier(config: &Config) -> Result<impl Fn(&str) -> Result<Rc<Caller>, Problem>, StartError> {
    let settings = config.tokens.as_ref().ok_or_else(|| StartError::failed("the file has no `tokens` section"))?;
    let issuers = TokenIssuers::load_existing(settings, SystemTime::now()).map_err(StartError::failed)?;
    Ok(move |token: &str| {
        Verifier::new(issuers.clone()).verify(token, SystemTime::now()).map_err(VerifyError::into_problem)
    })
}

fn told(config: &Config, rehearsal: &Rehearsal, rehearsed: &Rehearsed) -> Explanation {
    let route = rehearsed.route.map(|index| &config.routes[index]);
    Explanation {
        method: rehearsal.method.to_string(),
        target: rehearsal.target.to_string(),
        path: rehearsed.path.clone(),
        candidates: candidates(config, rehearsal, rehearsed),
        route: route.map(|route| route.name.clone()),
        auth: route.map(|route| route.policy.to_string()),
        claims: route
            .zip(rehearsed.caller.as_ref())
            .map_or_else(Vec::new, |(route, caller)| verdicts(&route.policy, caller)),
        limits: route.map(|route| route.limits.iter().map(ToString::to_string).collect()).unwrap_or_default(),
        outcome: outcome(config, rehearsal, rehearsed),
    }
}

/// What each claim that the policy names is in the token.
fn verdicts(policy: &crate::auth::policy::Policy, caller: &Caller) -> Vec<String> {
    use crate::auth::policy::Policy;
    let Policy::Claims(wanted) = policy else { return vec!["the caller is signed in: allowed".to_owned()] };
    let verdict = |(claim, values): &(String, Vec<String>)| {
        let one = Policy::Claims(vec![(claim.clone(), values.clone())]);
        let allowed = if one.decide(&caller.claims) == crate::auth::policy::PolicyDecision::Allowed {
            "allowed"
        } else {
            "denied"
        };
        let held = caller.claims.get(claim).map_or_else(|| "absent".to_owned(), Value::to_string);
        format!("{claim} must be {}, and is {held}: {allowed}", values.join(" or "))
    };
    wanted.iter().map(verdict).collect()
}

fn candidates(config: &Config, rehearsal: &Rehearsal, rehearsed: &Rehearsed) -> Vec<Candidate> {
    let entries = config.table.at(&rehearsed.path);
    let is_chosen = |entry: &Entry<Destination>| match (&entry.route, &rehearsed.outcome) {
        (Destination::Route(index), _) => rehearsed.route == Some(*index),
        (Destination::Builtin(page), Outcome::Page(answered)) => page == answered,
        (Destination::Builtin(_), Outcome::Refused(_) | Outcome::Answered(_) | Outcome::Forwarded(_)) => false,
    };
    let chosen = entries.iter().find(|entry| is_chosen(entry)).copied();
    rehearse::with_query(rehearsal, &rehearsed.path, |asked| {
        let why = |entry: &Entry<Destination>| {
            if is_chosen(entry) {
                "the most specific route that is for this request".to_owned()
            } else if !entry.methods.allow(asked.method) {
                format!("is not for {}", asked.method)
            } else if !entry.host_matches(asked) {
                "is for another host".to_owned()
            } else if !entry.headers_match(asked) {
                "is for other headers".to_owned()
            } else {
                chosen.map_or_else(String::new, |chosen| lost(config, chosen, entry))
            }
        };
        entries
            .iter()
            .map(|entry| Candidate { route: name(config, entry), chosen: is_chosen(entry), why: why(entry) })
            .collect()
    })
}

fn name(config: &Config, entry: &Entry<Destination>) -> String {
    match entry.route {
        Destination::Route(index) => config.routes[index].name.clone(),
        Destination::Builtin(page) => format!("the gateway's own page {page:?}").to_lowercase(),
    }
}

/// Why a route that is for the request too was not chosen.
fn lost(config: &Config, chosen: &Entry<Destination>, other: &Entry<Destination>) -> String {
    let pattern = |entry: &Entry<Destination>| match entry.route {
        Destination::Route(index) => Some(&config.routes[index].pattern),
        Destination::Builtin(_) => None,
    };
    let by_path = pattern(chosen).zip(pattern(other)).and_then(|(chosen, other)| less_specific(chosen, other));
    if let Some((kept, lost)) = by_path {
        return format!("its path is less specific: `{lost}` comes after `{kept}`");
    }
    match (&chosen.conditions.host, &other.conditions.host) {
        (Some(kept), None) => format!("names no host; {kept} comes first"),
        (Some(kept), Some(lost)) if kept != lost => format!("{lost} comes after {kept}"),
        (Some(_) | None, _) if pattern(chosen) == pattern(other) => "asks for fewer headers".to_owned(),
        (Some(_) | None, _) => "its path is less specific".to_owned(),
    }
}

/// The first segments in which two patterns are not equally specific.
fn less_specific(chosen: &Pattern, other: &Pattern) -> Option<(String, String)> {
    let kind = |segment: &Segment| match segment {
        Segment::Literal(_) => 0,
        Segment::Param(_) => 1,
        Segment::CatchAll(_) => 2,
    };
    let shown = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Param(name) => format!("{{{name}}}"),
        Segment::CatchAll(name) => format!("{{{name}...}}"),
    };
    let mut pairs = chosen.segments().iter().zip(other.segments());
    pairs.find(|(kept, lost)| kind(kept) != kind(lost)).map(|(kept, lost)| (shown(kept), shown(lost)))
}

fn outcome(config: &Config, rehearsal: &Rehearsal, rehearsed: &Rehearsed) -> Told {
    match &rehearsed.outcome {
        Outcome::Refused(problem) => Told::Refused {
            status: problem.status().as_u16(),
            code: problem.code().name(),
            detail: problem.detail().to_owned(),
        },
        Outcome::Answered(response) => {
            Told::Answered { status: response.status().as_u16(), headers: listed(response.headers()) }
        }
        Outcome::Page(page) => Told::Page { page: format!("{page:?}").to_lowercase() },
        Outcome::Forwarded(forwarded) => forwarding(config, rehearsal, forwarded),
    }
}

fn forwarding(config: &Config, rehearsal: &Rehearsal, forwarded: &Forwarded) -> Told {
    let upstream = &config.upstreams[forwarded.upstream];
    let (mut removed, mut replaced) = (Vec::new(), Vec::new());
    for (name, value) in rehearsal.headers.iter().filter(|(name, _)| *name != HOST) {
        if !forwarded.headers.contains_key(name) {
            removed.push(name.to_string());
        } else if !forwarded.headers.get_all(name).any(|kept| kept == value) {
            replaced.push(name.to_string());
        }
    }
    Told::Forwarded {
        upstream: upstream.name.clone(),
        targets: upstream.targets.iter().map(|target| target.address.authority.to_string()).collect(),
        path: forwarded.path_and_query.clone(),
        headers: listed(&forwarded.headers),
        removed,
        replaced,
        assertion: forwarded.assertion.as_ref().map_or(Value::Null, |assertion| json!(assertion)),
    }
}

fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut listed: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    listed.sort();
    listed
}
