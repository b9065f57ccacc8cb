//! The commands that judge a file without serving it: explain, test, plan, routes, token, schema, healthcheck.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use crate::{
    commands::{gateway, stderr},
    external_issuers::Pair,
    fixture::{Gateway, SECRET, Upstream},
};

const ENVIRONMENT: &[(&str, &str)] =
    &[("GATEWAY_JWT_SECRET", SECRET), ("INTERNAL_KEY", "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk")];

const HEAD: &str = "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
    identity: {headers: {request-user-id: sub}}\ntokens: {issuer: i, audience: a}\n\
    builtin: {health: /health, docs: /docs}\naliases: {/v1: /api}\n\
    upstreams:\n  users: {targets: ['http://users:1'], assertion: users}\n  orders: {targets: ['http://orders:1']}\n";

const ROUTES: &str = "routes:\n\
    \x20 - {route: 'GET,POST /api/users', to: users, auth: {user_type: admin}, limit: 5/s per user}\n\
    \x20 - {route: 'GET /api/users/{id}', to: users, auth: {user_type: admin}, rewrite: '/u/{id}'}\n\
    \x20 - {route: GET /api/users/me, to: users, auth: signed-in}\n\
    \x20 - {route: GET /api/users/me, when: {headers: {x-version: '2'}}, to: orders, auth: signed-in}\n\
    \x20 - {route: POST /api/login, to: users, auth: public, body_limit: 4B, cors: {origins: 'https://app.example'}}\n\
    \x20 - {route: '* /files/{p...}', to: orders, auth: public}\n";

