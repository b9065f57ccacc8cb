//! The YAML: every mistake at once, each with its line. A file here for each section of it.

mod any_text;
mod hooks;
mod limits;
mod messages;
mod resilience;
mod routes;
mod tls;
mod tokens;

use gateway::config::{Config, Mistake, render};

fn mistakes(yaml: &str) -> Vec<Mistake> {
    let environment = |name: &str| match name {
        "GATEWAY_JWT_SECRET" => Some("s".repeat(32)),
        "INTERNAL_KEY" => Some("k".repeat(32)),
        _ => None,
    };
    Config::load(yaml, &environment).err().unwrap_or_default()
}

const HEAD: &str = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n";
const TOKENS: &str = "tokens: {issuer: i, audience: a}\n";
const UPSTREAMS: &str = "upstreams: {users: {targets: [\"http://users:1\"]}}\n";

fn with_routes(routes: &str) -> Vec<Mistake> {
    mistakes(&format!("{HEAD}{TOKENS}{UPSTREAMS}routes:\n{routes}"))
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line() {
    let yaml = "\
version: 2
listen: nowhere
admin: 127.0.0.1:0
lissen: 1
tokens: {issuer: i, audience: a, ttl: 0s}
upstreams:
  users: {targets: [ftp://x], max_in_flight: 0}
routes:
  - {route: POST /login, to: user, auth: public, then: issue-tokn}
  - {route: GET /x, to: users}
  - {route: get /y, to: users, auth: publc}
";
    let found: Vec<(usize, String)> = mistakes(yaml).into_iter().map(|m| (m.place.line, m.path.clone())).collect();
    let found: Vec<(usize, &str)> = found.iter().map(|(line, path)| (*line, path.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, "version"),
            (2, "listen"),
            (4, "lissen"),
            (5, "tokens.ttl"),
            (7, "upstreams.users.targets[0]"),
            (7, "upstreams.users.max_in_flight"),
            (9, "routes[0].to"),
            (9, "routes[0].then"),
            (10, "routes[1]"),
            (11, "routes[2].route"),
            (11, "routes[2].auth"),
        ]
    );
}

#[test]
fn a_mistake_shows_its_line_a_caret_and_what_was_meant() {
    let yaml = format!("{HEAD}{UPSTREAMS}routes:\n  - {{route: GET /x, to: usrs, auth: public}}\n");
    let shown = render(&mistakes(&yaml)[0], "gateway.yaml", &yaml);
    assert_eq!(
        shown,
        "gateway.yaml:6:25: routes[0].to: there is no upstream `usrs`\n  \
         |\n6 |   - {route: GET /x, to: usrs, auth: public}\n  \
         |                         ^^^^ did you mean `users`?"
    );
}

#[test]
fn a_missing_variable_is_a_mistake_and_a_default_is_not() {
    let yaml = format!("{HEAD}upstreams: {{u: {{targets: [\"${{U_URL}}\"]}}}}\nroutes: []\n");
    let found = mistakes(&yaml);
    assert!(found[0].message.contains("U_URL is not set"), "{found:?}");
    assert!(mistakes(&yaml.replace("${U_URL}", "${U_URL:-http://u:1}")).is_empty());
}
