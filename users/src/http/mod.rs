//! What clients see, through the gateway:
//!
//! | call | who | answer |
//! |---|---|---|
//! | `POST /api/login` | anyone | 200 the user, from which the gateway makes the token |
//! | `GET /api/users?limit&cursor` | admin | 200 a page, `Link` to the next |
//! | `POST /api/users` | admin | 201, `Location`, `ETag` |
//! | `GET /api/users/{id}` | admin | 200, `ETag`; 304 |
//! | `PUT`, `PATCH /api/users/{id}` | admin | 200, `ETag`; honours `If-Match` |
//! | `DELETE /api/users/{id}` | admin | 204; honours `If-Match` |
//! | `GET /openapi.json` | anyone | 200 the description of these calls |

mod contract;
mod error;
mod handlers;
mod openapi;

use actix_web::web;
use chassis::{envelope::other_methods, page::CursorKey};

use crate::{domain::PasswordPolicy, passwords::Passwords, store::UsersStore};

/// What the handlers use.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) store: web::Data<UsersStore>,
    pub(crate) passwords: web::Data<Passwords>,
    pub(crate) policy: web::Data<PasswordPolicy>,
    pub(crate) cursors: web::Data<CursorKey>,
}

impl App {
    /// Adds the endpoints.
    pub(crate) fn endpoints(&self, config: &mut web::ServiceConfig) {
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
                web::resource("/api/users")
                    .route(web::get().to(handlers::list))
                    .route(web::head().to(handlers::list))
                    .route(web::post().to(handlers::create))
                    .default_service(other_methods("GET, HEAD, POST, OPTIONS")),
            )
            .service(
                web::resource("/api/users/{id}")
                    .route(web::get().to(handlers::get))
                    .route(web::head().to(handlers::get))
                    .route(web::put().to(handlers::put))
                    .route(web::patch().to(handlers::patch))
                    .route(web::delete().to(handlers::delete))
                    .default_service(other_methods("GET, HEAD, PUT, PATCH, DELETE, OPTIONS")),
            )
            .service(
                web::resource("/openapi.json")
                    .route(web::get().to(openapi::serve))
                    .route(web::head().to(openapi::serve))
                    .default_service(other_methods("GET, HEAD, OPTIONS")),
            );
    }
}
