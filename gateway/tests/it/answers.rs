//! Routes that the gateway answers itself: over real sockets, in the commands, and as mistakes of the file.

use std::fs;

use chassis::testing::{Connection, call, exchange, get, post, until};
use gateway::config::{Config, Mistake};
use serde_json::{Value, json};

use crate::{
    commands::{gateway, stderr},
    fixture::{Gateway, token},
};

const ROUTES: &str = "upstreams: {}\nroutes:\n  \
    - {route: '* /old/{path...}', auth: public, respond: {status: 410, body: '{\"gone\": true}', content_type: application/json}, \
       response_headers: {set: {cache-control: no-store}}}\n  \
    - {route: '* /maintenance', auth: public, body_limit: 10, respond: {status: 503, body: Back at noon.}}\n  \
    - {route: GET /nothing, auth: public, respond: {status: 204}}\n  \
    - {route: GET /default, auth: public, respond: {}}\n  \
    - {route: GET /private, auth: {user_type: admin}, respond: {body: secret}}\n  \
    - {route: GET /limited, auth: public, limit: 1/hour per ip, respond: {body: rare}}\n  \
    - {route: GET /local, auth: public, from: 192.0.2.0/24, respond: {body: near}}\n  \
    - {route: GET /pages, auth: public, cors: {origins: 'https://app.example'}, respond: {body: shared}}\n";

fn started() -> Gateway {
    Gateway::start(ROUTES, &[])
}

#[test]
fn a_route_answers_without_any_upstream() {
    let gateway = started();
    let gone = get("/old/a/b?c=d").send(gateway.addr());
    assert_eq!((gone.status, gone.text().as_str()), (410, "{\"gone\": true}"));
    assert_eq!(gone.values("content-type"), ["application/json"]);
    assert_eq!(gone.values("cache-control"), ["no-store"]);
    assert_eq!(gone.values("x-request-id").len(), 1);

    let text = get("/maintenance").send(gateway.addr());
    assert_eq!((text.status, text.text().as_str()), (503, "Back at noon."));
    assert_eq!(text.values("content-type"), ["text/plain; charset=utf-8"]);

    let default = get("/default").send(gateway.addr());
    assert_eq!((default.status, default.text().as_str(), default.header("content-type")), (200, "", None));
    let nothing = get("/nothing").send(gateway.addr());
    assert_eq!((nothing.status, nothing.body.len(), nothing.header("content-length")), (204, 0, None));
}

#[test]
fn a_fixed_address_is_redirected_to_by_a_header() {
    let gateway = Gateway::start(
        "upstreams: {}\nroutes:\n  - {route: GET /old, auth: public, respond: {status: 308}, \
         response_headers: {set: {location: 'https://example.com/new'}}}\n",
        &[],
    );
    let moved = get("/old").send(gateway.addr());
    assert_eq!((moved.status, moved.header("location")), (308, Some("https://example.com/new")));
}

#[test]
fn paths_are_redirected_with_their_parameters() {
    let gateway = Gateway::start(
        "upstreams: {}\nroutes:\n  - {route: \"* /old/{path...}\", auth: public, redirect: {to: \"/new/{path}\"}}\n  \
         - {route: \"GET /{path...}\", auth: public, redirect: {to: \"https://{host}/{path}\", status: 301}, \
           response_headers: {set: {cache-control: max-age=60}}}\n  \
         - {route: GET /mine, auth: signed-in, redirect: {to: /theirs, status: 302}}\n",
        &[],
    );
    for (sent, status, location) in [
        ("GET /old/a/b?x=1", 308, "/new/a/b?x=1"),
        ("POST /old/%61%2e", 308, "/new/a."),
        ("GET /any/where?y", 301, "https://shop.example/any/where?y"),
    ] {
        let request = format!("{sent} HTTP/1.1\r\nHost: shop.example:8080\r\nConnection: close\r\n\r\n");
        let answer = exchange(gateway.addr(), request.as_bytes());
        assert_eq!((answer.status, answer.header("location")), (status, Some(location)), "{sent}");
        assert_eq!(answer.text(), "");
        assert_eq!(answer.header("cache-control").is_some(), status == 301, "{sent}");
    }
    let nameless = exchange(gateway.addr(), b"GET /a HTTP/1.0\r\n\r\n");
    assert_eq!((nameless.status, nameless.problem().as_str()), (400, "bad_request"));
    assert_eq!(get("/mine").send(gateway.addr()).status, 401);
    let mine = get("/mine").bearer(&token(7, "default")).send(gateway.addr());
    assert_eq!((mine.status, mine.header("location")), (302, Some("/theirs")));
}

