//! The location of the database, as given in `ORDERS_DATABASE_URL`. Opens nothing.

use std::{fmt, path::PathBuf, str::FromStr};

/// The location of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseLocation {
    /// An SQLite file.
    File(PathBuf),
    /// An SQLite database in memory, which is lost when the process ends.
    Memory,
}

impl FromStr for DatabaseLocation {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        const FORMS: &str = "write sqlite:///absolute/path, sqlite://relative/path or :memory:";
        if url == ":memory:" {
            return Ok(Self::Memory);
        }
        // What follows the scheme may be a password, so that no message shows it.
        let Some((scheme, path)) = url.split_once("://") else {
            return Err(format!("not the URL of a database; {FORMS}"));
        };
        if scheme != "sqlite" {
            return Err(format!("`{scheme}` is not supported, this build has SQLite only; {FORMS}"));
        }
        if path.is_empty() || path.ends_with('/') || path.contains([':', '?', '#', '%', '\0']) {
            return Err(format!("`{path}` is not the path of a file without `:`, `?`, `#` and `%`; {FORMS}"));
        }
        Ok(Self::File(path.into()))
    }
}

impl fmt::Display for DatabaseLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Memory => f.write_str(":memory:"),
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
            ("postgres://db/orders", None),
            ("", None),
        ] {
            assert_eq!(url.parse().ok(), expected, "{url}");
        }
    }
}
