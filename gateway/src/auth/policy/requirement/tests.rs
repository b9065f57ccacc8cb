//! Decisions about claims, and that no change is called narrower which is not.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn scopes(scopes: &[&str]) -> Requirement {
    Requirement::Scopes(scopes.iter().map(|scope| (*scope).to_owned()).collect())
}

fn parameter(at: &str, segment: usize) -> Requirement {
    let wanted = Wanted::Parameter { name: "id".to_owned(), segment };
    Requirement::Claim { at: at.parse().unwrap(), values: vec![wanted] }
}

#[test]
fn a_caller_is_allowed_by_its_claims() {
    let claim = Requirement::of_claim;
    let caller = json!({
        "sub": "u 7", "user_type": "admin", "groups": ["a", "b"], "level": 3, "nested": [["a"]], "none": null,
        "realm_access": {"roles": ["admin"]}, "scope": "orders:read orders:write", "tenants": [1, 2],
    });
    let caller = caller.as_object().unwrap();
    let value_of = |segment: usize| Some(["users", "u 7", "2"].get(segment)?.to_string());
    for (requirement, met) in [
        (claim("user_type", &["admin"]), true),
        (claim("user_type", &["default", "admin"]), true),
        (claim("user_type", &["adm"]), false),
        (claim("groups", &["b"]), true),
        (claim("groups", &["c"]), false),
        (claim("level", &["3"]), true),
        (claim("nested", &["a"]), false),
        (claim("none", &["null"]), false),
        (claim("absent", &["x"]), false),
        (claim("/realm_access/roles", &["admin"]), true),
        (claim("/realm_access/roles", &["user"]), false),
        (claim("realm_access.roles", &["admin"]), false),
        (scopes(&["orders:read"]), true),
        (scopes(&["orders:write", "orders:read"]), true),
        (scopes(&["orders:read", "users:read"]), false),
        (scopes(&["orders"]), false),
        (scopes(&["orders:read orders:write"]), false),
        (parameter("sub", 1), true),
        (parameter("sub", 2), false),
        (parameter("sub", 3), false),
        (parameter("tenants", 2), true),
        (Requirement::Any(vec![claim("user_type", &["x"]), scopes(&["orders:read"])]), true),
        (Requirement::Any(vec![claim("user_type", &["x"]), scopes(&["x"])]), false),
        (Requirement::All(vec![claim("user_type", &["admin"]), scopes(&["orders:read"])]), true),
        (Requirement::All(vec![claim("user_type", &["admin"]), scopes(&["x"])]), false),
    ] {
        assert_eq!(requirement.is_met(caller, &value_of), met, "{requirement}");
        assert_eq!(requirement.unmet(caller, &value_of).is_none(), met, "{requirement}");
    }
    for scp in [json!({"scp": "a b"}), json!({"scp": ["a", "b"]}), json!({"scope": ["a", "b"]})] {
        assert!(scopes(&["a", "b"]).is_met(scp.as_object().unwrap(), &|_| None), "{scp}");
    }
}

#[test]
fn usual_changes_are_recognised() {
    let claim = Requirement::of_claim;
    let any = |parts: &[Requirement]| Requirement::Any(parts.to_vec());
    let all = |parts: &[Requirement]| Requirement::All(parts.to_vec());
    let (a, b, c) = (claim("t", &["a"]), claim("t", &["b"]), claim("u", &["c"]));
    for (narrow, wide, is_same) in [
        (all(&[a.clone(), c.clone()]), a.clone(), false),
        (a.clone(), any(&[a.clone(), c.clone()]), false),
        (any(&[a.clone(), b.clone()]), claim("t", &["a", "b"]), true),
        (any(&[a.clone(), b.clone()]), any(&[b.clone(), a.clone()]), true),
        (any(&[a.clone(), b.clone()]), any(&[b.clone(), c.clone(), a.clone()]), false),
        (all(&[c.clone(), any(&[a.clone(), b.clone()])]), any(&[a.clone(), b.clone()]), false),
        (scopes(&["x", "y"]), scopes(&["y"]), false),
        (all(&[scopes(&["x"]), scopes(&["y"])]), scopes(&["x", "y"]), true),
    ] {
        assert!(narrow.implies(&wide), "{narrow} => {wide}");
        assert_eq!(wide.implies(&narrow), is_same, "{wide} => {narrow}");
    }
    assert!(parameter("sub", 1).implies(&parameter("sub", 1)));
    assert!(!parameter("sub", 1).implies(&parameter("sub", 2)), "the same name in another place");
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let values = prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..3);
    let leaf = prop_oneof![
        (prop_oneof![Just("t"), Just("/n/u")], values).prop_map(|(at, values)| Requirement::of_claim(at, &values)),
        prop::collection::vec(prop_oneof![Just("a"), Just("b")], 1..3).prop_map(|held| scopes(&held)),
        (1..3_usize).prop_map(|segment| parameter("t", segment)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let parts = prop::collection::vec(inner, 1..4);
        prop_oneof![parts.clone().prop_map(Requirement::All), parts.prop_map(Requirement::Any)]
    })
}

fn caller() -> impl Strategy<Value = Value> {
    let items = || prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 0..3);
    (items(), items(), items()).prop_map(|(t, u, scope)| json!({"t": t, "n": {"u": u}, "scope": scope.join(" ")}))
}

proptest! {
    /// Whoever meets what implies a requirement meets that too.
    #[test]
    fn nothing_that_is_called_narrower_is_wider(
        one in requirement(), other in requirement(), caller in caller(), values in "[abc]{3}",
    ) {
        let caller = caller.as_object().unwrap();
        let value_of = |segment: usize| values.get(segment..=segment).map(str::to_owned);
        prop_assert!(one.implies(&one), "{}", one);
        if one.implies(&other) && one.is_met(caller, &value_of) {
            prop_assert!(other.is_met(caller, &value_of), "{} => {}", one, other);
        }
        prop_assert_eq!(one.is_met(caller, &value_of), one.unmet(caller, &value_of).is_none());
    }
}
