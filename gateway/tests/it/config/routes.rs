//! Routes, and what they may hide or contradict.

use super::{HEAD, TOKENS, UPSTREAMS, mistakes, with_routes};

#[test]
fn a_route_that_says_nothing_about_auth_is_refused() {
    let found = with_routes("  - {route: GET /x, to: users}\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("`auth` is missing"), "{found:?}");
}

#[test]
fn what_the_gateway_could_not_do_is_refused() {
    for (routes, message) in [
        (
            "  - {route: GET /x, to: users, auth: public}\n  - {route: 'GET /x', to: users, auth: public}",
            "also belongs to",
        ),
        (
            "  - {route: 'GET /a/{x}', to: users, auth: public}\n  - {route: '* /a/{y}', to: users, auth: public}",
            "also belongs to",
        ),
        ("  - {route: GET /{x}, to: users, auth: public}", "not valid YAML"),
        ("  - {route: GET x, to: users, auth: public}", "must begin with `/`"),
        ("  - {route: /x, to: users, auth: public}", "methods and a path"),
        ("  - {route: GET /x, to: users, auth: {}}", "no claim is named"),
        ("  - {route: GET /x, to: users, auth: {role: []}}", "nobody could pass"),
        ("  - {route: GET /x, to: users, auth: [public]}", "no policy"),
        ("  - {route: GET /x, to: users, auth: public, limit: 5/min per user}", "no callers to count"),
        ("  - {route: GET /x, to: users, auth: public, limit: lots}", "is not a limit"),
        ("  - {route: 'GET /x/{a}', to: users, auth: public, rewrite: '/{b}'}", "has no part `{b}`"),
        ("  - {route: GET /x, to: users, auth: public, body_limit: big}", "is not a size"),
        ("  - {route: GET /x, to: users, auth: public, websockets: true}", "there is no key `websockets`"),
        ("  - {route: GET /x, to: users, auth: public, websocket: maybe}", "is not `true` or `false`"),
        ("  - {route: POST /x, to: users, auth: public, websocket: true}", "a WebSocket begins with GET"),
        ("  - {route: GET /x, to: users, auth: public, path: {encoded_slash: yes}}", "is not `keep` or `refuse`"),
        ("  - {route: GET /x, to: users, auth: public, path: {merge_slashes: no}}", "is not `true` or `false`"),
        ("  - {route: GET /x, to: users, auth: public, path: {slashes: keep}}", "there is no key `slashes`"),
        ("  - {route: GET /x, to: users, auth: public, then: nothing}", "there is no hook"),
        ("  - {route: GET /x, to: users, auth: public, forward_authorization: yes}", "is not `true` or `false`"),
    ] {
        let found = with_routes(routes);
        assert_eq!(found.len(), 1, "{routes}: {found:#?}");
        assert!(found[0].message.contains(message), "{routes}: {found:?}");
    }
}

#[test]
fn two_routes_that_one_request_could_match_are_refused_with_what_to_do() {
    let two = |first: &str, second: &str| {
        with_routes(&format!(
            "  - {{route: GET /x, to: users, auth: public, when: {first}}}\n  \
               - {{route: GET /x, to: users, auth: public, when: {second}}}\n"
        ))
    };
    let found = two("{headers: {a: x}}", "{headers: {b: x}}");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].message.contains("GET /x also belongs to the route `GET /x (a: x)`"), "{found:?}");
    assert!(found[0].help.as_ref().unwrap().contains("name `a` here too"), "{found:?}");
    assert_eq!(two("{host: A.example.com}", "{host: a.example.com}").len(), 1);
    for (first, second) in [
        ("{headers: {a: x}}", "{headers: {a: y}}"),
        ("{headers: {a: x}}", "{headers: {a: x, b: x}}"),
        ("{host: a.example.com}", "{host: '*.example.com'}"),
        ("{host: a.example.com}", "{}"),
    ] {
        assert!(two(first, second).is_empty(), "{first} {second}");
    }
}

#[test]
fn what_a_route_may_not_say_about_headers_and_origins_is_refused() {
    for (keys, message) in [
        ("when: {host: 'a.example.com:80'}", "is not a host"),
        ("when: {headers: {host: x}}", "a key of its own"),
        ("when: {headers: {Request_User_Id: '1'}}", "says who calls"),
        ("when: {headers: {authorization: x}}", "says who calls"),
        ("when: {headers: {connection: close}}", "describes one connection"),
        ("when: {headers: {X: a, x: b}}", "is there twice"),
        ("when: {headers: {x: ''}}", "no header has the value"),
        ("when: {hosts: a}", "there is no key `hosts`"),
        ("request_headers: {set: {request-user-id: '1'}}", "only the gateway may say that"),
        ("request_headers: {set: {X_Tenant: '1'}}", "only the gateway may say that"),
        ("request_headers: {add: {Host: x}}", "written by the gateway itself"),
        ("request_headers: {remove: [x-forwarded-for]}", "written by the gateway itself"),
        ("request_headers: {set: {content-length: 0}}", "where the message ends"),
        ("response_headers: {set: {Transfer-Encoding: chunked}}", "where the message ends"),
        ("response_headers: {set: {connection: close}}", "where the message ends"),
        ("response_headers: {remove: ['a b']}", "is no header name"),
        ("response_headers: {set: {x: [1]}}", "a single value is wanted"),
        ("response_headers: {put: {x: 1}}", "there is no key `put`"),
        ("cors: {}", "`origins` is missing"),
        ("cors: on", "pairs are wanted here"),
        ("cors: {origins: []}", "no origin is named"),
        ("cors: {origins: 'https://a.example/'}", "is not an origin"),
        ("cors: {origins: a.example}", "is not an origin"),
        ("cors: {origins: ['*', 'https://a.example']}", "must stand alone"),
        ("cors: {origins: '*', credentials: true}", "there can be no credentials"),
        ("cors: {origins: 'https://a.example', credentials: true, headers: '*'}", "name the headers"),
        ("cors: {origins: '*', methods: [FLY]}", "is not a method"),
        ("cors: {origins: '*', methods: []}", "no method is named"),
        ("cors: {origins: '*', max_age: 0s}", "longer than zero"),
    ] {
        let yaml = format!(
            "{HEAD}{TOKENS}{UPSTREAMS}identity: {{headers: {{x-tenant: tenant}}}}\n\
             routes:\n  - {{route: GET /x, to: users, auth: public, {keys}}}\n"
        );
        let found = mistakes(&yaml);
        assert_eq!(found.len(), 1, "{keys}: {found:#?}");
        assert!(found[0].message.contains(message), "{keys}: {found:?}");
    }
}

#[test]
fn routes_may_not_hide_the_pages_of_the_gateway() {
    let yaml = format!(
        "{HEAD}{UPSTREAMS}builtin: {{docs: /docs, health: /health}}\nroutes:\n  \
         - {{route: GET /docs, to: users, auth: public}}\n  \
         - {{route: GET /health/live, to: users, auth: public}}\n  \
         - {{route: \"* /{{rest...}}\", to: users, auth: public}}\n"
    );
    let found = mistakes(&yaml);
    assert_eq!(found.iter().map(|m| m.place.line).collect::<Vec<_>>(), [7, 8], "{found:#?}");
}

#[test]
fn an_alias_hides_no_route() {
    let yaml = format!(
        "{HEAD}{UPSTREAMS}aliases: {{/api/v1: /api}}\nroutes:\n  - {{route: GET /api/v1/x, to: users, auth: public}}\n"
    );
    assert!(mistakes(&yaml)[0].message.contains("never reached"));
}
