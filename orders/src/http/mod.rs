//! The endpoints of the orders service. Behind the gateway they exist as `/api/…` and as `/api/v1/…`.
//!
//! | endpoint | who | answer |
//! |---|---|---|
//! | `POST /api/orders`, optionally with `Idempotency-Key` | signed in | 201 with `Location` and `ETag` |
//! | `GET /api/orders?limit&cursor&status&created_after&created_before&user_id` | signed in; `user_id` of others: admin | 200, `Link` to the next page |
//! | `GET /api/orders/{id}` | owner, admin | 200 with `ETag`; 304; 404 for everybody else |
//! | `PATCH /api/orders/{id}` | admin | 200 with `ETag` |
//! | `POST /api/orders/{id}/cancel` | owner, admin | 200 with `ETag`; 404 for everybody else |
//! | `GET /internal/events?limit&cursor` | admin; the gateway has no route to it | 200 with CloudEvents; a stream with `Accept: text/event-stream` |
//! | `GET /openapi.json` | anyone | 200 with the description of this API |
//!
//! `HEAD` is answered like `GET`, `OPTIONS` with 204 and `Allow`. Every error is a problem (RFC 9457).
//!
//! In the order to read: [`contract`] (bodies of requests), [`parameters`] (queries and headers), [`handlers`], [`events`], [`error`].

mod contract;
mod error;
mod events;
mod handlers;
mod openapi;
mod parameters;

use actix_web::web;
use chassis::{middleware::other_methods, page::CursorKey};

pub(crate) use self::events::EventStreams;
use crate::store::OrdersRepo;

/// The endpoints, with what their handlers use.
#[derive(Clone)]
pub(crate) struct Endpoints {
    pub(crate) repo: web::Data<OrdersRepo>,
    pub(crate) cursors: web::Data<CursorKey>,
    pub(crate) event_streams: web::Data<EventStreams>,
}

impl Endpoints {
    /// Registers the endpoints; called once by each worker.
    pub(crate) fn configure(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.repo.clone())
            .app_data(self.cursors.clone())
            .app_data(self.event_streams.clone())
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
                    .route(web::patch().to(handlers::patch))
                    .default_service(other_methods("GET, HEAD, OPTIONS, PATCH")),
            )
            .service(
                web::resource("/api/orders/{id}/cancel")
                    .route(web::post().to(handlers::cancel))
                    .default_service(other_methods("OPTIONS, POST")),
            )
            .service(
                web::resource("/internal/events")
                    .route(web::get().to(events::events))
                    .default_service(other_methods("GET, OPTIONS")),
            )
            .service(
                web::resource("/openapi.json")
                    .route(web::get().to(openapi::serve))
                    .route(web::head().to(openapi::serve))
                    .default_service(other_methods("GET, HEAD, OPTIONS")),
            );
    }
}
