//! The location of a PostgreSQL database: a URL, as its own tools take it. Opens nothing.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use chassis::config::Secret;
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

use crate::tls::TrustedRoots;

/// How long connecting to one server may take, where the URL does not say `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sent data may remain unacknowledged before the connection counts as lost.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be idle before it is tested, so that a firewall does not forget it.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// The name under which the server shows our connections (`pg_stat_activity`).
const APPLICATION_NAME: &str = "orders";

/// A database on a PostgreSQL server, or on one of several of which one can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLocation {
    /// `Debug` of this type does not show the password.
    config: Config,
    /// Whose certificate the server must have; `None` without TLS.
    tls: Option<TrustedRoots>,
}

impl ServerLocation {
    /// How to connect.
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// `None` without TLS.
    pub(crate) const fn tls(&self) -> Option<&TrustedRoots> {
        self.tls.as_ref()
    }

    /// The same location with a password, which replaces that of the URL.
    #[must_use]
    pub(crate) fn with_password(mut self, password: &Secret) -> Self {
        self.config.password(password.expose());
        self
    }
}

impl FromStr for ServerLocation {
    type Err = String;

    /// Parses `postgres://USER:PASSWORD@HOST:PORT/DATABASE?…`. No message shows any of it, because a password with a character
    /// that should have been escaped may be anywhere.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let (place, query) = url.rsplit_once('?').unwrap_or((url, ""));
        let mut own = OwnParameters::default();
        let mut others = String::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            if !own.take(parameter)? {
                others.push(if others.is_empty() { '?' } else { '&' });
                others.push_str(parameter);
            }
        }
        let mut config: Config = format!("{place}{others}").parse().map_err(|_| {
            "not the URL of a PostgreSQL database; write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %XX for special \
             characters in the password"
                .to_owned()
        })?;
        for (what, is_missing) in [
            ("host", config.get_hosts().is_empty()),
            ("user", config.get_user().is_none()),
            ("database", config.get_dbname().is_none_or(str::is_empty)),
        ] {
            if is_missing {
                return Err(format!("names no {what}; write postgres://USER:PASSWORD@HOST:PORT/DATABASE"));
            }
        }
        let tls = own.tls(config.get_hosts().iter().all(is_local))?;
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        set_defaults(&mut config);
        Ok(Self { config, tls })
    }
}

fn set_defaults(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name(APPLICATION_NAME);
    }
    config.tcp_user_timeout(ACKNOWLEDGE_TIMEOUT).keepalives_idle(KEEPALIVE_IDLE);
    // Of several servers the one that can be written to, also for reading: what was acknowledged is there at once.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
}

/// The parameters that the library does not know.
#[derive(Default)]
struct OwnParameters {
    mode: Option<String>,
    root: Option<PathBuf>,
}

impl OwnParameters {
    /// Takes the parameter if it is one of these.
    fn take(&mut self, parameter: &str) -> Result<bool, String> {
        match parameter.split_once('=') {
            Some(("sslmode", mode)) => self.mode = Some(mode.to_owned()),
            Some(("sslrootcert", path)) if path.is_empty() || path.contains('%') => {
                return Err("sslrootcert is not the path of a file without `%`".to_owned());
            }
            Some(("sslrootcert", path)) => self.root = Some(path.into()),
            Some(_) | None => return Ok(false),
        }
        Ok(true)
    }

    /// Without `sslmode`, TLS is used unless the server is on this machine.
    fn tls(self, is_local: bool) -> Result<Option<TrustedRoots>, String> {
        let verifies = match self.mode.as_deref() {
            Some("disable") => false,
            Some("verify-full") => true,
            None => !is_local || self.root.is_some(),
            Some(_) => {
                return Err(
                    "sslmode is neither verify-full (the default, but for a server on this machine) nor disable; \
                            the others do not verify who the server is"
                        .to_owned(),
                );
            }
        };
        match self.root {
            Some(_) if !verifies => Err("sslrootcert is of no use with sslmode=disable".to_owned()),
            Some(path) => Ok(Some(TrustedRoots::File(path))),
            None => Ok(verifies.then_some(TrustedRoots::Public)),
        }
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// The servers and the database, without user and password.
impl fmt::Display for ServerLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            match host {
                Host::Tcp(name) => f.write_str(name)?,
                #[cfg(unix)]
                Host::Unix(path) => path.display().fmt(f)?,
            }
            let ports = self.config.get_ports();
            if let Some(port) = ports.get(index).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<ServerLocation, String> {
        url.parse()
    }

    #[test]
    fn tls_is_verified_unless_the_server_is_on_this_machine_or_the_url_says_otherwise() {
        let file = || Some(TrustedRoots::File("/ca.pem".into()));
        for (url, expected) in [
            ("postgres://o:p@db.example.com/orders", Some(TrustedRoots::Public)),
            ("postgres://o:p@db.example.com/orders?sslmode=verify-full", Some(TrustedRoots::Public)),
            ("postgres://o:p@db/orders?sslmode=verify-full&sslrootcert=/ca.pem", file()),
            ("postgres://o:p@localhost/orders?sslrootcert=/ca.pem", file()),
            ("postgres://o:p@db/orders?sslmode=disable", None),
            ("postgres://o:p@localhost:5433/orders", None),
            ("postgres://o:p@[::1]/orders", None),
            ("postgres://o@%2Fvar%2Frun%2Fpostgresql/orders", None),
            ("postgres://o:p@localhost,db/orders", Some(TrustedRoots::Public)),
            ("postgres://o:hun?ter2@db/orders", Some(TrustedRoots::Public)),
            ("postgres://o:hun?ter2@db/orders?sslmode=disable", None),
        ] {
            let location = parse(url).unwrap();
            assert_eq!(location.tls(), expected.as_ref(), "{url}");
            let mode = if expected.is_some() { SslMode::Require } else { SslMode::Disable };
            assert_eq!(location.config().get_ssl_mode(), mode, "{url}");
        }
    }

    #[test]
    fn a_mistake_is_named_and_never_shown() {
        for (url, expected) in [
            ("postgres://o:hunter2@db/orders?sslmode=require", "sslmode is neither verify-full"),
            ("postgres://o:hunter2@db/orders?sslmode=prefer", "sslmode is neither verify-full"),
            ("postgres://o:hunter2@db/orders?sslmode=disable&sslrootcert=/ca.pem", "is of no use"),
            ("postgres://o:hunter2@db/orders?sslrootcert=", "sslrootcert is not the path"),
            ("postgres://o:hunter2@db/orders?hunter2=1", "not the URL"),
            ("postgres://o:hunter2@db", "names no database"),
            ("postgres://o:hunter2@db/", "names no database"),
            ("postgres://db/orders", "names no user"),
            ("postgres://o:hunter2@/orders", "names no host"),
            ("postgres://o:hunter2@db:port/orders", "not the URL"),
        ] {
            let error = parse(url).expect_err(url);
            assert!(error.contains(expected) && !error.contains("ter2"), "{url}: {error}");
        }
    }

    #[test]
    fn what_is_logged_has_neither_user_nor_password() {
        let url = "postgres://somebody:hunter2@a:5432,b:5433/orders";
        let location = parse(url).unwrap().with_password(&Secret::new("another".to_owned()));
        assert_eq!(location.to_string(), "postgres://a:5432,b:5433/orders");
        let debug = format!("{location:?}");
        assert!(!debug.contains("hunter2") && !debug.contains("another"), "{debug}");
        assert_eq!(location.config().get_password(), Some(b"another".as_slice()));
    }
}
