//! The admin listener: a live page and the JSON behind it. For operators only; knows nothing of how requests are forwarded.

mod hosts;
mod view;

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use chassis::middleware::{HostCheck, other_methods};

use crate::runtime::current::CurrentSnapshot;

/// The page loads nothing from other origins and may not be framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const ALLOW: &str = "GET, HEAD, OPTIONS";

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const LOGO: &str = include_str!("../../assets/logo.svg");

/// Returns the check of the `Host` of every request, also for `/metrics` and `/health/*`, by the configuration in force.
pub(crate) fn host_check(current: &Arc<CurrentSnapshot>) -> Arc<HostCheck> {
    let current = Arc::clone(current);
    Arc::new(move |host| hosts::check(host, &current.get().config.admin_hosts))
}

/// Adds the endpoints besides `/metrics` and `/health/*`.
pub(crate) fn endpoints(app: &mut web::ServiceConfig, current: &Arc<CurrentSnapshot>) {
    app.app_data(web::Data::from(Arc::clone(current)));
    for (path, media_type, text) in [
        ("/", "text/html; charset=utf-8", PAGE),
        ("/page.css", "text/css; charset=utf-8", STYLE),
        ("/page.js", "text/javascript; charset=utf-8", SCRIPT),
        ("/logo.svg", "image/svg+xml", LOGO),
    ] {
        let answer = move || async move { file(media_type, text) };
        let resource = web::resource(path).default_service(other_methods(ALLOW));
        app.service(resource.route(web::get().to(answer)).route(web::head().to(answer)));
    }
    type View = fn(&CurrentSnapshot) -> serde_json::Value;
    let views: [(&str, View); 6] = [
        ("/routes", view::routes),
        ("/upstreams", view::upstreams),
        ("/config", view::config),
        ("/errors", view::errors),
        ("/history", view::history),
        ("/status", view::status),
    ];
    for (path, view) in views {
        let answer = move |current: web::Data<CurrentSnapshot>| async move { json(&view(&current)) };
        let resource = web::resource(path).default_service(other_methods(ALLOW));
        app.service(resource.route(web::get().to(answer)).route(web::head().to(answer)));
    }
}

fn file(media_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(media_type)
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("cache-control", "no-cache"))
        .body(text)
}

fn json(value: &serde_json::Value) -> HttpResponse {
    HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(value)
}
