//! Access: the service accepts only requests that the gateway has signed for it.

use chassis::{
    identity::Assertion,
    testing::{Call, Signer, get},
};

use crate::fixture::{ADMIN, ANN, GATEWAY, KEY, in_memory, new_order};

fn user(id: &str) -> Assertion {
    Assertion { sub: Some(id.to_owned()), user_type: Some("default".to_owned()), ..Assertion::default() }
}

#[test]
fn a_service_that_is_called_directly_refuses_everything() {
    let service = in_memory();
    ANN.orders(service.addr(), "a book");
    let mut damaged = GATEWAY.sign(&user("7"));
    damaged.pop();
    let for_another_service = Signer::new("users", KEY).sign(&user("7"));
    let with_another_key = Signer::new("orders", "another key, which is as long as it has to be").sign(&user("7"));
    let cases: [(&str, &dyn Fn(Call) -> Call); 7] = [
        ("nothing", &|call| call),
        ("bare identity headers", &|call| call.header("request-user-id", "7").header("request-user-type", "admin")),
        ("a bearer token", &|call| call.bearer("e30.e30.e30")),
        ("a damaged assertion", &|call| call.header("gateway-assertion", &damaged)),
        ("an assertion for another service", &|call| call.header("gateway-assertion", &for_another_service)),
        ("an assertion with another key", &|call| call.header("gateway-assertion", &with_another_key)),
        ("two assertions", &|call| ANN.asks(ADMIN.asks(call))),
    ];
    for (why, with) in cases {
        for call in [get("/api/orders"), get("/api/orders/1"), new_order("a book"), get("/nowhere")] {
            let answer = with(call).send(service.addr());
            assert_eq!((answer.status, answer.problem().as_str()), (401, "assertion_invalid"), "{why}");
        }
    }
    assert_eq!(ANN.lists_all(service.addr(), 100).len(), 1, "none of them made an order");
}

#[test]
fn headers_that_contradict_the_assertion_are_refused() {
    let service = in_memory();
    for (name, value) in [("request-user-id", "8"), ("request-user-type", "admin"), ("Request-User-Id", "")] {
        let answer = ANN.sends(service.addr(), get("/api/orders").header(name, value));
        assert_eq!((answer.status, answer.problem().as_str()), (401, "assertion_invalid"), "{name}: {value}");
    }
    let agreeing = get("/api/orders").header("request-user-id", "7").header("request-user-type", "default");
    assert_eq!(ANN.sends(service.addr(), agreeing).status, 200);
}

#[test]
fn an_assertion_about_nobody_or_about_no_user_is_refused() {
    let service = in_memory();
    for assertion in [Assertion::default(), user("service-a"), user(""), user("99999999999999999999")] {
        let header = GATEWAY.sign(&assertion);
        for call in [get("/api/orders"), get("/api/orders/1"), new_order("a book")] {
            let answer = call.header("gateway-assertion", &header).send(service.addr());
            assert_eq!((answer.status, answer.problem().as_str()), (401, "assertion_invalid"), "{assertion:?}");
        }
    }
}
