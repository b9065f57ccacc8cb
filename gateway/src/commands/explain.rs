//! `gateway explain METHOD PATH`: which route a request takes and why, and what would be forwarded. Sends nothing.

use std::{
    cell::OnceCell,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
    time::SystemTime,
};

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
    args::ConfigFile,
    claims,
    explanation::{Candidate, ExplainedOutcome, Explanation, print},
    output::print_json,
};
use crate::{
    auth::{
        bearer,
        caller::Caller,
        claims::Claims,
        policy::{
            Policy,
            requirement::{self, Parameter, Requirement, Wanted},
        },
        settings::JwksSource,
        token_issuers::TokenIssuers,
        verifier::{Verifier, VerifyError},
    },
    config::{self, Config},
    proxy::rehearse::{self, Forwarded, Outcome, Rehearsal, Rehearsed},
    route::{Destination, RouteSettings},
    routing::{
        entry::Entry,
        pattern::{Pattern, Segment},
    },
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The method, such as GET
    method: String,
    /// Path and query, such as /api/users/7
    path: String,
    /// The host of the request
    #[arg(long)]
    host: Option<String>,
    /// A header of the request, such as 'x-version: 2'
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The address of the client [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// The token of the caller, which is verified
    #[arg(long, conflicts_with = "claims")]
    token: Option<String>,
    /// A file with the JWKS of the external issuer of the token, which is not fetched
    #[arg(long, value_name = "FILE", requires = "token")]
    jwks: Option<PathBuf>,
    /// The claims of an assumed caller, such as user_type=admin,sub=1
    #[arg(long = "as", value_name = "CLAIMS")]
    claims: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the command line says about the caller.
enum Credentials {
    None,
    /// The claims of an assumed caller; nothing is verified.
    Claims(Claims),
    Token {
        token: String,
        /// The public keys of an external issuer.
        jwks: Option<PathBuf>,
    },
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, StartError> {
    let (rehearsal, credentials) = parse(args)?;
    let config = config::load(&args.file.config, &environment)?;
    let explanation = explain(&config, rehearsal, &credentials)?;
    if args.json {
        print_json(&explanation)?
    } else {
        print(&explanation)
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(args: &Args) -> Result<(Rehearsal, Credentials), StartError> {
    let mut mistakes = Mistakes::default();
    let method = Method::from_bytes(args.method.as_bytes());
    let method = mistakes.take("METHOD", method);
    let target = args.path.parse::<Uri>().map_err(|error| format!("`{}` is no path: {error}", args.path));
    let target = mistakes.take("PATH", target);
    let host = args.host.iter().map(|host| format!("{HOST}: {host}"));
    let headers: Vec<_> =
        args.headers.iter().cloned().chain(host).filter_map(|text| mistakes.take("-H", header(&text))).collect();
    let credentials = match (&args.token, &args.claims) {
        (Some(token), _) => Some(Credentials::Token { token: token.clone(), jwks: args.jwks.clone() }),
        (None, Some(text)) => mistakes.take("--as", claims::parse(text)).map(Credentials::Claims),
        (None, None) => Some(Credentials::None),
    };
    let rehearsal = method.zip(target).map(|(method, target)| Rehearsal {
        method,
        target,
        headers,
        body_bytes: None,
        client: args.from,
    });
    mistakes.finish(rehearsal.zip(credentials))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let error = || format!("`{text}` is not a header; write it like 'x-version: 2'");
    let (name, value) = text.split_once(':').ok_or_else(error)?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| error())?;
    Ok((name, HeaderValue::from_str(value.trim()).map_err(|_| error())?))
}

fn explain(config: &Config, mut rehearsal: Rehearsal, credentials: &Credentials) -> Result<Explanation, StartError> {
    let rehearsed = match credentials {
        Credentials::None => {
            rehearse::rehearse(config, &rehearsal, &|_| Err(bearer::invalid("give the token with --token")))
        }
        Credentials::Claims(claims) => {
            let caller = Rc::new(Caller::from_claims(claims.clone()));
            rehearsal.headers.push(rehearse::assumed_token());
            rehearse::rehearse(config, &rehearsal, &|_| Ok(Rc::clone(&caller)))
        }
        Credentials::Token { token, jwks } => {
            let keys_missing = OnceCell::new();
            let verify = verifier(config, jwks.as_deref(), &keys_missing)?;
            rehearsal.headers.push(rehearse::token(token).map_err(StartError::failed)?);
            let rehearsed = rehearse::rehearse(config, &rehearsal, &verify);
            if let Some(why) = keys_missing.get() {
                return Err(StartError::failed(format_args!("the token cannot be verified: {why}")));
            }
            rehearsed
        }
    };
    Ok(explanation(config, &rehearsal, &rehearsed))
}

/// Verifies with the keys of the configuration. They must exist: a key that were created now could not have signed the token.
/// Those of an external issuer are read from the file `jwks`, or from the file that the configuration names. They are
/// never fetched; where that would be needed, `keys_missing` receives the reason, since nothing is known about the token.
fn verifier(
    config: &Config,
    jwks: Option<&Path>,
    keys_missing: &OnceCell<String>,
) -> Result<impl Fn(&str) -> Result<Rc<Caller>, Problem>, StartError> {
    let settings = config.tokens.as_ref().ok_or_else(|| StartError::failed("the file has no `tokens` section"))?;
    let issuers = TokenIssuers::load_existing(settings, SystemTime::now()).map_err(StartError::failed)?;
    Ok(move |token: &str| {
        let verify = || Verifier::new(issuers.clone()).verify(token, SystemTime::now());
        let result = match verify() {
            Err(unknown @ VerifyError::UnknownKey { external, .. }) => match read_keys(&issuers, external, jwks) {
                Ok(()) => verify(),
                Err(why) => {
                    // Called once for a request: nothing is there yet.
                    let _ = keys_missing.set(why);
                    Err(unknown)
                }
            },
            result => result,
        };
        result.map_err(VerifyError::into_problem)
    })
}

/// Reads the keys of an external issuer from a file.
fn read_keys(issuers: &TokenIssuers, external: usize, jwks: Option<&Path>) -> Result<(), String> {
    let settings = issuers.external_settings(external);
    match (jwks, settings.map(|settings| (&settings.issuer, &settings.jwks))) {
        (Some(file), _) => issuers.read_external(external, file),
        (None, Some((_, JwksSource::File(file)))) => issuers.read_external(external, file),
        (None, Some((issuer, JwksSource::Discovery))) => Err(format!(
            "the keys of the issuer `{issuer}` are found by discovery, which `explain` does not do; download them, and name \
             the file with `--jwks FILE`"
        )),
        (None, Some((issuer, JwksSource::Url(url)))) => Err(format!(
            "the keys of the issuer `{issuer}` are at {url}, which `explain` does not fetch; download them, and name the \
             file with `--jwks FILE`"
        )),
        (None, None) => Ok(()),
    }
}

fn explanation(config: &Config, rehearsal: &Rehearsal, rehearsed: &Rehearsed) -> Explanation {
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
            .map_or_else(Vec::new, |(route, caller)| policy_checks(route, &rehearsed.path, caller)),
        limits: route.map(|route| route.limits.iter().map(ToString::to_string).collect()).unwrap_or_default(),
        outcome: outcome(config, rehearsal, rehearsed),
    }
}

/// How each part of the policy compares with the claims of the caller.
fn policy_checks(route: &RouteSettings, path: &str, caller: &Caller) -> Vec<String> {
    let Policy::Claims(requirement) = &route.policy else {
        return vec!["the caller is signed in: allowed".to_owned()];
    };
    let mut checks =
        Checks { claims: &caller.claims, parameter: &|at| route.pattern.value_at(path, at), lines: Vec::new() };
    match requirement {
        Requirement::All(parts) => parts.iter().for_each(|part| checks.add(part, 0)),
        Requirement::Claim { .. } | Requirement::Scopes(_) | Requirement::Any(_) => checks.add(requirement, 0),
    }
    checks.lines
}

/// Lines about a requirement and its parts.
struct Checks<'a> {
    claims: &'a Claims,
    parameter: Parameter<'a>,
    lines: Vec<String>,
}

impl Checks<'_> {
    fn add(&mut self, requirement: &Requirement, depth: usize) {
        let is_met = requirement.is_met(self.claims, self.parameter);
        let decision = if is_met { "allowed" } else { "denied" };
        let shown = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
        let (line, parts): (String, &[Requirement]) = match requirement {
            Requirement::Claim { at, values } => {
                let wanted: Vec<String> = values.iter().map(|value| self.wanted(value)).collect();
                (format!("{at} must be {}, and is {}", wanted.join(" or "), shown(at.find(self.claims))), &[])
            }
            Requirement::Scopes(scopes) => {
                let held = shown(requirement::scopes_of(self.claims));
                (format!("the scopes must include {}, and are {held}", scopes.join(" and ")), &[])
            }
            Requirement::Any(parts) => ("one of these must hold".to_owned(), parts),
            Requirement::All(parts) => ("all of these must hold".to_owned(), parts),
        };
        self.lines.push(format!("{:1$}{line}: {decision}", "", depth * 2));
        parts.iter().for_each(|part| self.add(part, depth + 1));
    }

    /// A parameter of the path is shown with its value.
    fn wanted(&self, value: &Wanted) -> String {
        match value {
            Wanted::Text(text) => text.clone(),
            Wanted::Parameter { segment, .. } => {
                let text =
                    (self.parameter)(*segment).map_or_else(|| "no text".to_owned(), |text| format!("\"{text}\""));
                format!("{value} ({text})")
            }
        }
    }
}

fn candidates(config: &Config, rehearsal: &Rehearsal, rehearsed: &Rehearsed) -> Vec<Candidate> {
    let entries = config.table.at(&rehearsed.path);
    let is_chosen = |entry: &Entry<Destination>| match (&entry.route, &rehearsed.outcome) {
        (Destination::Route(index), _) => rehearsed.route == Some(*index),
        (Destination::Builtin(page), Outcome::Page(answered)) => page == answered,
        (Destination::Builtin(_), Outcome::Refused(_) | Outcome::Answered(_) | Outcome::Forwarded(_)) => false,
    };
    let chosen = entries.iter().find(|entry| is_chosen(entry)).copied();
    rehearse::with_query(rehearsal, &rehearsed.path, |query| {
        let why = |entry: &Entry<Destination>| {
            if is_chosen(entry) {
                "the most specific route that is for this request".to_owned()
            } else if !entry.methods.allow(query.method) {
                format!("is not for {}", query.method)
            } else if !entry.host_matches(query) {
                "is for another host".to_owned()
            } else if !entry.headers_match(query) {
                "is for other headers".to_owned()
            } else {
                chosen.map_or_else(String::new, |chosen| why_not_chosen(config, chosen, entry))
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

/// Why another route that matches the request was not chosen.
fn why_not_chosen(config: &Config, chosen: &Entry<Destination>, other: &Entry<Destination>) -> String {
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

fn outcome(config: &Config, rehearsal: &Rehearsal, rehearsed: &Rehearsed) -> ExplainedOutcome {
    match &rehearsed.outcome {
        Outcome::Refused(problem) => ExplainedOutcome::Refused {
            status: problem.status().as_u16(),
            code: problem.code().name(),
            detail: problem.detail().to_owned(),
        },
        Outcome::Answered(response) => {
            ExplainedOutcome::Answered { status: response.status().as_u16(), headers: sorted(response.headers()) }
        }
        Outcome::Page(page) => ExplainedOutcome::Page { page: format!("{page:?}").to_lowercase() },
        Outcome::Forwarded(forwarded) => forwarding(config, rehearsal, forwarded),
    }
}

fn forwarding(config: &Config, rehearsal: &Rehearsal, forwarded: &Forwarded) -> ExplainedOutcome {
    let upstream = &config.upstreams[forwarded.upstream];
    let (mut removed, mut replaced) = (Vec::new(), Vec::new());
    for (name, value) in rehearsal.headers.iter().filter(|(name, _)| *name != HOST) {
        if !forwarded.headers.contains_key(name) {
            removed.push(name.to_string());
        } else if !forwarded.headers.get_all(name).any(|kept| kept == value) {
            replaced.push(name.to_string());
        }
    }
    ExplainedOutcome::Forwarded {
        upstream: upstream.name.clone(),
        targets: upstream.targets.iter().map(|target| target.address.authority.to_string()).collect(),
        path: forwarded.path_and_query.clone(),
        headers: sorted(&forwarded.headers),
        removed,
        replaced,
        assertion: forwarded.assertion.as_ref().map_or(Value::Null, |assertion| json!(assertion)),
    }
}

/// Names and values in alphabetical order.
fn sorted(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    pairs.sort();
    pairs
}
