//! A service in this process, on a folder of its own, and calls as the gateway would make them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::{
    config::{Secret, StartError},
    identity::UserId,
    testing::{Answer, Call, Running, Signer, User, call, get, post},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use users::{AuditSettings, Server, SessionLimits, Settings};

pub(crate) const KEY: &str = "the internal key of these tests, 32 bytes and more";

/// The gateway, which signs for this service.
pub(crate) const GATEWAY: Signer<'_> = Signer::new("users", KEY);

/// The first admin of every folder.
pub(crate) const ADMIN: User = User { id: 1, user_type: "admin" };
/// A demo user who is no admin.
pub(crate) const DEMO: User = User { id: 2, user_type: "default" };

const DAY: Duration = Duration::from_secs(86_400);

/// The password of every user that a test makes.
pub(crate) const PASSWORD: &str = "four words nobody guesses";
pub(crate) const USER_FIELDS: [&str; 8] =
    ["created_at", "created_by", "email", "full_name", "id", "updated_at", "user_type", "username"];

/// The settings of a demo on any free port.
pub(crate) fn demo(data_dir: &Path) -> Settings {
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: data_dir.to_owned(),
        internal_key: Secret::new(KEY.to_owned()),
        password_min: 1,
        bcrypt_cost: 10,
        demo: true,
        protected_ids: BTreeSet::from([UserId(1), UserId(2)]),
        admin_password: None,
        sessions: SessionLimits { idle: 7 * DAY, max: 30 * DAY, ended_kept: DAY },
        audit: AuditSettings::default(),
        drain_delay: Duration::ZERO,
        log_format: None,
        workers: 1,
    }
}

/// The settings of a new production system, whose first admin has [`PASSWORD`].
pub(crate) fn production(data_dir: &Path) -> Settings {
    Settings {
        password_min: 15,
        demo: false,
        protected_ids: BTreeSet::new(),
        admin_password: Some(Secret::new(PASSWORD.to_owned())),
        ..demo(data_dir)
    }
}

/// A folder for data that is gone at the end of the test.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Where the data is: a folder that does not exist yet.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("users")
    }

    /// A folder that has `users.json` already.
    pub(crate) fn with_users(json: &str) -> Self {
        let folder = Self::new();
        fs::create_dir(folder.data()).unwrap();
        fs::write(folder.data().join("users.json"), json).unwrap();
        folder
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.data().join(name)).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.data()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A running service.
pub(crate) struct Users {
    running: Running,
    pub(crate) folder: Folder,
}

impl Users {
    /// Starts with the demo users.
    pub(crate) fn demo() -> Self {
        Self::start(Folder::new(), demo).unwrap()
    }

    pub(crate) fn start(folder: Folder, settings: impl FnOnce(&Path) -> Settings) -> Result<Self, StartError> {
        let running = serve(settings(&folder.data()))?;
        Ok(Self { running, folder })
    }

    /// Stops, and starts again on the same folder.
    pub(crate) fn restart(self, settings: impl FnOnce(&Path) -> Settings) -> Self {
        let folder = self.stop();
        Self::start(folder, settings).unwrap()
    }

    pub(crate) fn stop(self) -> Folder {
        self.running.stop().unwrap();
        self.folder
    }

    pub(crate) const fn addr(&self) -> std::net::SocketAddr {
        self.running.addr()
    }

    /// Sends a call as it is.
    pub(crate) fn send(&self, call: &Call) -> Answer {
        call.send(self.addr())
    }

    /// Sends a call of the first admin.
    pub(crate) fn admin(&self, call: Call) -> Answer {
        self.send(&as_admin(call))
    }

    pub(crate) fn login(&self, username: &str, password: &str) -> Answer {
        self.send(&login(username, password))
    }

    /// Creates a user and returns its id.
    pub(crate) fn create(&self, username: &str) -> i64 {
        self.create_as(username, "default")
    }

    pub(crate) fn create_as(&self, username: &str, user_type: &str) -> i64 {
        let answer = self.admin(post("/api/users", &new_user(username, user_type)));
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_i64().unwrap()
    }

    pub(crate) fn get(&self, id: i64) -> Answer {
        self.admin(get(&format!("/api/users/{id}")))
    }

    pub(crate) fn patch(&self, id: i64, body: &Value) -> Answer {
        self.admin(call("PATCH", &format!("/api/users/{id}")).json(body))
    }

    pub(crate) fn put(&self, id: i64, body: &Value) -> Answer {
        self.admin(call("PUT", &format!("/api/users/{id}")).json(body))
    }

    pub(crate) fn delete(&self, id: i64) -> Answer {
        self.admin(call("DELETE", &format!("/api/users/{id}")))
    }

    /// The value of a metric without labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = self.send(&get("/metrics"));
        page.metric(name).unwrap_or_else(|| panic!("no metric {name} in {}", page.text()))
    }
}

/// Serves in a thread of its own.
pub(crate) fn serve(settings: Settings) -> Result<Running, StartError> {
    Running::start(move |addr, stop| {
        Box::pin(async move {
            let server = Server::bind(settings)?;
            let _ = addr.send(server.addr());
            server.run_until(async { drop(stop.await) }).await
        })
    })
}

/// A call that the first admin makes through the gateway.
pub(crate) fn as_admin(call: Call) -> Call {
    GATEWAY.signed(call, Some(ADMIN))
}

/// A login; the caller is not signed in yet.
pub(crate) fn login(username: &str, password: &str) -> Call {
    GATEWAY.signed(post("/api/login", &json!({"username": username, "password": password})), None)
}

pub(crate) fn new_user(username: &str, user_type: &str) -> Value {
    json!({"username": username, "password": PASSWORD, "user_type": user_type})
}

/// The names of the members of an object, sorted.
pub(crate) fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
