//! A running gateway takes over keys that are put into its folder, and rejects the tokens of revoked ones.

use std::fs;

use chassis::testing::{get, post, until, until_some};
use serde_json::json;

use crate::{
    commands::gateway as gateway_command,
    fixture::{Gateway, Upstream, token_of},
};

/// The first key of a folder.
const SIGNING_KEY_FILE: &str = "signing-key.pem";

#[test]
fn a_running_gateway_takes_over_a_key_that_was_put_into_its_folder() {
    let user = r#"{"id":7,"user_type":"admin"}"#;
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n{\"id\":7,\"user_type\":\"admin\"}");
    assert_eq!(user.len(), 28);
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::with_tokens(
        &format!(
            "tokens: {{issuer: i, audience: a, keys: \"{}\", publish_for: 1s}}\n\
             builtin: {{jwks: /jwks}}\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\nroutes:\n  \
             - {{route: POST /login, to: u, auth: public, then: issue-token}}\n  \
             - {{route: GET /x, to: u, auth: signed-in}}\n",
            folder.path().display(),
            upstream.addr
        ),
        &[],
    );
    let login = || token_of(&post("/login", &json!({})).send(gateway.addr()));
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let first = login();
    let made = gateway_command(folder.path(), &["keys", "new", "--dir", "."], &[]);
    assert!(made.status.success(), "{made:?}");
    let second = until_some("the new key signs", || Some(login()).filter(|token| kid(token) != kid(&first)));
    let published = get("/jwks").send(gateway.addr()).json();
    assert_eq!(published["keys"].as_array().unwrap().len(), 2, "{published}");
    for token in [&first, &second] {
        assert_eq!(get("/x").bearer(token).send(gateway.addr()).status, 200);
    }
    let revoked = folder.path().join(SIGNING_KEY_FILE);
    fs::rename(&revoked, revoked.with_extension("revoked")).unwrap();
    until("the revoked key is refused", || get("/x").bearer(&first).send(gateway.addr()).status == 401);
    assert_eq!(get("/x").bearer(&second).send(gateway.addr()).status, 200);
}
