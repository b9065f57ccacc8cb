//! Routes that name hooks.

use super::{HEAD, UPSTREAMS, with_routes};

#[test]
fn hooks_that_are_not_registered_are_mistakes() {
    for (route, help) in [
        ("auth: public, then: issue-tokn", "did you mean `issue-token`?"),
        ("auth: public, then: nothing", "there are: issue-token"),
        ("auth: {hook: own}", "none is registered here"),
        ("auth: signed-in, decoder: own", "none is registered here"),
        ("auth: signed-in, headers_from: [own]", "none is registered here"),
    ] {
        let found = with_routes(&format!("  - {{route: GET /x, to: users, {route}}}\n"));
        assert_eq!(found.len(), 1, "{route}: {found:#?}");
        assert!(found[0].message.contains("there is no hook"), "{found:?}");
        assert!(found[0].help.as_deref().is_some_and(|text| text.contains(help)), "{route}: {found:?}");
    }
}

#[test]
fn a_hook_may_not_write_what_only_the_gateway_writes() {
    let host = actix_http::header::HOST;
    let builder = gateway::Gateway::builder().headers("bad", &[host], |_| async { Ok(Vec::new()) });
    let yaml = format!("{HEAD}{UPSTREAMS}routes: [{{route: GET /x, to: users, auth: public, headers_from: bad}}]\n");
    let error = builder.load_text("test.yaml", &yaml, &|_| None).unwrap_err().to_string();
    assert!(error.contains("this hook sets `host`, which only the gateway writes"), "{error}");
}
