//! The endpoints of the users service. Behind the gateway they exist as `/api/…` and as `/api/v1/…`.
//!
//! | endpoint | who | answer |
//! |---|---|---|
//! | `POST /api/login` | anyone | 200 with the user and a new session, from which the gateway makes the token |
//! | `POST /api/token/refresh` | anyone | 200 like a login; the refresh token is spent |
//! | `POST /api/logout` | signed in | 204; ends the session of the access token |
//! | `GET /api/sessions` | signed in | 200 with the caller's sessions |
//! | `DELETE /api/sessions/{id}` | signed in | 204; ends one of them |
//! | `GET`, `PATCH /api/me` | signed in | 200 with `ETag`; 304; honours `If-Match` |
//! | `POST /api/me/password` | signed in | 204; asks for the current password |
//! | `GET /api/users?limit&cursor&q&user_type` | admin | 200, `Link` to the next page, `X-Total-Count` |
//! | `POST /api/users` | admin | 201 with `Location` and `ETag` |
//! | `GET /api/users/{id}` | admin | 200 with `ETag`; 304 |
//! | `PUT`, `PATCH /api/users/{id}` | admin | 200 with `ETag`; honours `If-Match` |
//! | `DELETE /api/users/{id}` | admin | 204; honours `If-Match` |
//! | `POST /api/users/{id}/password` | admin | 204 |
//! | `GET`, `DELETE /api/users/{id}/sessions` | admin | 200 with the sessions of a user; 204, they have ended |
//! | `GET /internal/sessions/ended?since&wait` | the gateway itself, which has no route to it | 200 with sessions that have ended; waits for the next one |
//! | `GET /openapi.json` | anyone | 200 with the description of this API |
//!
//! `HEAD` is answered like `GET`, `OPTIONS` with 204 and `Allow`. Every error is a problem (RFC 9457).
//!
//! In the order to read: [`contract`] (bodies), [`parameters`] (queries and headers), [`handlers`],
//! [`me`] (the handlers of the caller's own account), [`sessions`], [`ended_sessions`] (the feed for gateways), [`initiator`]
//! (for the audit log), [`error`].

mod contract;
mod ended_sessions;
mod error;
mod handlers;
mod initiator;
mod me;
mod openapi;
mod parameters;
mod sessions;

use actix_web::web;
use chassis::{middleware::other_methods, page::CursorKey};

use crate::{domain::PasswordPolicy, passwords::Passwords, store::UsersStore};

/// The endpoints, with what their handlers use.
#[derive(Clone)]
pub(crate) struct Endpoints {
    pub(crate) store: web::Data<UsersStore>,
    pub(crate) passwords: web::Data<Passwords>,
    pub(crate) policy: web::Data<PasswordPolicy>,
    pub(crate) cursors: web::Data<CursorKey>,
}

impl Endpoints {
    /// Registers the endpoints; called once by each worker.
    pub(crate) fn configure(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.store.clone())
            .app_data(self.passwords.clone())
            .app_data(self.policy.clone())
            .app_data(self.cursors.clone())
            .service(
                web::resource("/api/login")
                    .route(web::post().to(handlers::login))
                    .default_service(other_methods("POST, OPTIONS")),
            )
            .service(
                web::resource("/api/token/refresh")
                    .route(web::post().to(sessions::refresh))
                    .default_service(other_methods("POST, OPTIONS")),
            )
            .service(
                web::resource("/api/logout")
                    .route(web::post().to(sessions::logout))
                    .default_service(other_methods("POST, OPTIONS")),
            )
            .service(
                web::resource("/api/sessions")
                    .route(web::get().to(sessions::list))
                    .route(web::head().to(sessions::list))
                    .default_service(other_methods("GET, HEAD, OPTIONS")),
            )
            .service(
                web::resource("/api/sessions/{id}")
                    .route(web::delete().to(sessions::end))
                    .default_service(other_methods("DELETE, OPTIONS")),
            )
            .service(
                web::resource("/api/me")
                    .route(web::get().to(me::read))
                    .route(web::head().to(me::read))
                    .route(web::patch().to(me::patch))
                    .default_service(other_methods("GET, HEAD, PATCH, OPTIONS")),
            )
            .service(
                web::resource("/api/me/password")
                    .route(web::post().to(me::change_password))
                    .default_service(other_methods("POST, OPTIONS")),
            )
            .service(
                web::resource("/api/users")
                    .route(web::get().to(handlers::list))
                    .route(web::head().to(handlers::list))
                    .route(web::post().to(handlers::create))
                    .default_service(other_methods("GET, HEAD, POST, OPTIONS")),
            )
            .service(
                web::resource("/api/users/{id}")
                    .route(web::get().to(handlers::read))
                    .route(web::head().to(handlers::read))
                    .route(web::put().to(handlers::put))
                    .route(web::patch().to(handlers::patch))
                    .route(web::delete().to(handlers::delete))
                    .default_service(other_methods("GET, HEAD, PUT, PATCH, DELETE, OPTIONS")),
            )
            .service(
                web::resource("/api/users/{id}/password")
                    .route(web::post().to(handlers::reset_password))
                    .default_service(other_methods("POST, OPTIONS")),
            )
            .service(
                web::resource("/api/users/{id}/sessions")
                    .route(web::get().to(sessions::list_of_user))
                    .route(web::head().to(sessions::list_of_user))
                    .route(web::delete().to(sessions::end_of_user))
                    .default_service(other_methods("GET, HEAD, DELETE, OPTIONS")),
            )
            .service(
                web::resource("/internal/sessions/ended")
                    .route(web::get().to(ended_sessions::serve))
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
