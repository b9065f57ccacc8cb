//! What users see and change of themselves, through the gateway.

use chassis::testing::{call, get};
use serde_json::json;

use crate::fixture::Stack;

#[test]
fn everybody_who_is_signed_in_reads_and_changes_their_own_account() {
    let (stack, _folder) = Stack::new();
    let admin = stack.token("admin");
    let location = stack.create(&admin, "eve").header("location").unwrap().to_owned();
    let eve = stack.token("eve");

    let read = stack.send(&get("/api/v1/me").bearer(&eve));
    assert_eq!((read.status, read.json()), (200, stack.send(&get(&location).bearer(&admin)).json()));
    let etag = read.header("etag").unwrap();
    let patch = call("PATCH", "/api/me").bearer(&eve).header("If-Match", etag).json(&json!({"full_name": "Eve"}));
    let changed = stack.send(&patch);
    assert_eq!((changed.status, &changed.json()["full_name"]), (200, &json!("Eve")), "{}", changed.text());
    assert_eq!(stack.send(&patch).problem(), "precondition_failed");
    let promoted = call("PATCH", "/api/me").bearer(&eve).json(&json!({"user_type": "admin"}));
    assert_eq!(stack.send(&promoted).problem(), "validation_failed");

    assert_eq!(stack.send(&get("/api/me")).problem(), "token_missing");
    assert_eq!(stack.send(&call("DELETE", &location).bearer(&admin)).status, 204);
    let refused = stack.send(&get("/api/me").bearer(&eve));
    assert_eq!((refused.status, refused.problem().as_str()), (401, "token_invalid"));
    assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
}
