//! `tokens`, and what needs them; the keys for assertions.

use super::{HEAD, TOKENS, UPSTREAMS, mistakes};
use gateway::config::{Config, Mistake};

#[test]
fn tokens_need_a_section_and_one_key() {
    let yaml = format!("{HEAD}{UPSTREAMS}routes: [{{route: GET /x, to: users, auth: signed-in}}]\n");
    assert!(mistakes(&yaml)[0].message.contains("no `tokens` section"));
    let both = format!("{HEAD}{UPSTREAMS}tokens: {{issuer: i, audience: a, keys: /keys}}\nroutes: []\n");
    assert!(mistakes(&both)[0].message.contains("keep one of them"));
    let neither = Config::load(&format!("{HEAD}{TOKENS}{UPSTREAMS}routes: []\n"), &|_| None).unwrap_err();
    assert!(neither[0].message.contains("no key to sign tokens"), "{neither:?}");
    let short = |name: &str| (name == "GATEWAY_JWT_SECRET").then(|| "short".to_owned());
    let short = Config::load(&format!("{HEAD}{TOKENS}{UPSTREAMS}routes: []\n"), &short).unwrap_err();
    assert!(short[0].message.contains("at least 32 bytes"), "{short:?}");
}

#[test]
fn an_upstream_that_wants_assertions_needs_a_key() {
    let yaml = format!("{HEAD}upstreams: {{u: {{targets: [\"http://u:1\"], assertion: users}}}}\nroutes: []\n");
    assert!(mistakes(&yaml).is_empty());
    let found = Config::load(&yaml, &|_| None).unwrap_err();
    assert!(found[0].message.contains("set USERS_INTERNAL_KEY or USERS_INTERNAL_KEY_FILE"), "{found:?}");
}

fn with_tokens(tokens: &str) -> Vec<Mistake> {
    mistakes(&format!(
        "{HEAD}tokens: {tokens}\n{UPSTREAMS}routes:\n  - {{route: POST /login, to: users, auth: public, then: issue-token}}\n"
    ))
}

#[test]
fn mistakes_about_tokens_are_reported() {
    let others = |issuer: &str| format!("{{issuer: i, audience: a, other_issuers: [{issuer}]}}");
    for (tokens, message) in [
        (others("{issuer: x, audience: a}"), "`jwks` is missing"),
        (others("{issuer: x, audience: a, jwks: 'ftp://x/y'}"), "neither an http(s) address nor a file"),
        (others("{issuer: x, audience: a, jwks: 'http://x', typ: jwt}"), "no rule for `typ`"),
        (others("{issuer: x, audience: a, jwks: 'http://x', refresh: 0s}"), "longer than zero"),
        (others("{issuer: x, audience: a, jwks: 'http://x', ttl: 5m}"), "there is no key `ttl`"),
        (others("{issuer: i, audience: a, jwks: 'http://x'}"), "the issuer `i` is there twice"),
        ("{issuer: i, audience: a, publish_for: soon}".to_owned(), "not a duration"),
        ("{issuer: i, audience: a, jwks: 'http://x', keys: k}".to_owned(), "there is no key `keys`"),
    ] {
        let found = with_tokens(&tokens);
        assert!(found.iter().any(|mistake| mistake.message.contains(message)), "{tokens}: {found:?}");
    }
    let found = with_tokens("{issuer: i, audience: a, jwks: 'https://idp.example/jwks.json'}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("with a key of our own"), "only who has a key issues tokens: {found:?}");
    assert_eq!(
        with_tokens(&others("{issuer: x, audience: a, jwks: keys.json, typ: any, ca: ca.pem, refresh: 1m}")),
        []
    );
}

#[test]
fn mistakes_about_ended_sessions_are_reported() {
    let sessions = |sessions: &str| with_tokens(&format!("{{issuer: i, audience: a, sessions: {{{sessions}}}}}"));
    let right = "from: users, path: /ended, unreachable: refuse, after: 2s";
    assert_eq!(sessions(right), []);
    for (wrong, message) in [
        (right.replace("users", "usres"), "there is no upstream `usres`"),
        (right.replace("from: users, ", ""), "`from` is missing"),
        (right.replace("path: /ended, ", ""), "`path` is missing"),
        (right.replace("unreachable: refuse, ", ""), "`unreachable` is missing"),
        (right.replace("refuse", "closed"), "`closed` is neither `accept` nor `refuse`"),
        (right.replace("/ended", "ended"), "must begin with `/`"),
        (right.replace("/ended", "/ended?x=1"), "must be percent-encoded"),
        (right.replace("2s", "1999ms"), "`after` must be at least 2 s"),
    ] {
        let found = sessions(&wrong);
        assert_eq!(found.len(), 1, "{wrong}: {found:?}");
        assert!(found[0].message.contains(message), "{wrong}: {found:?}");
    }
    let external = format!("{{issuer: i, audience: a, jwks: 'https://idp.example/jwks.json', sessions: {{{right}}}}}");
    let found = with_tokens(&external);
    assert!(found.iter().any(|mistake| mistake.message == "there is no key `sessions`"), "only of our own: {found:?}");
}

#[test]
fn a_key_that_was_renamed_is_refused_and_the_new_name_is_given() {
    let found = with_tokens("{issuer: i, audience: a, also: [{issuer: x, audience: a, jwks: keys.json}]}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].path, "tokens.also");
    assert_eq!(found[0].message, "the key `also` has been renamed to `other_issuers`");
}
