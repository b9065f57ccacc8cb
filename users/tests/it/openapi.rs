//! The description of the service agrees with the service.

use std::collections::BTreeMap;

use chassis::testing::get;
use serde_json::{Value, json};

use crate::fixture::{USER_FIELDS, Users, members};

const PROBLEM: &str = "#/components/schemas/Problem";

#[test]
fn every_call_is_described_with_its_answers() {
    let users = Users::demo();
    let document = users.send(&get("/openapi.json")).json();
    let mut described = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let statuses = members(&call["responses"]).join(" ");
            described.insert(format!("{method} {path}"), statuses);
        }
    }
    let expected = [
        ("delete /api/users/{user_id}", "204 400 401 403 404 412 503 507"),
        ("get /api/users", "200 400 401 403 503"),
        ("get /api/users/{user_id}", "200 304 400 401 403 404 503"),
        ("patch /api/users/{user_id}", "200 400 401 403 404 409 412 413 415 422 503 507"),
        ("post /api/login", "201 400 401 413 415 422 503"),
        ("post /api/users", "201 400 401 403 409 413 415 422 503 507"),
        ("put /api/users/{user_id}", "200 400 401 403 404 409 412 413 415 422 503 507"),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(call, statuses)| (call.to_owned(), statuses.to_owned())).into();
    assert_eq!(described, expected);
}

#[test]
fn every_error_is_a_problem_and_every_call_but_the_login_wants_a_token() {
    let document = Users::demo().send(&get("/openapi.json")).json();
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let wanted = if path == "/api/login" { json!([{}]) } else { json!([{"bearer": []}]) };
            assert_eq!(call["security"], wanted, "{method} {path}");
            for (status, response) in call["responses"].as_object().unwrap() {
                if status.as_str() >= "400" {
                    let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                    assert_eq!(schema, PROBLEM, "{method} {path} {status}");
                }
            }
        }
    }
}

#[test]
fn every_schema_that_is_named_exists_and_a_user_has_its_fields() {
    let document = Users::demo().send(&get("/openapi.json")).json();
    let schemas = &document["components"]["schemas"];
    assert_eq!(members(&schemas["User"]["properties"]), USER_FIELDS);
    let mut required: Vec<_> =
        schemas["User"]["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    required.sort_unstable();
    assert_eq!(required, USER_FIELDS);
    assert_eq!(members(&schemas["Token"]["properties"]), ["access_token", "expires_in", "token_type"]);
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(!schemas[name].is_null(), "{name} is not described");
    }
}
