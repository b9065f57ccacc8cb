//! The description of the service agrees with the service.

use std::collections::BTreeMap;

use chassis::testing::{call, get, post};
use serde_json::{Value, json};

use crate::fixture::{PASSWORD, USER_FIELDS, Users, members};

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
        ("delete /api/sessions/{session_id}", "204 400 401 404 503 507"),
        ("delete /api/users/{user_id}/sessions", "204 400 401 403 404 503 507"),
        ("delete /api/users/{user_id}", "204 400 401 403 404 412 503 507"),
        ("get /api/me", "200 304 400 401 503"),
        ("get /api/sessions", "200 400 401 503"),
        ("get /api/users/{user_id}/sessions", "200 400 401 403 404 503"),
        ("get /api/users", "200 400 401 403 503"),
        ("get /api/users/{user_id}", "200 304 400 401 403 404 503"),
        ("patch /api/me", "200 400 401 409 412 413 415 422 503 507"),
        ("patch /api/users/{user_id}", "200 400 401 403 404 409 412 413 415 422 503 507"),
        ("post /api/login", "201 400 401 413 415 422 429 503 507"),
        ("post /api/logout", "204 400 401 503 507"),
        ("post /api/me/password", "204 400 401 413 415 422 429 503 507"),
        ("post /api/token/refresh", "201 400 401 413 415 422 503 507"),
        ("post /api/users", "201 400 401 403 409 413 415 422 503 507"),
        ("post /api/users/{user_id}/password", "204 400 401 403 404 413 415 422 503 507"),
        ("put /api/users/{user_id}", "200 400 401 403 404 409 412 413 415 422 503 507"),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(call, statuses)| (call.to_owned(), statuses.to_owned())).into();
    assert_eq!(described, expected);
}

#[test]
fn every_error_is_a_problem_and_every_call_but_login_and_refresh_wants_a_token() {
    let document = Users::demo().send(&get("/openapi.json")).json();
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let wanted = if matches!(path.as_str(), "/api/login" | "/api/token/refresh") {
                json!([{}])
            } else {
                json!([{"bearer": []}])
            };
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
    assert_eq!(
        members(&schemas["Token"]["properties"]),
        ["access_token", "expires_in", "refresh_expires_in", "refresh_token", "token_type"]
    );
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(!schemas[name].is_null(), "{name} is not described");
    }
}

/// Whether a value is valid by a schema of the document.
fn is_valid(document: &Value, schema: &Value, value: &Value) -> bool {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    jsonschema::validator_for(&schema).unwrap().is_valid(value)
}

#[test]
fn a_body_is_refused_exactly_where_the_description_forbids_it() {
    let users = Users::demo();
    let document = users.send(&get("/openapi.json")).json();
    let fields = [
        ("username", json!("Jörg 書"), true),
        ("username", json!(" "), false),
        ("username", json!("a\u{2028}b"), false),
        ("username", json!("\u{2800}"), false),
        ("username", json!("a\u{200b}"), false),
        ("username", json!("a\tb"), false),
        ("username", json!("a".repeat(65)), false),
        ("email", json!("ann@example.com"), true),
        ("email", Value::Null, true),
        ("email", json!("ann"), false),
        ("email", json!("a@b@c"), false),
        ("email", json!("a b@c"), false),
        ("email", json!("@"), false),
        ("full_name", json!(""), true),
        ("full_name", Value::Null, true),
        ("full_name", json!("a\nb"), false),
        ("user_type", json!("default"), true),
        ("user_type", json!("root"), false),
    ];
    for (field, value, valid) in &fields {
        let mut new = json!({"username": "ann", "password": PASSWORD, "user_type": "default"});
        new[*field] = value.clone();
        let edit = json!({*field: value});
        let answered = users.admin(post("/api/users", &new));
        assert_eq!(answered.status == 201, *valid, "{new}: {}", answered.text());
        if *valid {
            users.delete(answered.json()["id"].as_i64().unwrap());
        }
        let mut described = vec![("NewUser", &new), ("UserEdit", &edit), ("UserPatch", &edit)];
        if *field != "user_type" {
            described.push(("OwnPatch", &edit));
        }
        for (schema, body) in described {
            let reference = json!({"$ref": format!("#/components/schemas/{schema}")});
            assert_eq!(is_valid(&document, &reference, body), *valid, "{schema} {body}");
        }
        assert_eq!(users.put(3, &edit).status == 200, *valid, "{edit}");
        assert_eq!(users.patch(3, &edit).status == 200, *valid, "{edit}");
    }
    for field in ["username", "user_type"] {
        let edit = json!({field: null});
        for (schema, valid, answered) in
            [("UserEdit", true, users.put(3, &edit)), ("UserPatch", false, users.patch(3, &edit))]
        {
            let reference = json!({"$ref": format!("#/components/schemas/{schema}")});
            assert_eq!(
                (is_valid(&document, &reference, &edit), answered.status == 200),
                (valid, valid),
                "{schema} {edit}"
            );
        }
    }
}

#[test]
fn a_parameter_that_the_description_forbids_is_refused() {
    let users = Users::demo();
    let document = users.send(&get("/openapi.json")).json();
    let described = |path: &str, method: &str, name: &str| {
        let parameters = document["paths"][path][method]["parameters"].as_array().unwrap();
        parameters.iter().find(|parameter| parameter["name"] == name).unwrap().clone()
    };
    for (name, query, valid) in [
        ("cursor", "", false),
        ("limit", "0", false),
        ("limit", "null", false),
        ("limit", "1", true),
        ("q", "", false),
        ("q", "ann", true),
        ("user_type", "root", false),
        ("user_type", "admin", true),
    ] {
        let parameter = described("/api/users", "get", name);
        assert_eq!(parameter["required"], false, "{name}");
        let value = query.parse().map_or(json!(query), |number: u16| json!(number));
        let status = users.admin(get(&format!("/api/users?{name}={query}"))).status;
        assert_eq!(
            (is_valid(&document, &parameter["schema"], &value), status == 200),
            (valid, valid),
            "{name}={query}"
        );
    }
    let if_match = described("/api/users/{user_id}", "put", "If-Match");
    for (value, valid) in [
        ("*", true),
        ("\"v9\"", true),
        ("W/\"v1\", \"v9\"", true),
        ("v1", false),
        ("\"v1", false),
        ("\"v1\" \"v2\"", false),
    ] {
        let status = users.admin(call("PUT", "/api/users/3").header("If-Match", value).json(&json!({}))).status;
        assert_eq!((is_valid(&document, &if_match["schema"], &json!(value)), status != 400), (valid, valid), "{value}");
    }
}
