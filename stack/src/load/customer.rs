//! One customer: signs in, then looks at orders and users, places orders and cancels some, one request after another.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use awc::http::Method;
use serde_json::{Value, json};

use super::{
    client::{Answer, Client, Request},
    pace::Pace,
    settings::{Account, Settings},
    tally::{Step, Tally},
};

/// What a customer does, over and over: three of ten requests write, as in a shop where more is looked at than bought. Where
/// there is no order yet, one is placed instead.
const VISIT: [Step; 10] = [
    Step::ListOrders,
    Step::PlaceOrder,
    Step::ReadOrder,
    Step::ListOrders,
    Step::ListUsers,
    Step::PlaceOrder,
    Step::ReadOrder,
    Step::ListOrders,
    Step::ReadOrder,
    Step::CancelOrder,
];

/// What all customers share.
pub(super) struct Shop {
    pub(super) settings: Settings,
    pub(super) client: Client,
    pub(super) pace: Pace,
    pub(super) tally: RefCell<Tally>,
    /// The part of idempotency keys that no other run has.
    pub(super) run: String,
}

/// A customer.
pub(super) struct Customer {
    shop: Rc<Shop>,
    number: u32,
    /// Where in the visit; customers begin at different places.
    position: usize,
    token: Option<Token>,
    may_list_users: bool,
    /// The id of the order that was placed last.
    order: Option<i64>,
    /// The number of the order that is placed next.
    placing: u64,
}

struct Token {
    text: String,
    /// When to sign in again: before the token expires.
    renew_at: Instant,
}

impl Customer {
    pub(super) fn new(shop: Rc<Shop>, number: u32) -> Self {
        let position = usize::try_from(number).unwrap_or_default() % VISIT.len();
        Self { shop, number, position, token: None, may_list_users: true, order: None, placing: 0 }
    }

    /// Sends requests for as long as there are turns.
    pub(super) async fn live(mut self) {
        while self.shop.pace.turn().await {
            let step = self.next_step();
            let request = self.request(step);
            let began = Instant::now();
            let outcome = self.shop.client.send(&request, self.token.as_ref().map(|token| token.text.as_str())).await;
            self.shop.tally.borrow_mut().count(step, began.elapsed(), &outcome);
            if step != Step::SignIn {
                self.position = (self.position + 1) % VISIT.len();
            }
            let Ok(answer) = outcome else { continue };
            self.learn(step, &answer);
            if let Some(wait) = answer.retry_after
                && !self.shop.pace.pause(wait).await
            {
                return;
            }
        }
    }

    fn next_step(&self) -> Step {
        if self.token.as_ref().is_none_or(|token| token.renew_at <= Instant::now()) {
            return Step::SignIn;
        }
        let step = VISIT[self.position];
        if matches!(step, Step::ReadOrder | Step::CancelOrder) && self.order.is_none() {
            Step::PlaceOrder
        } else if step == Step::ListUsers && !self.may_list_users {
            Step::ListOrders
        } else {
            step
        }
    }

    fn request(&self, step: Step) -> Request {
        let order = self.order.unwrap_or_default();
        let get = |path: String| (Method::GET, path, None);
        let (method, path, body) = match step {
            Step::SignIn => {
                let Account { username, password } = &self.shop.settings.account;
                let body = json!({"username": username.expose(), "password": password.expose()});
                (Method::POST, "/api/login".to_owned(), Some(body))
            }
            Step::ListUsers => get("/api/users?limit=20".to_owned()),
            Step::ListOrders => get("/api/orders?limit=20".to_owned()),
            Step::ReadOrder => get(format!("/api/orders/{order}")),
            Step::PlaceOrder => {
                let item = format!("Book {}", self.placing);
                (Method::POST, "/api/orders".to_owned(), Some(json!({"address": "1 Load Test St", "item": item})))
            }
            Step::CancelOrder => (Method::POST, format!("/api/orders/{order}/cancel"), None),
        };
        let key = || format!("{}-{}-{}", self.shop.run, self.number, self.placing);
        Request { method, path, body, idempotency_key: (step == Step::PlaceOrder).then(key) }
    }

    /// Takes from an answer what the next requests need. Without an answer, and after 429 and 5xx, nothing is known: the next
    /// order that is placed is the same one, with the same idempotency key, so that it is placed once.
    fn learn(&mut self, step: Step, answer: &Answer) {
        let Answer { status, body, .. } = answer;
        match (step, *status) {
            (_, 429 | 500..) => {}
            (_, 401) => self.token = None,
            (Step::SignIn, _) => self.token = token(body),
            (Step::ListUsers, status) => self.may_list_users = status != 403,
            (Step::PlaceOrder, _) => {
                self.order = body["id"].as_i64();
                self.placing += 1;
            }
            (Step::CancelOrder, _) => self.order = None,
            (Step::ListOrders | Step::ReadOrder, _) => {}
        }
    }
}

fn token(body: &Value) -> Option<Token> {
    let text = body["access_token"].as_str()?.to_owned();
    let seconds = body["expires_in"].as_u64().unwrap_or_default();
    Some(Token { text, renew_at: Instant::now() + Duration::from_secs(seconds) * 9 / 10 })
}
