//! `/openapi.json` describes what there is.

use chassis::testing::{call, get, post};
use serde_json::{Value, json};

use crate::fixture::{ANN, in_memory};

#[test]
fn every_endpoint_is_described_with_its_statuses() {
    let service = in_memory();
    let answer = get("/openapi.json").send(service.addr());
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    for (method, path, expected) in [
        ("post", "/api/orders", "201 400 401 413 415 422 503 507"),
        ("get", "/api/orders", "200 400 401 403 503"),
        ("get", "/api/orders/{order_id}", "200 304 400 401 404 503"),
        ("patch", "/api/orders/{order_id}", "200 400 401 403 404 409 412 413 415 422 503 507"),
        ("post", "/api/orders/{order_id}/cancel", "200 400 401 404 409 412 503 507"),
    ] {
        let operation = &document["paths"][path][method];
        let mut statuses: Vec<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        statuses.sort_unstable();
        assert_eq!(statuses.join(" "), expected, "{method} {path}");
        assert!(operation["security"][0]["bearer"].is_array(), "{method} {path}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            if status.as_str() >= "400" {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{method} {path} {status}");
            }
        }
    }
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert_eq!(call("PUT", "/openapi.json").send(service.addr()).problem(), "method_not_allowed");
}

#[test]
fn every_reference_in_the_description_leads_somewhere() {
    let service = in_memory();
    let document = get("/openapi.json").send(service.addr()).json();
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 10, "{references:?}");
    for reference in references {
        let found = document.pointer(reference.trim_start_matches('#'));
        assert!(found.is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn an_order_has_the_fields_that_are_described() {
    let service = in_memory();
    let document = get("/openapi.json").send(service.addr()).json();
    let described = document["components"]["schemas"]["Order"]["properties"].as_object().unwrap().clone();
    let order = ANN.orders(service.addr(), "a book");
    let fields: Vec<&String> = order.as_object().unwrap().keys().collect();
    assert_eq!(fields, described.keys().collect::<Vec<_>>());
    let new_order = document["components"]["schemas"]["NewOrder"]["properties"].as_object().unwrap();
    assert_eq!(new_order.keys().collect::<Vec<_>>(), ["address", "item"]);
}

#[test]
fn a_body_is_refused_exactly_where_the_description_forbids_it() {
    let service = in_memory();
    let document = get("/openapi.json").send(service.addr()).json();
    let schema = json!({"$ref": "#/components/schemas/NewOrder", "components": document["components"]});
    let schema = jsonschema::validator_for(&schema).unwrap();
    for (address, item, valid) in [
        (json!("1 Main Street\nSpringfield"), json!("書"), true),
        (json!(" \n "), json!("a book"), false),
        (json!("a\tb"), json!("a book"), false),
        (json!("a".repeat(501)), json!("a book"), false),
        (Value::Null, json!("a book"), false),
        (json!("1 Main Street"), json!(" "), false),
        (json!("1 Main Street"), json!("a\nbook"), false),
        (json!("1 Main Street"), json!(7), false),
    ] {
        let body = json!({"address": address, "item": item});
        let status = ANN.sends(service.addr(), post("/api/orders", &body)).status;
        assert_eq!((schema.is_valid(&body), status == 201), (valid, valid), "{body}");
    }
    let list = document["paths"]["/api/orders"]["get"]["parameters"].as_array().unwrap();
    for parameter in list {
        assert_eq!(
            (&parameter["required"], parameter["schema"]["type"].is_string()),
            (&json!(false), true),
            "{parameter}"
        );
    }
    let cursor = list.iter().find(|parameter| parameter["name"] == "cursor").unwrap();
    assert!(!jsonschema::validator_for(&cursor["schema"]).unwrap().is_valid(&json!("")), "{cursor}");
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect_references(member, found));
        }
        Value::Array(members) => members.iter().for_each(|member| collect_references(member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