/// Runs a command on a file of these sections.
fn on(sections: &str, args: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("g.yaml"), format!("{HEAD}{ROUTES}{sections}")).unwrap();
    let environment: Vec<_> = ENVIRONMENT.iter().copied().chain([("GATEWAY_CONFIG", "g.yaml")]).collect();
    gateway(dir.path(), args, &environment)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn explained(args: &[&str]) -> Value {
    let output = on("", &[&["explain", "--json"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn explain_shows_the_route_the_decision_and_the_request_that_would_be_sent() {
    let told = explained(&["GET", "/v1/users/7?x=1", "--as", "user_type=admin,sub=1", "-H", "Request_User_Id: 9"]);
    assert_eq!(told["path"], "/api/users/7");
    assert_eq!(told["route"], "GET /api/users/{id}");
    assert_eq!(told["claims"][0], "user_type must be admin, and is \"admin\": allowed");
    let outcome = &told["outcome"];
    assert_eq!(
        (&outcome["kind"], &outcome["upstream"], &outcome["path"]),
        (&"forwarded".into(), &"users".into(), &"/u/7?x=1".into())
    );
    let header = |name: &str| {
        let headers = outcome["headers"].as_array().unwrap();
        headers.iter().find(|field| field[0] == name).map(|field| field[1].as_str().unwrap().to_owned())
    };
    assert_eq!(header("request-user-id").as_deref(), Some("1"));
    assert_eq!(header("request_user_id"), None);
    assert_eq!(header("authorization"), None);
    assert_eq!(outcome["removed"], serde_json::json!(["request_user_id", "authorization"]));
    assert_eq!(outcome["assertion"]["sub"], "1");
    assert!(!header("gateway-assertion").unwrap().contains("ey"), "no credential is shown");
}

#[test]
fn explain_shows_why_each_other_route_was_not_chosen() {
    let told = explained(&["GET", "/api/users/me", "-H", "x-version: 2"]);
    let why: Vec<(&str, &str)> = told["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|candidate| (candidate["route"].as_str().unwrap(), candidate["why"].as_str().unwrap()))
        .collect();
    assert_eq!(
        why,
        [
            ("GET /api/users/me (x-version: 2)", "the most specific route that is for this request"),
            ("GET /api/users/me", "asks for fewer headers"),
            ("GET /api/users/{id}", "its path is less specific: `{id}` comes after `me`"),
        ]
    );
    assert_eq!(told["outcome"]["code"], "token_missing");
    let told = explained(&["POST", "/api/users/me"]);
    assert!(told["candidates"].as_array().unwrap().iter().all(|candidate| candidate["why"] == "is not for POST"));
    assert_eq!(told["outcome"]["status"], 405);
}

#[test]
fn explain_verifies_a_token_that_this_gateway_signed() {
    let token = on("", &["token", "--as", "user_type=admin,sub=5"]);
    assert!(stderr(&token).contains("WARNING"), "{}", stderr(&token));
    let token = stdout(&token).trim().to_owned();
    let told = explained(&["GET", "/api/users", "--token", &token]);
    assert_eq!((&told["outcome"]["kind"], &told["limits"][0]), (&"forwarded".into(), &"5/s per user".into()));
    let told = explained(&["GET", "/api/users", "--token", &token[..token.len() - 3]]);
    assert_eq!(told["outcome"]["code"], "token_invalid");
    let human = on("", &["explain", "GET", "/api/users", "--as", "user_type=default"]);
    assert!(stdout(&human).contains("403 insufficient_scope"), "{}", stdout(&human));
    assert!(!stdout(&human).contains('\u{1b}'), "colours are for terminals");
}

#[test]
fn explain_fetches_no_keys_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::ec("e");
    let keys = serde_json::json!({"keys": [pair.jwk()]}).to_string();
    fs::write(dir.path().join("keys.json"), keys).unwrap();
    fs::write(dir.path().join("others.json"), serde_json::json!({"keys": [Pair::ec("o").jwk()]}).to_string()).unwrap();
    let file = |jwks: &str| {
        let issuer = format!("{{issuer: 'https://idp.example', audience: api, jwks: '{jwks}'}}");
        let head = HEAD.replace("audience: a}", &format!("audience: a, other_issuers: [{issuer}]}}"));
        fs::write(dir.path().join("g.yaml"), format!("{head}{ROUTES}")).unwrap();
    };
    let token = pair.token(Some("at+jwt"), &serde_json::json!({"user_type": "admin"}));
    let explain = |args: &[&str]| {
        let args = [&["explain", "GET", "/api/users", "--config", "g.yaml", "--token", &token], args].concat();
        gateway(dir.path(), &args, ENVIRONMENT)
    };
    file("http://127.0.0.1:1/jwks.json");
    let output = explain(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert_eq!(
        stderr(&output),
        "gateway: the token cannot be verified: the keys of the issuer `https://idp.example` are at \
         http://127.0.0.1:1/jwks.json, which `explain` does not fetch; download them, and name the file with `--jwks FILE`\n"
    );
    let output = explain(&["--jwks", "keys.json"]);
    assert!(stdout(&output).contains("goes to users"), "{}{}", stdout(&output), stderr(&output));
    let output = explain(&["--jwks", "others.json"]);
    assert!(stdout(&output).contains("401 token_invalid: the key that signed the token is unknown"), "{output:?}");
    let output = explain(&["--jwks", "absent.json"]);
    assert!(stderr(&output).contains("cannot read absent.json"), "{output:?}");
    file("keys.json");
    let output = explain(&[]);
    assert!(stdout(&output).contains("goes to users"), "{}{}", stdout(&output), stderr(&output));
}

#[test]
fn a_token_that_a_command_signs_is_accepted_by_a_running_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let head = HEAD.replace("issuer: i, audience: a", "issuer: test, audience: api");
    fs::write(dir.path().join("g.yaml"), format!("{head}{ROUTES}")).unwrap();
    let token = gateway(dir.path(), &["token", "--config", "g.yaml", "--as", "sub=5"], ENVIRONMENT);
    let upstream = Upstream::echo();
    let running = Gateway::before(&upstream, "  - {route: GET /x, to: u, auth: signed-in}\n");
    let answer = chassis::testing::get("/x").bearer(stdout(&token).trim()).send(running.addr());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.only().header("request-user-id"), ["5"]);
}

#[test]
fn no_command_makes_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = format!("{HEAD}{ROUTES}tests: [{{request: GET /docs, expect: 302}}]\n")
        .replace("audience: a", "audience: a, keys: k");
    fs::write(dir.path().join("g.yaml"), yaml).unwrap();
    let environment = [("INTERNAL_KEY", "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"), ("GATEWAY_CONFIG", "g.yaml")];
    for (args, code) in [
        (&["check"][..], 0),
        (&["routes"], 0),
        (&["test"], 0),
        (&["explain", "GET", "/api/users", "--as", "sub=1"], 0),
        (&["plan", "g.yaml", "g.yaml"], 0),
        (&["explain", "GET", "/api/users", "--token", "x"], 1),
        (&["token", "--as", "sub=1"], 1),
    ] {
        let output = gateway(dir.path(), args, &environment);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(!dir.path().join("k").exists(), "{args:?}");
    }
}

#[test]
fn tests_of_the_file_pass_and_fail_with_a_difference() {
    let good = "tests:\n\
        \x20 - {request: GET /api/users, expect: 401}\n\
        \x20 - {request: GET /api/users, as: {user_type: default}, expect: 403}\n\
        \x20 - {request: GET /v1/users/7?a=b, as: {user_type: admin, sub: 7}, headers: {Request-User-Id: 1}, \
              expect: {to: users, path: '/u/7?a=b', headers: {request-user-id: 7, authorization: ~}}}\n\
        \x20 - {request: POST /api/login, body: 12345, expect: 413}\n\
        \x20 - {request: POST /api/login, body: 1234, expect: {to: users}}\n\
        \x20 - {request: PUT /files/a, expect: {to: orders}}\n\
        \x20 - {request: GET /api/users, headers: {authorization: Bearer x}, expect: 401}\n\
        \x20 - {request: GET /api/users/me, as: {sub: 1}, headers: {x-version: 2}, expect: {to: orders}}\n\
        \x20 - {request: OPTIONS /api/login, headers: {origin: 'https://app.example', access-control-request-method: POST}, \
              expect: {status: 204, headers: {access-control-allow-origin: 'https://app.example'}}}\n\
        \x20 - {request: GET /health/live, expect: 200}\n";
    let output = on(good, &["test"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).ends_with("10 passed, 0 failed\n"), "{}", stdout(&output));

    let bad = "tests:\n\
        \x20 - {request: GET /api/users, expect: 403}\n\
        \x20 - {request: GET /api/users/me, as: {sub: '1'}, expect: {to: orders, path: /x, headers: {request-user-id: '2', gone: y}}}\n\
        \x20 - {request: GET /files/, expect: 401}\n";
    let output = on(bad, &["test", "--junit", "r.xml"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "FAIL GET /api/users (g.yaml:19)\n       outcome\n     - answered 403\n     \
         + answered 401 token_missing: this needs a bearer token: send `Authorization: Bearer …`\n\
         FAIL GET /api/users/me as sub=1 (g.yaml:20)\n       outcome\n     - goes to orders\n     + goes to users\n       \
         path\n     - /x\n     + /api/users/me\n       header request-user-id\n     - 2\n     + 1\n       \
         header gone\n     - y\n     + not there\n\
         FAIL GET /files/ (g.yaml:21)\n       outcome\n     - answered 401\n     + goes to orders\n\
         0 passed, 3 failed\n"
    );
}

#[test]
fn junit_has_every_test() {
    let dir = tempfile::tempdir().unwrap();
    let tests = "tests: [{request: GET /nope, expect: 404}, {request: GET /files/, expect: 401}]\n";
    fs::write(dir.path().join("g.yaml"), format!("{HEAD}{ROUTES}{tests}")).unwrap();
    let output = gateway(dir.path(), &["test", "--config", "g.yaml", "--junit", "r.xml"], ENVIRONMENT);
    assert_eq!(output.status.code(), Some(1));
    let xml = fs::read_to_string(dir.path().join("r.xml")).unwrap();
    assert!(xml.contains("<testsuite name=\"g.yaml\" tests=\"2\" failures=\"1\">"), "{xml}");
    assert!(xml.contains("<failure message=\"outcome: expected answered 401, but goes to orders\"/>"), "{xml}");
    let unwritable = gateway(dir.path(), &["test", "--config", "g.yaml", "--junit", "no/r.xml"], ENVIRONMENT);
    assert_eq!(unwritable.status.code(), Some(1));
    assert!(stderr(&unwritable).contains("cannot write no/r.xml"), "{}", stderr(&unwritable));
}

#[test]
fn mistakes_in_tests_have_places_and_suggestions() {
    let output = on(
        "tests:\n  - {request: GET /x, expect: {to: user}}\n  - {reqest: GET /x, expect: 404}\n  \
         - {request: GET /x, expect: {status: 200, to: users}}\n",
        &["check"],
    );
    assert_eq!(output.status.code(), Some(64));
    let shown = stderr(&output);
    for part in [
        "g.yaml:19:36: tests[0].expect.to: there is no upstream `user`",
        "did you mean `users`?",
        "did you mean `request`?",
        "expect either `status` or `to`",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

fn planned(dir: &Path, old: &str, new: &str, json: bool) -> Output {
    fs::write(dir.join("old.yaml"), format!("{HEAD}{old}")).unwrap();
    fs::write(dir.join("new.yaml"), format!("{HEAD}{new}")).unwrap();
    let args = ["plan", "old.yaml", "new.yaml", "--json"];
    gateway(dir, &args[..if json { 4 } else { 3 }], ENVIRONMENT)
}

#[test]
fn plan_of_a_file_against_itself_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("g.yaml"), gateway::STACK_YAML).unwrap();
    let environment = [
        ("USERS_SERVICE_URL", "http://users:1"),
        ("ORDERS_SERVICE_URL", "http://orders:1"),
        ("INTERNAL_KEY", "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"),
        ("GATEWAY_KEY_DIR", "none"),
    ];
    let output = gateway(dir.path(), &["plan", "g.yaml", "g.yaml"], &environment);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "nothing changes for anybody\n", "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn plan_shows_what_changes_for_whom() {
    let dir = tempfile::tempdir().unwrap();
    let route = |text: &str| format!("routes:\n  - {{{text}}}\n");
    for (old, new, change, wider) in [
        (
            "route: GET /x, to: users, auth: signed-in",
            "route: GET /x, to: users, auth: public",
            "becomes public (was signed-in)",
            true,
        ),
        (
            "route: GET /x, to: users, auth: signed-in",
            "route: GET /x, to: users, auth: {t: [a]}",
            "now needs t=a (was signed-in)",
            false,
        ),
        (
            "route: GET /x, to: users, auth: {t: [a]}",
            "route: GET /x, to: users, auth: {t: [a, b]}",
            "now needs t=a|b (was t=a)",
            true,
        ),
        (
            "route: GET /x, to: users, auth: public",
            "route: GET /x, to: orders, auth: public",
            "goes to orders (was users)",
            false,
        ),
        (
            "route: GET /x, to: users, auth: public, limit: 5/s per ip",
            "route: GET /x, to: users, auth: public",
            "is no longer limited (was 5/s per ip)",
            true,
        ),
        (
            "route: GET /x, to: users, auth: public, limit: 5/s per ip",
            "route: GET /x, to: users, auth: public, limit: 1/s per ip",
            "is limited to 1/s per ip (was 5/s per ip)",
            false,
        ),
        (
            "route: GET /x, to: users, auth: public",
            "route: GET /x, to: users, auth: public, cors: {origins: '*'}",
            "pages of other origins may now call it (`cors`)",
            true,
        ),
        (
            "route: GET /x, to: users, auth: signed-in",
            "route: GET /x, to: users, auth: signed-in, forward_authorization: true",
            "shows the upstream the token",
            true,
        ),
        (
            "route: GET /x, to: users, auth: public",
            "route: GET /x, to: users, auth: public, rewrite: /y",
            "another path goes to the upstream (`rewrite`)",
            false,
        ),
    ] {
        let output = planned(dir.path(), &route(old), &route(new), true);
        assert_eq!(output.status.code(), Some(if wider { 2 } else { 0 }), "{new}: {}", stderr(&output));
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(plan["changes"], serde_json::json!([{"of": "GET /x", "change": change, "wider": wider}]), "{new}");
    }
}

#[test]
fn plan_shows_the_names_of_the_admin_listener() {
    let dir = tempfile::tempdir().unwrap();
    let with = |hosts: &str| format!("admin_hosts: [{hosts}]\nroutes: []\n");
    let output = planned(dir.path(), &with("a.example"), &with("b.example"), false);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{shown}");
    for line in [
        "WIDER admin_hosts the admin listener now answers under b.example\n",
        "      admin_hosts the admin listener no longer answers under a.example\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[test]
fn plan_compares_what_happens_to_requests_not_texts() {
    let dir = tempfile::tempdir().unwrap();
    let plan = |old: &str, new: &str| {
        let output = planned(dir.path(), &format!("routes:\n{old}"), &format!("routes:\n{new}"), false);
        (output.status.code().unwrap(), stdout(&output))
    };
    let two = "  - {route: 'GET /a/{x}', to: users, auth: signed-in}\n  - {route: POST /b, to: users, auth: public}\n";
    let same =
        "  - {route: POST /b, to: users, auth: public}\n  - {route: 'GET /a/{renamed}', to: users, auth: signed-in}\n";
    assert_eq!(plan(two, same), (0, "nothing changes for anybody\n".to_owned()));
    let opened = format!("{two}  - {{route: GET /a/open, to: users, auth: public}}\n");
    assert_eq!(
        plan(two, &opened),
        (
            2,
            "WIDER GET /a/open becomes public (was signed-in)\n1 change, 1 of which let more pass than before\n"
                .to_owned()
        )
    );
    assert_eq!(
        plan(&opened, two),
        (
            0,
            "      GET /a/open now needs signed-in (was public)\n1 change; nobody may do more than before\n".to_owned()
        )
    );
    let by_header = format!("{two}  - {{route: POST /b, when: {{headers: {{v: '2'}}}}, to: orders, auth: public}}\n");
    let (code, shown) = plan(two, &by_header);
    assert_eq!((code, shown.starts_with("      POST /b (v: 2) goes to orders (was users)\n")), (0, true), "{shown}");
    let (code, shown) = plan("  - {route: '* /f/{p...}', to: users, auth: public}\n", "  []\n");
    assert_eq!((code, shown.starts_with("      * /f/{p...} is gone\n")), (0, true), "{shown}");
}

#[test]
fn routes_are_a_table() {
    let output = on("", &["routes"]);
    let shown = stdout(&output);
    assert!(shown.starts_with("METHODS   PATH             WHEN          TO      AUTH             LIMIT\n"), "{shown}");
    assert!(shown.contains("\nGET       /api/users/me    x-version: 2  orders  signed-in\n"), "{shown}");
    let json: Value = serde_json::from_slice(&on("", &["routes", "--json"]).stdout).unwrap();
    assert_eq!(json[0]["auth"], "user_type=admin");
}

#[test]
fn check_gives_programs_places() {
    let json = |sections: &str| {
        let output = on(sections, &["check", "--json"]);
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    let (code, good) = json("");
    assert_eq!((code, &good["ok"], &good["public"][0]), (Some(0), &true.into(), &"POST /api/login".into()));
    let (code, bad) = json("tets: []\n");
    assert_eq!((code, &bad["ok"]), (Some(64), &false.into()));
    let mistake = &bad["mistakes"][0];
    assert_eq!((&mistake["line"], &mistake["column"], &mistake["width"]), (&18.into(), &1.into(), &4.into()));
    assert_eq!(mistake["help"], "did you mean `tests`?");
}

#[test]
fn healthcheck_asks_the_gateway_that_runs() {
    let upstream = Upstream::echo();
    let sections =
        format!("upstreams: {{u: {{targets: ['http://{}']}}}}\nbuiltin: {{health: /h}}\nroutes: []\n", upstream.addr);
    let running = Gateway::start(&sections, &[]);
    let dir = tempfile::tempdir().unwrap();
    let check = |args: &[&str]| gateway(dir.path(), &[&["healthcheck"], args].concat(), ENVIRONMENT).status.code();
    for url in [format!("http://{}/h/ready", running.addr()), format!("http://{}/health/ready", running.admin)] {
        assert_eq!(check(&[&url]), Some(0), "{url}");
    }
    assert_eq!(check(&[&format!("http://{}/nope", running.addr())]), Some(1));
    for builtin in ["", "builtin: {health: /h}\n"] {
        let (public, admin) = (running.addr().to_string(), running.admin.to_string());
        let yaml = format!("version: 1\nlisten: {public}\nadmin: {admin}\nupstreams: {{}}\n{builtin}routes: []\n");
        fs::write(dir.path().join("g.yaml"), yaml).unwrap();
        assert_eq!(check(&["--config", "g.yaml"]), Some(0), "{builtin}");
    }
    drop(running);
    assert_eq!(check(&["--config", "g.yaml"]), Some(1));
}

#[test]
fn a_wrong_command_line_of_any_command_exits_64() {
    for args in [
        &["explain", "GET"][..],
        &["explain", "GET", "/x", "--as", "admin"],
        &["explain", "GET", "/x", "--as", "a=b", "--token", "t"],
        &["explain", "GET", "/x", "-H", "x"],
        &["explain", "GET", "/x", "--jwks", "keys.json"],
        &["explain", "G T", "/x"],
        &["plan", "g.yaml"],
        &["plan", "g.yaml", "absent.yaml"],
        &["token"],
        &["token", "--as", "x"],
        &["test", "--config", "absent.yaml"],
        &["routes", "--yaml"],
        &["schema", "x"],
    ] {
        let output = on("", args);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {}", stderr(&output));
    }
}
