//! The admin listener: what it shows, and that it shows no secret.

use chassis::testing::{call, exchange, get, until, until_some};
use serde_json::Value;

use crate::fixture::{Gateway, SECRET, Upstream, token};

const ROUTES: &str =
    "  - {route: GET /x, to: u, auth: public}\n  - {route: GET /mine, to: u, auth: {user_type: admin}}\n";

fn counted(gateway: &Gateway, route: &str) -> Value {
    let routes = get("/routes").send(gateway.admin).json();
    let found = routes["routes"].as_array().unwrap().iter().find(|counted| counted["route"] == route).cloned();
    found.unwrap_or_else(|| panic!("{routes}"))
}

fn errors(gateway: &Gateway) -> Vec<Value> {
    get("/errors").send(gateway.admin).json()["errors"].as_array().unwrap().clone()
}

#[test]
fn routes_are_shown_with_what_was_counted() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let gateway = Gateway::before(&upstream, ROUTES);
    for _ in 0..3 {
        get("/x").send(gateway.addr());
    }
    get("/mine").send(gateway.addr());
    // Counted when the last byte has gone, which the client may see first.
    until("three are counted", || counted(&gateway, "GET /x")["statuses"]["200"] == 3);
    let route = counted(&gateway, "GET /x");
    assert_eq!((&route["upstream"], &route["auth"]), (&Value::from("u"), &Value::from("public")));
    assert_eq!((&route["in_flight"], &route["bytes_out"]), (&Value::from(0), &Value::from(6)));
    let latency: u64 = route["latency"].as_array().unwrap().iter().map(|bucket| bucket[1].as_u64().unwrap()).sum();
    assert_eq!(latency, 3);
    until("the refusal is counted", || counted(&gateway, "GET /mine")["statuses"]["401"] == 1);
    assert_eq!(counted(&gateway, "GET /mine")["auth"], "user_type=admin");
}

#[test]
fn a_host_name_that_anybody_can_choose_reads_nothing() {
    let upstream = Upstream::echo();
    let gateway = Gateway::start(
        &format!(
            "admin_hosts: [gateway]\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\nroutes:\n{ROUTES}",
            upstream.addr
        ),
        &[],
    );
    let asked = |path: &str, host: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        exchange(gateway.admin, head.as_bytes())
    };
    for path in ["/", "/config", "/status", "/metrics", "/health/ready", "/nothing"] {
        let answer = asked(path, "rebound.example:9000");
        assert_eq!((answer.status, answer.problem().as_str()), (421, "misdirected"), "{path}");
    }
    for host in ["localhost:9000", "127.0.0.1", "[::1]:9000", "gateway:9000"] {
        assert_eq!(asked("/config", host).status, 200, "{host}");
    }
    let hosts = get("/config").send(gateway.admin).json()["admin_hosts"].clone();
    assert_eq!(hosts, serde_json::json!(["gateway"]));
}

#[test]
fn failures_are_remembered_by_request_id() {
    let gateway = Gateway::start(
        "upstreams: {u: {targets: [\"http://127.0.0.1:1\"]}}\nroutes: [{route: GET /x, to: u, auth: public}]\n",
        &[],
    );
    let answer = get("/x?secret=1").header("X-Request-Id", "find-me").send(gateway.addr());
    assert_eq!(answer.problem(), "upstream_unreachable");
    let error = until_some("the failure is shown", || errors(&gateway).first().cloned());
    assert_eq!((&error["request_id"], &error["code"]), (&Value::from("find-me"), &Value::from("upstream_unreachable")));
    assert_eq!((&error["request"], &error["route"]), (&Value::from("GET /x"), &Value::from("GET /x")));
    let upstreams = get("/upstreams").send(gateway.admin).json();
    let upstream = &upstreams["upstreams"][0];
    assert_eq!((&upstream["upstream"], &upstream["retries"]), (&Value::from("u"), &Value::from(1)), "{upstream}");
    assert_eq!(upstream["failures"]["not_connected"], 2);
    let metrics = get("/metrics").send(gateway.admin).text();
    for line in [
        "gateway_upstream_failures_total{upstream=\"u\",kind=\"not_connected\"} 2",
        "gateway_upstream_retries_total{upstream=\"u\"} 1",
        "gateway_problems_total{code=\"upstream_unreachable\"} 1",
        "gateway_requests_total{route=\"GET /x\",upstream=\"u\",status=\"502\"} 1",
        "config_reload_success 1",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "process_open_fds ",
        "gateway_build_info{version=",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn every_latency_is_in_a_bucket_up_to_infinity_without_which_there_are_no_quantiles() {
    let gateway = Gateway::before(&Upstream::echo(), ROUTES);
    assert_eq!(get("/x").send(gateway.addr()).status, 200);
    until("it is counted", || {
        let metrics = get("/metrics").send(gateway.admin).text();
        let mut buckets = metrics.lines().filter(|line| line.starts_with("gateway_request_duration_seconds_bucket{"));
        buckets.any(|line| line.contains("route=\"GET /x\"") && line.contains("le=\"+Inf\"") && line.ends_with(" 1"))
    });
}

#[test]
fn hits_and_misses_of_the_token_cache_are_counted() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, ROUTES);
    let (one, other) = (token(1, "admin"), token(2, "admin"));
    let status = |path: &str, token: &str| get(path).bearer(token).send(gateway.addr()).status;
    assert_eq!([&one, &one, &other, &one].map(|token| status("/mine", token)), [200; 4]);
    // A token that is none is looked up, too; where nobody asks for one, none is.
    assert_eq!([status("/mine", "a.b.c"), status("/x", &one)], [401, 200]);
    let metrics = get("/metrics").send(gateway.admin).text();
    for line in ["gateway_token_cache_total{result=\"hit\"} 2\n", "gateway_token_cache_total{result=\"miss\"} 3\n"] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn no_secret_is_shown() {
    let key = "internal-key-of-at-least-32-bytes-";
    let gateway = Gateway::start(
        "upstreams: {u: {targets: [\"http://127.0.0.1:1\"], assertion: users}}\n\
         routes: [{route: GET /x, to: u, auth: signed-in}]\n",
        &[("INTERNAL_KEY", key.to_owned())],
    );
    get("/x").bearer("a.token.of-somebody").send(gateway.addr());
    until("the failure is shown", || !errors(&gateway).is_empty());
    for path in ["/config", "/routes", "/upstreams", "/errors", "/history", "/status", "/metrics", "/"] {
        let answer = get(path).send(gateway.admin);
        assert_eq!(answer.status, 200, "{path}");
        for secret in [SECRET, key, "a.token.of-somebody"] {
            assert!(!answer.text().contains(secret), "{path} shows {secret}");
        }
    }
    let config = get("/config").send(gateway.admin).json();
    assert_eq!(config["tokens"]["own"]["keys"], "HS256, a shared secret");
    assert_eq!(config["upstreams"]["u"]["assertion"], "users");
    assert_eq!((&config["routes"][0]["path"], &config["routes"][0]["auth"]), (&"/x".into(), &"signed-in".into()));
}

#[test]
fn the_admin_listener_only_reads() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(&upstream, ROUTES);
    for path in ["/", "/page.js", "/page.css", "/routes", "/upstreams", "/config", "/errors", "/history", "/status"] {
        assert_eq!(call("POST", path).send(gateway.admin).problem(), "method_not_allowed", "{path}");
        assert_eq!(get(path).send(gateway.addr()).status, 404, "{path} is not for the public");
    }
    let page = get("/").send(gateway.admin);
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'; script-src 'self'"));
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));
}