#[test]
fn head_gets_the_head_alone() {
    let gateway = started();
    let mut connection = Connection::open(gateway.addr());
    connection.send(b"HEAD /maintenance HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = connection.answer(true).unwrap();
    assert_eq!((head.status, head.header("content-length")), (503, Some("13")));
    assert_eq!(connection.answer(false).unwrap().status, 204);
}

#[test]
fn a_body_that_nobody_reads_is_no_second_request() {
    let gateway = started();
    let smuggled = "GET /default HTTP/1.1\r\nHost: a\r\n\r\n";
    let request =
        |length: usize| format!("POST /old/x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{smuggled}");
    let whole = request(smuggled.len()) + "GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut connection = Connection::open(gateway.addr());
    connection.send(whole.as_bytes());
    assert_eq!(connection.answer(false).unwrap().status, 410);
    // The connection is closed, or goes on with the request after the body.
    let next = connection.try_answer(false).ok().flatten();
    assert!(next.is_none_or(|answer| answer.status == 204));
}

#[test]
fn the_rules_of_the_route_come_first() {
    let gateway = started();
    let private = |token: Option<String>| {
        let call = get("/private");
        token.map_or_else(|| call.clone(), |token| call.clone().bearer(&token)).send(gateway.addr())
    };
    assert_eq!(private(None).problem(), "token_missing");
    assert_eq!(private(Some(token(1, "default"))).status, 403);
    assert_eq!(private(Some(token(1, "admin"))).text(), "secret");

    let limited = || get("/limited").send(gateway.addr());
    let allowed = limited();
    assert_eq!((allowed.status, allowed.text().as_str()), (200, "rare"));
    assert_eq!(allowed.header("ratelimit-policy"), Some("\"ip\";q=1;w=3600"));
    assert_eq!(limited().problem(), "rate_limited");

    assert_eq!(get("/local").send(gateway.addr()).problem(), "address_refused");
    let long = post("/maintenance", &json!({"a": "longer than ten"})).send(gateway.addr());
    assert_eq!(long.problem(), "payload_too_large");
    let refused = exchange(gateway.addr(), b"POST /default HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(refused.problem(), "method_not_allowed");

    let shared = get("/pages").header("Origin", "https://app.example").send(gateway.addr());
    assert_eq!(shared.values("access-control-allow-origin"), ["https://app.example"]);
    let preflight = call("OPTIONS", "/pages")
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "GET");
    assert_eq!(preflight.send(gateway.addr()).status, 204);
}

#[test]
fn it_is_counted_and_shown_but_no_error() {
    let gateway = started();
    assert_eq!(get("/maintenance").send(gateway.addr()).status, 503);
    assert_eq!(get("/private").send(gateway.addr()).status, 401);
    let series = "gateway_requests_total{route=\"* /maintenance\",upstream=\"none\",status=\"503\"}";
    until("the request is counted", || gateway.metric(series) == Some(1.0));
    let admin = |path: &str| get(path).send(gateway.admin).json();
    // The 401 came later: once it is listed, the 503 would be too.
    until("the refusal is listed", || !admin("/errors")["errors"].as_array().unwrap().is_empty());
    let errors = admin("/errors");
    let statuses: Vec<&Value> = errors["errors"].as_array().unwrap().iter().map(|error| &error["status"]).collect();
    assert_eq!(statuses, [401]);
    assert_eq!(admin("/config")["routes"][1]["to"], "respond 503");
}

#[test]
fn the_documentation_has_it_among_the_pages_of_the_gateway() {
    let gateway = Gateway::start(
        "builtin: {openapi: /openapi.json}\nupstreams: {}\nroutes:\n  - {route: 'GET /old/{id}', auth: public, respond: {status: 410}}\n",
        &[],
    );
    let document = get("/openapi.json").send(gateway.addr()).json();
    let operation = &document["paths"]["/old/{id}"]["get"];
    assert_eq!((&operation["tags"], &operation["security"]), (&json!(["gateway"]), &json!([])));
    assert!(operation["responses"]["410"].is_object(), "{document}");
}

const HEAD: &str = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nupstreams: {u: {targets: ['http://u:1']}}\n";

/// Runs a command in a folder with these files, whose contents follow the usual head.
fn run(files: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    for (name, rest) in files {
        fs::write(dir.path().join(name), format!("{HEAD}{rest}")).unwrap();
    }
    let output = gateway(dir.path(), args, &[("GATEWAY_CONFIG", "g.yaml")]);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output))
}

const OWN: &str = "routes:\n  - {route: GET /x, auth: public, respond: {status: 503, body: later}, response_headers: {set: {retry-after: '60'}}}\n";

#[test]
fn commands_tell_the_answer() {
    let files = [("g.yaml", OWN)];
    let (code, shown) = run(&files, &["explain", "--json", "GET", "/x"]);
    assert_eq!(code, Some(0), "{shown}");
    let outcome = &serde_json::from_str::<Value>(&shown).unwrap()["outcome"];
    assert_eq!((&outcome["kind"], &outcome["status"]), (&json!("answered"), &json!(503)));
    assert!(outcome["headers"].as_array().unwrap().contains(&json!(["retry-after", "60"])), "{outcome}");
    let (_, routes) = run(&files, &["routes", "g.yaml"]);
    assert!(routes.contains("respond 503"), "{routes}");

    let tested = |expect: &str| {
        let yaml = format!("{OWN}tests:\n  - {{request: GET /x, expect: {expect}}}\n");
        run(&[("g.yaml", &yaml)], &["test", "g.yaml"])
    };
    assert_eq!(tested("{status: 503, headers: {retry-after: '60'}}").0, Some(0));
    let (code, shown) = tested("{to: u}");
    assert!(code != Some(0) && shown.contains("answered 503"), "{shown}");
}

