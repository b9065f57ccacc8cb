//! CORS: which origins may call from a browser (Fetch standard, section 3.2). Answers preflight requests and adds the
//! fields to answers. Knows no routes.

use actix_http::{
    Method, Response, StatusCode,
    body::BoxBody,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN,
        VARY,
    },
};

/// The CORS settings of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cors {
    pub(crate) origins: Origins,
    /// If it is `None`, those of the route.
    pub(crate) methods: Option<HeaderValue>,
    pub(crate) headers: HeaderValue,
    pub(crate) expose: Option<HeaderValue>,
    pub(crate) credentials: bool,
    pub(crate) max_age: HeaderValue,
}

/// The allowed origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origins {
    Any,
    Only(Vec<HeaderValue>),
}

/// Returns the method that a preflight request asks about; `None` if it is no preflight request.
pub(crate) fn announced_method<'a>(method: &Method, headers: &'a HeaderMap) -> Option<&'a str> {
    if *method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.to_str().ok()
}

/// Returns whether a preflight request announces this header. Its value is not announced.
pub(crate) fn announces(headers: &HeaderMap, name: &str) -> bool {
    let listed = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|known| known.trim().eq_ignore_ascii_case(name))
}

impl Cors {
    /// Answers a preflight request for this method.
    pub(crate) fn preflight(&self, headers: &HeaderMap, method: &str) -> Response<BoxBody> {
        let mut response = Response::with_body(StatusCode::NO_CONTENT, BoxBody::new(()));
        let fields = response.headers_mut();
        for name in [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS] {
            fields.append(VARY, HeaderValue::from(name));
        }
        let Some(origin) = headers.get(ORIGIN).and_then(|origin| self.allowed(origin)) else { return response };
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let methods = self.methods.clone().or_else(|| HeaderValue::from_str(method).ok());
        let credentials = self.credentials.then(|| HeaderValue::from_static("true"));
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_METHODS, methods),
            (ACCESS_CONTROL_ALLOW_HEADERS, Some(self.headers.clone()).filter(|headers| !headers.is_empty())),
            (ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials),
            (ACCESS_CONTROL_MAX_AGE, Some(self.max_age.clone())),
        ] {
            insert_some(fields, &name, value);
        }
        response
    }

    /// Adds the fields to an answer to a page of `origin`. Those of the upstream are removed: only one of the two may
    /// decide.
    pub(crate) fn append_to(&self, fields: &mut HeaderMap, origin: Option<&HeaderValue>) {
        for name in [ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_EXPOSE_HEADERS] {
            fields.remove(name);
        }
        fields.append(VARY, HeaderValue::from(ORIGIN));
        let Some(origin) = origin.and_then(|origin| self.allowed(origin)) else { return };
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        insert_some(fields, &ACCESS_CONTROL_EXPOSE_HEADERS, self.expose.clone());
        insert_some(
            fields,
            &ACCESS_CONTROL_ALLOW_CREDENTIALS,
            self.credentials.then(|| HeaderValue::from_static("true")),
        );
    }

    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match &self.origins {
            Origins::Any => Some(HeaderValue::from_static("*")),
            Origins::Only(origins) => origins.iter().find(|known| *known == origin).cloned(),
        }
    }
}

fn insert_some(fields: &mut HeaderMap, name: &HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        fields.insert(name.clone(), value);
    }
}
