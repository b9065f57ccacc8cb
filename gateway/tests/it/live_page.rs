//! The live page of the admin listener: the history that the gateway keeps for it, and the page in a real browser.

use chassis::testing::{get, until, until_some};
use serde_json::Value;

use crate::fixture::{Browser, Gateway, Upstream, token};

const ROUTES: &str = "  - {route: GET /x, to: u, auth: public}\n  \
    - {route: GET /mine, to: u, auth: {user_type: admin}}\n  \
    - {route: \"GET /a/quite/long/path/that/does/not/fit/on/a/phone/{parameter}\", to: u, auth: public}\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn counted(gateway: &Gateway, route: &str) -> Value {
    let routes = get("/routes").send(gateway.admin).json();
    let found = routes["routes"].as_array().unwrap().iter().find(|counted| counted["route"] == route).cloned();
    found.unwrap_or_else(|| panic!("{routes}"))
}

/// A gateway that has answered 1,234 requests, and refused one caller by name and fifty nameless ones.
fn gateway(upstream: &Upstream) -> Gateway {
    let gateway = Gateway::before(upstream, ROUTES);
    for _ in 0..1234 {
        get("/x").send(gateway.addr());
    }
    get("/mine").header("X-Request-Id", "seen-in-the-page").bearer(&token(7, "default")).send(gateway.addr());
    for _ in 0..50 {
        get("/mine").send(gateway.addr());
    }
    until("the refusals are counted", || counted(&gateway, "GET /mine")["statuses"]["401"] == 50);
    gateway
}

#[test]
fn the_gateway_keeps_the_history_and_counts_its_own_answers_apart() {
    let upstream = Upstream::answering(OK);
    let gateway = gateway(&upstream);
    let points = || get("/history").send(gateway.admin).json()["points"].as_array().unwrap().clone();
    // Of one interval or two, as the requests fell.
    let sum = |name: &str| points().iter().map(|point| point[name].as_f64().unwrap() * 5.0).sum::<f64>();
    until("all requests are in the history", || sum("rate").round() == 1285.0);
    assert_eq!((sum("own").round(), sum("failed")), (51.0, 0.0));
    let p99 = points()[0]["p99"].as_f64().unwrap();
    assert!(p99 > 0.0, "{:?}", points());
    let refusing = counted(&gateway, "GET /mine");
    assert_eq!((&refusing["own"], &counted(&gateway, "GET /x")["own"]), (&51.into(), &0.into()));
    let latency = refusing["latency"].as_array().unwrap();
    assert!(latency.iter().all(|bucket| bucket[1] == 0), "of upstreams only: {latency:?}");
}

#[test]
fn errors_are_grouped_by_route_and_code() {
    let upstream = Upstream::answering(OK);
    let gateway = gateway(&upstream);
    let errors = get("/errors").send(gateway.admin).json();
    let groups: Vec<(u64, &str)> = errors["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (group["count"].as_u64().unwrap(), group["last"]["code"].as_str().unwrap()))
        .collect();
    assert_eq!(groups, [(50, "token_missing"), (1, "insufficient_scope")]);
    assert_eq!(errors["errors"].as_array().unwrap().len(), 11, "the last ten of each: {errors}");
}

#[test]
fn the_page_shows_the_numbers_and_the_history_from_before_it_was_opened() {
    let upstream = Upstream::answering(OK);
    let gateway = gateway(&upstream);
    until("there is a history", || get("/history").send(gateway.admin).json()["points"][0].is_object());
    let Some(mut browser) = Browser::open(&format!("http://{}/", gateway.admin), 1280) else { return };
    let page = until_some("the page has numbers", || {
        let page = browser.evaluate("document.body?.outerHTML ?? ''").as_str().unwrap().to_owned();
        page.contains("1,234").then_some(page)
    });
    for part in [
        ">serving<",
        "<dd id=\"total\">1,285</dd>",
        "<dd id=\"own\">51</dd>",
        ">GET /x</th>",
        ">insufficient_scope</td>",
        ">seen-in-the-page</td>",
        ">not checked</td>",
        "2 of 2 kinds",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    until("the history is drawn", || browser.evaluate("document.querySelectorAll('#rates polyline').length") == 3);
    let label = browser.evaluate("document.getElementById('latencies').getAttribute('aria-label')");
    assert!(label.as_str().unwrap().contains("now: p50 "), "{label}");
    let filtered = browser.evaluate(
        "document.getElementById('text').value = 'INSUFFICIENT';
         document.getElementById('text').dispatchEvent(new Event('input', {bubbles: true}));
         document.querySelectorAll('#errors tbody tr').length + ': ' + document.getElementById('shown').textContent",
    );
    assert_eq!(filtered, "1: 1 of 2 kinds");
    assert!(browser.console().is_empty(), "{:?}", browser.console());
}

#[test]
fn the_page_fits_a_phone_and_is_a_table_for_screen_readers_there_too() {
    let upstream = Upstream::answering(OK);
    let gateway = gateway(&upstream);
    let Some(mut browser) = Browser::open(&format!("http://{}/", gateway.admin), 360) else { return };
    until("the page has numbers", || browser.evaluate("document.body?.innerText.includes('1,234')") == true);
    let outside = browser.evaluate(
        "[...document.querySelectorAll('body :not(thead *)')].filter((one) => one.getBoundingClientRect().right > 360)
         .map((one) => one.outerHTML.slice(0, 100)).join('\\n')",
    );
    assert_eq!(outside, "", "out of sight");
    assert_eq!(browser.evaluate("document.documentElement.scrollWidth"), 360);
    let column = "getComputedStyle(document.querySelector('#routes tbody td:nth-of-type(4)'), '::before').content";
    assert_eq!(browser.evaluate(column), "\"Total\"", "each value has the name of its column");
    let announced = browser.announced();
    let has = |role: &str, name: &str| announced.iter().any(|(known, text)| known == role && text == name);
    for (role, name) in [
        ("table", "Routes"),
        ("table", "Upstreams"),
        ("table", "Errors by route and code"),
        ("columnheader", "Per second"),
        ("rowheader", "GET /x"),
        ("searchbox", "Contains"),
        ("status", ""),
    ] {
        assert!(has(role, name), "{role} {name}: {announced:?}");
    }
    assert!(announced.iter().any(|(role, name)| role == "image" && name.starts_with("The last 15 minutes")));
}
