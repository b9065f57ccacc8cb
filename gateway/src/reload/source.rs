//! Where the configuration comes from: the YAML file, the environment, and the files that the environment names. Tells
//! whether any of them has changed. Knows nothing of what is done with them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use chassis::config::StartError;
use sha2::{Digest, Sha256};

use crate::{
    config::{self, Config},
    hooks::Hooks,
};

/// Looks up an environment variable.
pub(crate) type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The hash of a file; `None` if it cannot be read.
type Hash = Option<[u8; 32]>;

/// A YAML file and the environment that its variables come from, which [`Builder::source`](crate::Builder::source) returns.
///
/// ```
/// let source = gateway::Gateway::builder().source("absent.yaml".into(), |_| None);
/// assert!(source.load().1.is_err());
/// ```
#[derive(Clone)]
pub struct Source {
    path: PathBuf,
    environment: Arc<Environment>,
    hooks: Hooks,
}

/// The files that were read, each with its hash. Tells [`Server::watching`](crate::Server::watching) what is in force.
///
/// ```
/// let folder = tempfile::tempdir().unwrap();
/// let file = folder.path().join("gateway.yaml");
/// let source = gateway::Gateway::builder().source(file.clone(), |_| None);
/// let (absent, _) = source.load();
/// std::fs::write(&file, "version: 1").unwrap();
/// assert_ne!(source.load().0, absent);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(Vec<(PathBuf, Hash)>);

impl Source {
    /// Returns the source at `path`.
    pub(crate) fn new(path: PathBuf, environment: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { path, environment: Arc::new(environment), hooks: Hooks::default() }
    }

    /// Returns the same source, whose YAML may name these hooks.
    #[must_use]
    pub(crate) fn naming(self, hooks: Hooks) -> Self {
        Self { hooks, ..self }
    }

    /// Reads and decodes the configuration. The fingerprint is that of the files that were read, also where they have
    /// mistakes.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), chassis::config::StartError> {
    /// use chassis::{config::environment, server::shutdown_signal};
    /// use gateway::{Gateway, Server, Settings};
    ///
    /// let source = Gateway::builder().source("gateway.yaml".into(), environment);
    /// let (fingerprint, config) = source.load();
    /// let server = Server::bind(config?, Settings::default())?.watching(source, fingerprint);
    /// server.run_until(shutdown_signal()).await
    /// # }
    /// ```
    pub fn load(&self) -> (Fingerprint, Result<Config, StartError>) {
        // Read once: the hash is that of the bytes that are decoded, whatever happens to the file meanwhile.
        let bytes = fs::read(&self.path);
        let files = Mutex::new(vec![(self.path.clone(), bytes.as_deref().ok().map(hash))]);
        let lookup = |name: &str| {
            let value = (self.environment)(name);
            if let Some(path) = value.as_ref().filter(|_| name.ends_with("_FILE")) {
                // Hashed before it is read: a change between the two is noticed, because the hash is that of the old file.
                let file = (PathBuf::from(path), hash_of(Path::new(path)));
                files.lock().unwrap_or_else(PoisonError::into_inner).push(file);
            }
            value
        };
        let config = config::load_bytes_with(&self.path, bytes, &lookup, &self.hooks);
        (Fingerprint(files.into_inner().unwrap_or_else(PoisonError::into_inner)), config)
    }
}

impl Fingerprint {
    /// Returns the same files with their current hashes. Follows symbolic links, by which Kubernetes swaps a whole folder.
    pub(crate) fn now(&self) -> Self {
        Self(self.0.iter().map(|(path, _)| (path.clone(), hash_of(path))).collect())
    }

    /// Returns whether the files that both know have the same hashes. A changed configuration may name other files.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let hash_of = |path: &Path| other.0.iter().find(|(known, _)| known == path).map(|(_, hash)| hash);
        self.0.iter().all(|(path, hash)| hash_of(path).is_none_or(|known| known == hash))
    }

    /// Returns the first digits of the hash over all files, for people and metrics.
    pub(crate) fn short(&self) -> String {
        let all = self.0.iter().fold(Sha256::new(), |all, (_, hash)| all.chain_update(hash.unwrap_or_default()));
        all.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn hash_of(path: &Path) -> Hash {
    fs::read(path).ok().as_deref().map(hash)
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_change_of_the_file_or_of_a_secret_that_the_environment_names_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (yaml, secret) = (folder.path().join("g.yaml"), folder.path().join("secret"));
        fs::write(
            &yaml,
            "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntokens: {issuer: i, audience: a}\n\
             upstreams: {u: {targets: [\"http://u:1\"]}}\nroutes: [{route: GET /x, to: u, auth: signed-in}]\n",
        )
        .unwrap();
        fs::write(&secret, "a".repeat(32)).unwrap();
        let named = secret.display().to_string();
        let source = Source::new(yaml.clone(), move |name| (name == "GATEWAY_JWT_SECRET_FILE").then(|| named.clone()));

        let (first, config) = source.load();
        assert!(config.is_ok());
        assert_eq!(first.now(), first);
        fs::write(&secret, "b".repeat(32)).unwrap();
        assert_ne!(first.now(), first);

        let (second, _) = source.load();
        fs::write(&yaml, "version: 1\n").unwrap();
        assert_ne!(second.now(), second);
        let (third, config) = source.load();
        assert!(config.is_err());
        assert_eq!(third.now(), third);
        assert_ne!(third.short(), first.short());
    }

    #[test]
    fn the_fingerprint_is_that_of_the_configuration_that_was_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = folder.path().join("g.yaml");
        let source = Source::new(yaml.clone(), |_| None);
        let write = |port: u16| {
            let text =
                format!("version: 1\nlisten: 127.0.0.1:{port}\nadmin: 127.0.0.1:0\nupstreams: {{}}\nroutes: []\n");
            let temporary = folder.path().join("new");
            fs::write(&temporary, text).unwrap();
            fs::rename(temporary, &yaml).unwrap();
        };
        let load = || {
            let (fingerprint, config) = source.load();
            (config.unwrap().listen.port(), fingerprint)
        };
        let known = [1, 2].map(|port| {
            write(port);
            load()
        });
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Swaps the file between the two all the time.
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    [1, 2].into_iter().for_each(write);
                }
            });
            let loaded: Vec<_> = (0..2000).map(|_| load()).collect();
            done.store(true, Ordering::Relaxed);
            for one in loaded {
                assert!(known.contains(&one), "{one:?} is none of {known:?}");
            }
        });
    }
}
