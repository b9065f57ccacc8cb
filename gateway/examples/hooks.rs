//! A gateway of your own: hooks in Rust, named by `hooks.yaml` beside this file. Run it before any service:
//! `APP_URL=http://127.0.0.1:3000 cargo run -p gateway --example hooks`

use actix_http::header::{HeaderName, HeaderValue};
use chassis::{
    config::{StartError, environment},
    problem::{Code, Problem},
};
use gateway::{
    Builder, Gateway, Server, Settings, bearer,
    hooks::{Answer, Claims, Request},
};
use serde_json::{Value, json};

/// The YAML that names the hooks.
pub const YAML: &str = include_str!("hooks.yaml");

const TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// A gateway with four hooks, one of each kind.
pub fn builder() -> Builder {
    Gateway::builder()
        .decoder("api-key", api_key)
        .authorizer("own-files", own_files)
        .headers("tenant", &[TENANT], tenant)
        .post("envelope", envelope)
}

/// `decoder: api-key`: a key in a header identifies the caller. A real decoder would look the key up, and may wait for it.
async fn api_key(request: Request) -> Result<Claims, Problem> {
    let claims = match request.header("x-api-key") {
        Some("key-of-ann") => json!({"sub": "ann", "tenant": "north"}),
        Some("key-of-ben") => json!({"sub": "ben"}),
        Some(_) => return Err(Problem::new(Code::TokenInvalid, "this API key is not valid")),
        None => return Err(Problem::new(Code::TokenMissing, "this needs an API key: send `X-Api-Key: …`")),
    };
    Ok(claims.as_object().cloned().unwrap_or_default())
}

/// `auth: {hook: own-files}`: each caller may read the folder of their own name.
async fn own_files(request: Request) -> Result<(), Problem> {
    let sub = request.claims().and_then(|claims| claims.get("sub")).and_then(Value::as_str);
    let folder = request.path.split('/').nth(2);
    if sub.is_some() && sub == folder { Ok(()) } else { Err(bearer::insufficient("sub")) }
}

/// `headers_from: tenant`: tells services for which tenant a request is. A client cannot set this header itself.
async fn tenant(request: Request) -> Result<Vec<(HeaderName, HeaderValue)>, Problem> {
    let tenant = request.claims().and_then(|claims| claims.get("tenant")).and_then(Value::as_str);
    let value = tenant.map(HeaderValue::from_str).transpose().map_err(Problem::internal)?;
    Ok(value.map(|value| (TENANT, value)).into_iter().collect())
}

/// `then: envelope`: wraps the JSON of the service, with the request id beside it.
async fn envelope(request: Request, mut answer: Answer) -> Result<Answer, Problem> {
    let data: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| Problem::new(Code::UpstreamInvalid, "the service answered no JSON").because(error))?;
    answer.body = json!({"data": data, "request_id": request.context.request_id()}).to_string().into();
    Ok(answer)
}

fn main() -> Result<(), StartError> {
    let settings = Settings { workers: 1, drain_delay: std::time::Duration::ZERO, log_format: None };
    chassis::logging::init(settings.log_format);
    let config = builder().load_text("hooks.yaml", YAML, &environment)?;
    actix_rt::System::new().block_on(async move {
        let shutdown = chassis::server::shutdown_signal();
        Server::bind(config, settings)?.run_until(shutdown).await
    })
}
