//! A program that embeds the gateway, from its builder to its end, with nothing but what the crate shows.

use std::time::Duration;

use chassis::{
    config::StartError,
    problem::Problem,
    testing::{Running, get},
};
use gateway::{
    Builder, Gateway, Server, Settings, bearer,
    hooks::{Claims, Request},
};

use crate::fixture::Upstream;

const YAML: &str = "version: 1
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstreams: {u: {targets: ['${SERVICE_URL}']}}
routes:
  - {route: GET /open, to: u, auth: public}
  - {route: 'GET /houses/{owner}', to: u, auth: {hook: owner}, decoder: cookie}
";

/// A cookie identifies the caller, who may see their own house.
fn builder() -> Builder {
    Gateway::builder().decoder("cookie", cookie).authorizer("owner", |request| async move {
        let caller = request.claims().and_then(|claims| claims.get("sub")?.as_str());
        let owns = caller.is_some_and(|caller| request.path.ends_with(&format!("/{caller}")));
        if owns { Ok(()) } else { Err(bearer::insufficient("sub")) }
    })
}

async fn cookie(request: Request) -> Result<Claims, Problem> {
    let name = request.header("cookie").and_then(|cookie| cookie.strip_prefix("name="));
    let name = name.ok_or_else(|| bearer::invalid("this needs the cookie `name`"))?;
    Ok(Claims::from_iter([("sub".to_owned(), name.into())]))
}

/// Runs the program in a thread of its own.
fn run(yaml: String, service: String) -> Result<Running, StartError> {
    Running::start(move |addr, stop| {
        Box::pin(async move {
            let lookup = move |name: &str| (name == "SERVICE_URL").then(|| service.clone());
            let config = builder().load_text("embedded.yaml", &yaml, &lookup)?;
            let server = Server::bind(config, Settings { workers: 1, drain_delay: Duration::ZERO, log_format: None })?;
            addr.send(server.addr()?).map_err(StartError::failed)?;
            server.run_until(async { drop(stop.await) }).await
        })
    })
}

#[test]
fn a_program_that_embeds_the_gateway_serves_decides_by_its_hooks_and_ends() {
    let service = Upstream::echo();
    let program = run(YAML.to_owned(), format!("http://{}", service.addr)).unwrap();
    let house = |cookie: &str| get("/houses/ann").header("Cookie", cookie).send(program.addr());
    assert_eq!(get("/open").send(program.addr()).status, 200);
    assert_eq!(house("name=ann").status, 200);
    let refused = house("name=ben");
    assert_eq!((refused.status, refused.problem().as_str()), (403, "insufficient_scope"));
    let unknown = house("other=1");
    assert_eq!((unknown.status, unknown.problem().as_str()), (401, "token_invalid"));
    assert_eq!(service.received().len(), 2, "what a hook refuses goes nowhere");
    let addr = program.addr();
    program.stop().unwrap();
    assert!(std::net::TcpStream::connect(addr).is_err(), "the port is closed");
}

#[test]
fn a_program_that_embeds_the_gateway_gets_every_mistake_with_its_place() {
    let wrong =
        YAML.replace("auth: public", "atuh: public").replace("hook: owner", "hook: ownr").replace("to: u,", "to: v,");
    let Err(StartError::Config(mistakes)) = run(wrong, "http://127.0.0.1:9".to_owned()).map(drop) else {
        panic!("it started, or failed otherwise");
    };
    let mistakes = mistakes.join("\n");
    for part in [
        "embedded.yaml:6:",
        "embedded.yaml:7:",
        "did you mean `auth`?",
        "did you mean `owner`?",
        "there is no upstream `v`",
    ] {
        assert!(mistakes.contains(part), "{part}: {mistakes}");
    }
}
