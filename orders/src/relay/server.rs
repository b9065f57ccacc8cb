//! The server that events are published to, as given in `EVENTS_URL`. Connects to nothing.

use std::{fmt, path::PathBuf};

use chassis::config::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::tls::{self, TrustedRoots};

/// A NATS server, or several behind one name, and how this service proves itself to it.
#[derive(Clone, Debug)]
pub struct EventsServer {
    /// Without user and password.
    address: String,
    user: Option<User>,
    /// A file with a JWT and the seed of its key, as `nsc` makes it.
    credentials: Option<PathBuf>,
    roots: TrustedRoots,
}

/// A user with a password.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: Secret,
}

impl EventsServer {
    /// Reads `nats://USER:PASSWORD@HOST:PORT`, or `tls://…` for a server that is never spoken to without TLS. A server that demands
    /// TLS gets it with either.
    ///
    /// # Errors
    /// What is wrong. No message shows any of the URL, because a password with a character that should have been escaped may be
    /// anywhere.
    pub(crate) fn new(
        url: &Secret,
        credentials: Option<PathBuf>,
        authorities: Option<PathBuf>,
    ) -> Result<Self, String> {
        const FORM: &str = "not the URL of a NATS server; write nats://USER:PASSWORD@HOST:PORT or tls://…, with %XX for special \
                            characters in the password";
        let url: Url = url.expose().trim().parse().map_err(|_| FORM)?;
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| !host.is_empty() && is_bare && matches!(url.scheme(), "nats" | "tls"));
        let address = format!("{}://{}:{}", url.scheme(), host.ok_or(FORM)?, url.port().unwrap_or(DEFAULT_PORT));
        let user = match (decoded(url.username())?, url.password()) {
            (name, Some(password)) if !name.is_empty() => {
                Some(User { name, password: Secret::new(decoded(password)?) })
            }
            (name, None) if name.is_empty() => None,
            _ => return Err("names a user without a password, or a password without a user".to_owned()),
        };
        if user.is_some() && credentials.is_some() {
            return Err("has a user, and EVENTS_CREDENTIALS_FILE is set; keep one of them".to_owned());
        }
        let roots = authorities.map_or(TrustedRoots::Public, TrustedRoots::File);
        let server = Self { address, user, credentials, roots };
        // Read again for each connection, so that they can be renewed; a mistake shows now.
        server.credentials()?;
        server.tls()?;
        Ok(server)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) const fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    /// The contents of the file with credentials.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn credentials(&self) -> Result<Option<Secret>, String> {
        self.credentials.as_deref().map(Secret::from_file).transpose()
    }

    /// The settings of TLS.
    ///
    /// # Errors
    /// A file of certificates cannot be used.
    pub(super) fn tls(&self) -> Result<rustls::ClientConfig, String> {
        tls::config(&self.roots)
    }
}

/// The port of NATS where the URL does not say one.
const DEFAULT_PORT: u16 = 4222;

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| "has a user or a password that is not UTF-8".to_owned())
}

/// The address, without user and password.
impl fmt::Display for EventsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<EventsServer, String> {
        EventsServer::new(&Secret::new(url.to_owned()), None, None)
    }

    #[test]
    fn user_and_password_are_taken_from_the_url_and_never_shown() {
        for (url, address, user) in [
            ("nats://nats", "nats://nats:4222", None),
            ("tls://nats.example.com:4223/\n", "tls://nats.example.com:4223", None),
            ("nats://[::1]:1", "nats://[::1]:1", None),
            ("nats://o:hunter2@nats", "nats://nats:4222", Some(("o", "hunter2"))),
            ("nats://o%40x:hun%2Fter2@nats", "nats://nats:4222", Some(("o@x", "hun/ter2"))),
        ] {
            let server = server(url).unwrap();
            assert_eq!((server.address(), server.to_string().as_str()), (address, address));
            assert_eq!(server.user().map(|user| (user.name.as_str(), user.password.expose())), user, "{url}");
            assert!(!format!("{server:?}").contains("ter2"));
        }
    }

    #[test]
    fn a_mistake_is_named_and_never_shown() {
        for (url, expected) in [
            ("nats", "not the URL"),
            ("nats://", "not the URL"),
            ("http://o:hunter2@nats", "not the URL"),
            ("nats://o:hunter2@nats/path", "not the URL"),
            ("nats://o:hun?ter2@nats", "not the URL"),
            ("nats://o:hunter2@nats?tls=no", "not the URL"),
            ("nats://o:hunter2@nats:port", "not the URL"),
            ("nats://hunter2@nats", "a user without a password"),
            ("nats://:hunter2@nats", "a user without a password"),
            ("nats://o:hunter2%ff@nats", "not UTF-8"),
        ] {
            let error = server(url).expect_err(url);
            assert!(error.contains(expected) && !error.contains("ter2"), "{url}: {error}");
        }
    }
}
