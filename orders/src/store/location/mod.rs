//! The location of the database, as given in `ORDERS_DATABASE_URL`. Opens nothing.

mod server;

use std::{fmt, path::PathBuf, str::FromStr};

use chassis::config::Secret;

pub use self::server::ServerLocation;

/// The location of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseLocation {
    /// An SQLite file.
    File(PathBuf),
    /// An SQLite database in memory, which is lost when the process ends.
    Memory,
    /// A PostgreSQL database.
    Server(Box<ServerLocation>),
}

impl FromStr for DatabaseLocation {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        const FORMS: &str = "write sqlite:///absolute/path, sqlite://relative/path, postgres://USER:PASSWORD@HOST/DATABASE or \
                             :memory:";
        if url == ":memory:" {
            return Ok(Self::Memory);
        }
        // What follows the scheme may be a password, so that no message shows it.
        let Some((scheme, path)) = url.split_once("://") else {
            return Err(format!("not the URL of a database; {FORMS}"));
        };
        match scheme {
            "sqlite" => {}
            "postgres" | "postgresql" => return Ok(Self::Server(Box::new(url.parse()?))),
            _ => return Err(format!("`{scheme}` is not supported; {FORMS}")),
        }
        if path.is_empty() || path.ends_with('/') || path.contains([':', '?', '#', '%', '\0']) {
            return Err(format!("`{path}` is not the path of a file without `:`, `?`, `#` and `%`; {FORMS}"));
        }
        Ok(Self::File(path.into()))
    }
}

impl DatabaseLocation {
    /// The same location with the password of its server.
    ///
    /// # Errors
    /// It is on no server.
    pub(crate) fn with_password(self, password: &Secret) -> Result<Self, &'static str> {
        match self {
            Self::Server(server) => Ok(Self::Server(Box::new(server.with_password(password)))),
            Self::File(_) | Self::Memory => {
                Err("is set, and ORDERS_DATABASE_URL names no server that would ask for it")
            }
        }
    }
}

impl fmt::Display for DatabaseLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str(":memory:"),
            Self::Server(location) => location.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_file_or_memory_where_that_is_written() {
        for (url, expected) in [
            ("sqlite:///var/lib/orders.db", Some(DatabaseLocation::File("/var/lib/orders.db".into()))),
            ("sqlite://data/orders.db", Some(DatabaseLocation::File("data/orders.db".into()))),
            (":memory:", Some(DatabaseLocation::Memory)),
            ("sqlite://:memory:", None),
            ("sqlite://", None),
            ("sqlite:///var/lib/", None),
            ("sqlite://orders.db?mode=ro", None),
            ("orders.db", None),
            ("mysql://db/orders", None),
            ("", None),
        ] {
            assert_eq!(url.parse().ok(), expected, "{url}");
        }
    }
}
