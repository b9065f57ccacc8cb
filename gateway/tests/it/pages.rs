//! The pages of the gateway itself, and the admin listener.

use chassis::testing::{call, get};

use crate::fixture::{Gateway, Upstream};

fn gateway(upstream: &Upstream) -> Gateway {
    Gateway::start(
        &format!(
            "builtin: {{title: \"Things & <others>\", docs: /docs, openapi: /openapi.json, jwks: /.well-known/jwks.json, health: /health}}\n\
             upstreams: {{u: {{targets: [\"http://{0}\"], openapi: /spec.json}}, v: {{targets: [\"http://{0}\"]}}}}\nroutes:\n  \
             - {{route: \"GET /things/{{id}}\", to: u, auth: signed-in}}\n  \
             - {{route: POST /things, to: u, auth: public}}\n  \
             - {{route: \"GET /other/{{path...}}\", to: v, auth: signed-in}}\n",
            upstream.addr
        ),
        &[],
    )
}

const SPEC: &str = r##"{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{
"/things/{key}":{"get":{"responses":{"200":{"description":"ok"}}},"delete":{"responses":{}}},
"/things":{"post":{"responses":{"201":{"description":"ok"}}}},
"/internal":{"get":{"responses":{}}}},
"components":{"schemas":{"Thing":{"type":"object"}}}}"##;

fn upstream() -> Upstream {
    Upstream::start(|received| {
        assert_eq!(received.line, "GET /spec.json HTTP/1.1");
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{SPEC}", SPEC.len()).into_bytes()
    })
}

#[test]
fn the_merged_document_shows_what_the_routes_let_through() {
    let upstream = upstream();
    let gateway = gateway(&upstream);
    let document = get("/openapi.json").send(gateway.addr()).json();
    assert_eq!(document["info"]["title"], "Things & <others>");
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        ["/.well-known/jwks.json", "/health/live", "/health/ready", "/other/{path}", "/things", "/things/{key}"]
    );
    let thing = document["paths"]["/things/{key}"].as_object().unwrap();
    assert_eq!(thing.keys().collect::<Vec<_>>(), ["get"], "DELETE is not routed");
    assert_eq!(thing["get"]["security"], serde_json::json!([{"bearer": []}]));
    assert_eq!(document["paths"]["/things"]["post"]["security"], serde_json::json!([]));
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert!(document["components"]["schemas"]["Thing"].is_object());
    get("/openapi.json").send(gateway.addr());
    assert_eq!(upstream.received().len(), 1, "the document is kept for a while");
}

#[test]
fn a_service_that_is_down_is_named_in_the_document() {
    let dead = Upstream::answering("");
    let document = get("/openapi.json").send(gateway(&dead).addr()).json();
    let description = document["info"]["description"].as_str().unwrap();
    assert!(description.contains("Not answering, and so not shown here: u."), "{description}");
    assert!(document["paths"].get("/other/{path}").is_some());
}

#[test]
fn a_service_that_is_down_does_not_make_the_others_be_asked_each_time() {
    let (up, down) = (upstream(), Upstream::answering(""));
    let gateway = Gateway::start(
        &format!(
            "builtin: {{openapi: /openapi.json}}\nupstreams: {{u: {{targets: [\"http://{}\"], openapi: /spec.json}}, \
             v: {{targets: [\"http://{}\"], openapi: /spec.json, breaker: off}}}}\nroutes:\n  \
             - {{route: \"GET /things/{{id}}\", to: u, auth: public}}\n",
            up.addr, down.addr
        ),
        &[],
    );
    for asked in 1..=3 {
        let document = get("/openapi.json").send(gateway.addr()).json();
        assert!(document["paths"].get("/things/{key}").is_some(), "{document}");
        assert!(document["info"]["description"].as_str().unwrap().contains("not shown here: v."), "{document}");
        assert_eq!((up.received().len(), down.received().len()), (1, asked), "what is there is kept");
    }
}

#[test]
fn the_documentation_page_loads_nothing_from_other_hosts() {
    let upstream = upstream();
    let gateway = gateway(&upstream);
    let redirect = get("/docs").send(gateway.addr());
    assert_eq!((redirect.status, redirect.header("location")), (302, Some("/docs/")));
    let page = get("/docs/").send(gateway.addr());
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    assert!(!page.text().contains("http://") && !page.text().contains("https://"), "{}", page.text());
    let script = get("/docs/swagger-initializer.js").send(gateway.addr());
    assert!(script.text().contains("/openapi.json"), "{}", script.text());
    assert_eq!(
        page.text().matches("Things &amp; &lt;others&gt;").count(),
        2,
        "in the title and at the top: {}",
        page.text()
    );
    assert!(page.text().contains("rel=\"icon\" href=\"./logo.svg\""), "{}", page.text());
    let logo = get("/docs/logo.svg").send(gateway.addr());
    assert_eq!((logo.status, logo.header("content-type")), (200, Some("image/svg+xml")));
    assert!(script.text().contains("BaseLayout"), "without the logo of Swagger: {}", script.text());
    assert_eq!(get("/docs/swagger-ui-bundle.js").send(gateway.addr()).status, 200);
    assert_eq!(get("/docs/nothing.js").send(gateway.addr()).problem(), "not_found");
}

#[test]
fn health_and_keys_are_public_and_metrics_are_not() {
    let upstream = upstream();
    let gateway = gateway(&upstream);
    for (path, body) in [
        ("/health/live", r#"{"status":"live"}"#),
        ("/health/ready", r#"{"status":"ready","checks":{"upstreams":{"u":"up","v":"up"}}}"#),
        ("/.well-known/jwks.json", r#"{"keys":[]}"#),
    ] {
        let answer = get(path).send(gateway.addr());
        assert_eq!((answer.status, answer.text().as_str()), (200, body), "{path}");
        let head = call("HEAD", path).send(gateway.addr());
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(call("POST", path).send(gateway.addr()).problem(), "method_not_allowed");
    }
    assert_eq!(get("/metrics").send(gateway.addr()).status, 404);
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(get(path).send(gateway.admin).status, 200, "{path}");
    }
    let metrics = get("/metrics").send(gateway.admin).text();
    let counted = r#"gateway_requests_total{route="builtin",upstream="none",status="200"} 6"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert_eq!(get("/nothing").send(gateway.admin).problem(), "not_found");
}