#[test]
fn plan_tells_what_becomes_of_the_answer() {
    let to = "routes:\n  - {route: GET /x, auth: public, to: u, response_headers: {set: {retry-after: '60'}}}\n";
    let other = OWN.replace("503", "410");
    for (old, new, change, wider) in [
        (OWN, to, "goes to u (was answered 503 by the gateway)", true),
        (to, OWN, "is answered 503 by the gateway (was to u)", false),
        (OWN, &other, "is answered 410 by the gateway, with another answer (was answered 503 by the gateway)", false),
        ("routes: []\n", OWN, "is new: public, answered 503 by the gateway", true),
    ] {
        let (_, shown) = run(&[("old.yaml", old), ("new.yaml", new)], &["plan", "old.yaml", "new.yaml", "--json"]);
        let plan: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
        assert_eq!(plan["changes"], json!([{"of": "GET /x", "change": change, "wider": wider}]), "{shown}");
    }
    let (_, shown) = run(&[("old.yaml", OWN), ("new.yaml", OWN)], &["plan", "old.yaml", "new.yaml"]);
    assert_eq!(shown, "nothing changes for anybody\n");
}

fn mistakes(route: &str) -> Vec<Mistake> {
    let yaml = format!("{HEAD}routes:\n  - {{route: GET /x, auth: public, {route}}}\n");
    Config::load(&yaml, &|_| None).err().unwrap_or_default()
}

#[test]
fn what_cannot_be_answered_is_a_mistake_with_what_to_do() {
    for (route, message, help) in [
        ("limit: []", "`to` is missing", "or write the answer into `respond` or `redirect`"),
        (
            "to: u, respond: {}",
            "only one of `to`, `respond` and `redirect`, and this one has `to` and `respond`",
            "keep one of them",
        ),
        ("to: u, redirect: {to: /y}", "this one has `to` and `redirect`", "keep one of them"),
        ("redirect: {to: /y}, rewrite: /y", "`rewrite` needs an upstream, and `redirect` has none", "remove `rewrite`"),
        ("respnd: {}", "there is no key `respnd`", "did you mean `respond`?"),
        ("direct_response: {}", "there is no key `direct_response`", "did you mean `respond`?"),
        ("respond: {stats: 200}", "there is no key `stats`", "did you mean `status`?"),
        ("respond: {status: 204, body: x}", "an answer with status 204 has no body", "leave `body` out"),
        ("respond: {content_type: text/html}", "there is none", "write `body` too"),
        ("respond: {}, rewrite: /y", "`rewrite` needs an upstream", "remove `rewrite`"),
        ("respond: {}, retry: off", "`retry` needs an upstream", "remove `retry`"),
        ("respond: {}, websocket: true", "`websocket` needs an upstream", "remove `websocket`"),
        ("respond: {}, timeout: {head: 1s}", "`timeout` needs an upstream", "remove `timeout`"),
        ("respond: {}, body_rate: off", "`body_rate` needs an upstream", "remove `body_rate`"),
        ("respond: {}, headers_from: []", "`headers_from` needs an upstream", "remove `headers_from`"),
        ("respond: {}, forward_authorization: true", "`forward_authorization` needs", "remove `forward_auth"),
        ("respond: {}, request_headers: {remove: a}", "`request_headers` needs", "remove `request_headers`"),
    ] {
        let found = mistakes(route);
        assert_eq!(found.len(), 1, "{route}: {found:#?}");
        assert!(found[0].message.contains(message), "{route}: {found:?}");
        assert!(found[0].help.as_ref().is_some_and(|given| given.contains(help)), "{route}: {found:?}");
        assert_eq!(found[0].place.line, 6, "{route}");
    }
    for (route, message) in [
        ("redirect: {to: /y, status: 304}", "is not the status of a redirect"),
        ("redirect: {to: //y}", "begin with https:// or http://"),
        ("redirect: {to: \"/{id}\"}", "has no part `{id}`"),
        ("redirect: {to: /x}", "leads back to the route itself"),
        ("redirect: {}", "`to` is missing"),
        ("respond: {status: 101}", "between 200 and 599"),
        ("respond: {status: 600}", "between 200 and 599"),
        ("respond: {status: teapot}", "between 200 and 599"),
        ("respond: {body: x, content_type: json}", "is not a media type"),
        ("respond: {body: x, content_type: \"text/html\\r\\nx: y\"}", "is not a media type"),
        ("respond: later", "`key: value` pairs are wanted"),
    ] {
        let found = mistakes(route);
        assert_eq!(found.len(), 1, "{route}: {found:#?}");
        assert!(found[0].message.contains(message), "{route}: {found:?}");
    }
}
