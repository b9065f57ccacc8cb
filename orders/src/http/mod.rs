//! The endpoints of the orders service. Behind the gateway they exist as `/api/…` and as `/api/v1/…`.
//!
//! | call | who | answers |
//! |---|---|---|
//! | `POST /api/orders` | signed in | 201 with `Location` and `ETag` |
//! | `GET /api/orders?limit&cursor&user_id` | signed in; `user_id` of others: admin | 200, `Link` to the next page |
//! | `GET /api/orders/{id}` | owner, admin | 200 with `ETag`, 304; 404 for everybody else |
//! | `GET /openapi.json` | anyone | this API, described |
//!
//! `HEAD` is answered like `GET`, `OPTIONS` with 204 and `Allow`. Every error is a problem (RFC 9457).

mod contract;
mod error;
mod handlers;
mod openapi;

use actix_web::web;
use chassis::{config::Secret, envelope::other_methods, page::CursorKey};

use crate::store::OrdersRepo;

/// The list of cursors that this service signs.
const CURSOR_PURPOSE: &str = "orders";

/// Registers the endpoints, once in each worker.
pub(crate) fn endpoints(
    repo: OrdersRepo,
    internal_key: &Secret,
) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    let repo = web::Data::new(repo);
    let cursors = web::Data::new(CursorKey::derive(internal_key, CURSOR_PURPOSE));
    let document = web::Data::new(openapi::document());
    move |app| {
        app.app_data(repo.clone())
            .app_data(cursors.clone())
            .app_data(document.clone())
            .service(
                web::resource("/api/orders")
                    .route(web::post().to(handlers::create))
                    .route(web::get().to(handlers::list))
                    .route(web::head().to(handlers::list))
                    .default_service(other_methods("GET, HEAD, OPTIONS, POST")),
            )
            .service(
                web::resource("/api/orders/{id}")
                    .route(web::get().to(handlers::read))
                    .route(web::head().to(handlers::read))
                    .default_service(other_methods("GET, HEAD, OPTIONS")),
            )
            .service(
                web::resource("/openapi.json")
                    .route(web::get().to(openapi::show))
                    .route(web::head().to(openapi::show))
                    .default_service(other_methods("GET, HEAD, OPTIONS")),
            );
    }
}
