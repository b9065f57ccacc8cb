//! The settings of the service: as typed on the command line and in the environment, and as needed.

use std::{
    collections::BTreeSet, fmt::Display, net::SocketAddr, ops::RangeInclusive, path::PathBuf, str::FromStr, thread,
    time::Duration,
};

use chassis::{
    config::{Lookup, Mistakes, Secret, StartError, parse_duration},
    identity::{ASSERTION_KEY_BYTES_MIN, UserId},
    logging::LogFormat,
};
use clap::Parser;

use crate::{
    audit::{AuditSettings, MIB_MAX_DEFAULT},
    control::AccountSettings,
    domain::{COST_MAX, PasswordPolicy, SessionLimits},
    first_users,
    tools::Command,
};

const LISTEN_DEFAULT: &str = "127.0.0.1:8002";
const DATA_DIR_DEFAULT: &str = "./data/users";
/// NIST SP 800-63B-4, section 3.1.1.2: a password that is the only factor has at least 15 characters.
const PASSWORD_MIN_DEFAULT: usize = 15;
/// The demo passwords have one letter.
const PASSWORD_MIN_DEMO: usize = 1;
/// bcrypt reads 71 bytes; a higher minimum would allow almost no password.
const PASSWORD_MIN_MAX: usize = 64;
/// About a quarter of a second on a current core.
const BCRYPT_COST_DEFAULT: u32 = 12;
/// OWASP, Password Storage Cheat Sheet: a work factor of 10 or more.
const BCRYPT_COST_MIN: u32 = 10;
/// More threads than any machine has cores are a typing mistake.
const WORKERS_MAX: usize = 1024;
/// The log is kept in 16 files, each of at least 1 MiB; more than 1 TiB is a typing mistake.
const AUDIT_MIB: RangeInclusive<u64> = 16..=1024 * 1024;
const PROTECTED_IDS_DEMO: &str = "1,2";
/// A week: who comes back every few days stays signed in.
const SESSION_IDLE_DEFAULT: &str = "7d";
/// NIST SP 800-63B-4, section 2.1.3: at the lowest level of assurance, everybody signs in again within 30 days.
const SESSION_MAX_DEFAULT: &str = "30d";
/// Longer than an access token is valid, with room to make that longer.
const ENDED_SESSIONS_KEPT_DEFAULT: &str = "24h";
/// Shorter sessions would end before their first access token is used; longer ones are a typing mistake.
const SESSION_RANGE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(366 * 86_400);

/// Accounts: who may sign in, and as what.
///
/// Secrets come from the environment only: USERS_INTERNAL_KEY, or INTERNAL_KEY (required, at least 32 bytes), and
/// USERS_ADMIN_PASSWORD; each also as …_FILE, the path of a file with the secret.
#[derive(Debug, Default, Parser)]
#[command(name = "users", version)]
pub struct Args {
    /// The address to listen on [default: 127.0.0.1:8002]
    #[arg(long, env = "USERS_LISTEN")]
    pub listen: Option<String>,
    /// The folder with the users [default: ./data/users]
    #[arg(long, env = "USERS_DATA_DIR", global = true)]
    pub data_dir: Option<String>,
    /// Install the demo users in an empty folder, and protect them [default: false]
    #[arg(long, env = "USERS_DEMO", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub demo: Option<String>,
    /// Minimum length of a new password, in characters [default: 15, with --demo 1]
    #[arg(long, env = "USERS_PASSWORD_MIN")]
    pub password_min: Option<String>,
    /// The cost of new bcrypt hashes, 10 to 15 [default: 12]
    #[arg(long, env = "USERS_BCRYPT_COST")]
    pub bcrypt_cost: Option<String>,
    /// Users that are never deleted, demoted or locked, for example 1,2 [default: none, with --demo 1,2]
    #[arg(long, env = "USERS_PROTECTED_IDS")]
    pub protected_ids: Option<String>,
    /// How long a session lives without being refreshed, for example 12h [default: 7d]
    #[arg(long, env = "USERS_SESSION_IDLE")]
    pub session_idle: Option<String>,
    /// How long a session lives after the sign-in [default: 30d]
    #[arg(long, env = "USERS_SESSION_MAX")]
    pub session_max: Option<String>,
    /// How long gateways are told that a session has ended; not shorter than their access tokens are valid [default: 24h]
    #[arg(long, env = "USERS_ENDED_SESSIONS_KEPT")]
    pub ended_sessions_kept: Option<String>,
    /// Maximum size of the audit log in MiB; the oldest file is removed then [default: 256]
    #[arg(long, env = "USERS_AUDIT_MAX_MIB")]
    pub audit_max_mib: Option<String>,
    /// Print each line of the audit log on standard output, too [default: false]
    #[arg(long, env = "USERS_AUDIT_STDOUT", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub audit_stdout: Option<String>,
    /// Refuse what cannot be written to the audit log [default: true]
    #[arg(long, env = "USERS_AUDIT_REQUIRED", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub audit_required: Option<String>,
    /// How long to accept requests after the signal to stop, for example 5s [default: 0s]
    #[arg(long, env = "DRAIN_DELAY")]
    pub drain_delay: Option<String>,
    /// text or json [default: text in a terminal, else json]
    #[arg(long, env = "LOG_FORMAT")]
    pub log_format: Option<String>,
    /// Number of threads that serve requests [default: one for each core]
    #[arg(long, env = "USERS_WORKERS")]
    pub workers: Option<String>,
    /// Ask the running service whether it is ready, and exit with 0 or 1.
    #[arg(long)]
    pub healthcheck: bool,
    /// A command for the accounts; without one, the service runs.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The settings as needed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The folder with the users. Only one process uses it at a time.
    pub data_dir: PathBuf,
    /// Verifies the gateway's assertions and signs cursors.
    pub internal_key: Secret,
    /// Minimum length of a new password, in characters.
    pub password_min: usize,
    /// The cost of new bcrypt hashes.
    pub bcrypt_cost: u32,
    /// Whether the demo users are installed in an empty folder.
    pub demo: bool,
    /// Users that are never deleted, demoted or locked.
    pub protected_ids: BTreeSet<UserId>,
    /// The password of the first admin of an empty folder; without it, a random one is generated and logged once.
    pub admin_password: Option<Secret>,
    /// How long sessions live, and how long it is remembered that they have ended.
    pub sessions: SessionLimits,
    /// How the audit log is kept.
    pub audit: AuditSettings,
    /// How long to accept requests after the signal to stop, while not ready.
    pub drain_delay: Duration,
    /// The format of log lines; `None` means text in a terminal, else JSON.
    pub log_format: Option<LogFormat>,
    /// Number of threads that serve requests.
    pub workers: usize,
}

impl Settings {
    /// Reads the settings. An empty setting counts as absent.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn from_args(args: &Args, lookup: Lookup<'_>) -> Result<Self, StartError> {
        let mut mistakes = Mistakes::default();
        let demo = demo(&mut mistakes, args);
        let is_demo = demo == Some(true);
        let password_min = password_min(&mut mistakes, args, is_demo);
        let log_format = given(&args.log_format).map(|raw| mistakes.parse("LOG_FORMAT", &raw));
        let workers = given(&args.workers).map(|raw| mistakes.take("USERS_WORKERS", number(&raw, &(1..=WORKERS_MAX))));
        // Every setting is read before the first is required, so that all mistakes are found.
        let listen = mistakes.parse("USERS_LISTEN", &or(&args.listen, LISTEN_DEFAULT));
        let bcrypt_cost = bcrypt_cost(&mut mistakes, args);
        let protected_ids = protected_ids(&mut mistakes, args, is_demo);
        let sessions = session_limits(&mut mistakes, args);
        let audit = audit_settings(&mut mistakes, args);
        let drain_delay = mistakes.take("DRAIN_DELAY", parse_duration(&or(&args.drain_delay, "0s")));
        let internal_key = internal_key(&mut mistakes, lookup);
        let admin_password = admin_password(&mut mistakes, lookup, password_min);
        let settings = || {
            Some(Self {
                listen: listen?,
                data_dir: or(&args.data_dir, DATA_DIR_DEFAULT).into(),
                internal_key: internal_key?,
                password_min: password_min?,
                bcrypt_cost: bcrypt_cost?,
                demo: demo?,
                protected_ids: protected_ids?,
                admin_password,
                sessions: sessions?,
                audit: audit?,
                drain_delay: drain_delay?,
                log_format: log_format.flatten(),
                workers: workers.unwrap_or_else(|| Some(cores()))?,
            })
        };
        let settings = settings();
        mistakes.finish(settings)
    }
}

impl AccountSettings {
    /// Reads what the commands need of the settings. An empty setting counts as absent.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn from_args(args: &Args) -> Result<Self, StartError> {
        let mut mistakes = Mistakes::default();
        let is_demo = demo(&mut mistakes, args) == Some(true);
        let password_min = password_min(&mut mistakes, args, is_demo);
        let bcrypt_cost = bcrypt_cost(&mut mistakes, args);
        let protected_ids = protected_ids(&mut mistakes, args, is_demo);
        let sessions = session_limits(&mut mistakes, args);
        let audit = audit_settings(&mut mistakes, args);
        let settings = || {
            Some(Self {
                data_dir: or(&args.data_dir, DATA_DIR_DEFAULT).into(),
                password_min: password_min?,
                bcrypt_cost: bcrypt_cost?,
                protected_ids: protected_ids?,
                sessions: sessions?,
                audit: audit?,
            })
        };
        let settings = settings();
        mistakes.finish(settings)
    }
}

fn given(raw: &Option<String>) -> Option<String> {
    raw.clone().filter(|text| !text.trim().is_empty())
}

fn or(raw: &Option<String>, default: &str) -> String {
    given(raw).unwrap_or_else(|| default.to_owned())
}

fn demo(mistakes: &mut Mistakes, args: &Args) -> Option<bool> {
    mistakes.take("USERS_DEMO", parse_bool(&or(&args.demo, "false")))
}

fn password_min(mistakes: &mut Mistakes, args: &Args, is_demo: bool) -> Option<usize> {
    let default = if is_demo { PASSWORD_MIN_DEMO } else { PASSWORD_MIN_DEFAULT };
    let raw = or(&args.password_min, &default.to_string());
    mistakes.take("USERS_PASSWORD_MIN", number(&raw, &(1..=PASSWORD_MIN_MAX)))
}

fn bcrypt_cost(mistakes: &mut Mistakes, args: &Args) -> Option<u32> {
    let raw = or(&args.bcrypt_cost, &BCRYPT_COST_DEFAULT.to_string());
    mistakes.take("USERS_BCRYPT_COST", number(&raw, &(BCRYPT_COST_MIN..=COST_MAX)))
}

fn protected_ids(mistakes: &mut Mistakes, args: &Args, is_demo: bool) -> Option<BTreeSet<UserId>> {
    let default = if is_demo { PROTECTED_IDS_DEMO } else { "" };
    mistakes.take("USERS_PROTECTED_IDS", parse_ids(&or(&args.protected_ids, default)))
}

fn session_limits(mistakes: &mut Mistakes, args: &Args) -> Option<SessionLimits> {
    let mut time = |name, raw, default| mistakes.take(name, session_time(&or(raw, default)));
    let idle = time("USERS_SESSION_IDLE", &args.session_idle, SESSION_IDLE_DEFAULT);
    let max = time("USERS_SESSION_MAX", &args.session_max, SESSION_MAX_DEFAULT);
    let ended_kept = time("USERS_ENDED_SESSIONS_KEPT", &args.ended_sessions_kept, ENDED_SESSIONS_KEPT_DEFAULT);
    Some(SessionLimits { idle: idle?, max: max?, ended_kept: ended_kept? })
}

fn audit_settings(mistakes: &mut Mistakes, args: &Args) -> Option<AuditSettings> {
    let mib_max = or(&args.audit_max_mib, &MIB_MAX_DEFAULT.to_string());
    let mib_max = mistakes.take("USERS_AUDIT_MAX_MIB", number(&mib_max, &AUDIT_MIB));
    let on_stdout = mistakes.take("USERS_AUDIT_STDOUT", parse_bool(&or(&args.audit_stdout, "false")));
    let is_required = mistakes.take("USERS_AUDIT_REQUIRED", parse_bool(&or(&args.audit_required, "true")));
    let (mib_max, on_stdout, is_required) = (mib_max?, on_stdout?, is_required?);
    Some(AuditSettings { mib_max, on_stdout, is_required, ..AuditSettings::default() })
}

/// Number of threads that can run at the same time.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn internal_key(mistakes: &mut Mistakes, lookup: Lookup<'_>) -> Option<Secret> {
    const OWN: &str = "USERS_INTERNAL_KEY";
    const SHARED: &str = "INTERNAL_KEY";
    let has_own = lookup(OWN).or_else(|| lookup(&format!("{OWN}_FILE"))).is_some();
    let name = if has_own { OWN } else { SHARED };
    let key = mistakes.required_secret(name, lookup)?;
    let checked = key.key(ASSERTION_KEY_BYTES_MIN).map(drop);
    mistakes.take(name, checked).map(|()| key)
}

fn admin_password(mistakes: &mut Mistakes, lookup: Lookup<'_>, password_min: Option<usize>) -> Option<Secret> {
    const NAME: &str = "USERS_ADMIN_PASSWORD";
    let password = mistakes.secret(NAME, lookup)?;
    let policy = PasswordPolicy { chars_min: password_min.unwrap_or(1) };
    mistakes.take(NAME, first_users::check_admin_password(policy, &password)).map(|()| password)
}

fn parse_bool(raw: &str) -> Result<bool, String> {
    match raw.trim() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("`{raw}` must be `true` or `false`")),
    }
}

fn session_time(raw: &str) -> Result<Duration, String> {
    let time = parse_duration(raw)?;
    let range = "must be from 1m to 366d";
    if SESSION_RANGE.contains(&time) { Ok(time) } else { Err(format!("`{raw}` {range}")) }
}

fn number<N: FromStr + PartialOrd + Display>(raw: &str, range: &RangeInclusive<N>) -> Result<N, String> {
    let parsed = raw.trim().parse().ok().filter(|number| range.contains(number));
    parsed.ok_or_else(|| format!("`{raw}` must be a number from {} to {}", range.start(), range.end()))
}

fn parse_ids(raw: &str) -> Result<BTreeSet<UserId>, String> {
    let parse = |id: &str| id.parse().map_err(|_| format!("`{id}` is not a user id; write them like 1,2"));
    raw.split(',').map(str::trim).filter(|id| !id.is_empty()).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn settings(args: &[&str], environment: &[(&str, &str)]) -> Result<Settings, StartError> {
        let args = Args::try_parse_from(std::iter::once(&"users").chain(args)).unwrap();
        let lookup =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::from_args(&args, &lookup)
    }

    #[test]
    fn the_grammar_is_consistent_and_every_command_is_documented() {
        const DOCUMENTATION: &str = include_str!("../../docs/configuration.md");
        let program = <Args as clap::CommandFactory>::command();
        program.clone().debug_assert();
        for command in program.get_subcommands() {
            let row = format!("| `users {}", command.get_name());
            assert!(DOCUMENTATION.contains(&row), "docs/configuration.md lacks {row}");
        }
    }

    #[test]
    fn defaults_are_safe_and_demo_is_asked_for() {
        let settings = settings(&[], &[("INTERNAL_KEY", KEY)]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8002");
        assert_eq!((settings.password_min, settings.bcrypt_cost, settings.demo), (15, 12, false));
        assert!(settings.protected_ids.is_empty() && settings.admin_password.is_none());
    }

    #[test]
    fn demo_has_its_own_defaults() {
        for args in [vec!["--demo"], vec!["--demo=true"], vec!["--demo=1"]] {
            let settings = settings(&args, &[("INTERNAL_KEY", KEY)]).unwrap();
            assert_eq!((settings.password_min, settings.demo), (1, true));
            assert_eq!(settings.protected_ids, BTreeSet::from([UserId(1), UserId(2)]));
        }
        let args = ["--demo", "--password-min=20", "--protected-ids=7"];
        let settings = settings(&args, &[("INTERNAL_KEY", KEY)]).unwrap();
        assert_eq!((settings.password_min, settings.protected_ids), (20, BTreeSet::from([UserId(7)])));
    }

    #[test]
    fn an_empty_setting_counts_as_absent() {
        let settings = settings(
            &["--listen=", "--demo=", "--workers=", "--bcrypt-cost=", "--drain-delay=", "--log-format="],
            &[("INTERNAL_KEY", KEY)],
        )
        .unwrap();
        assert_eq!((settings.listen.port(), settings.demo, settings.bcrypt_cost), (8002, false, 12));
    }

    #[test]
    fn the_own_key_comes_before_the_shared_one() {
        let own = "own own own own own own own own own";
        let chosen = settings(&[], &[("USERS_INTERNAL_KEY", own), ("INTERNAL_KEY", KEY)]).unwrap();
        assert_eq!(chosen.internal_key.expose(), own);
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let wrong = [
            "--listen=nowhere",
            "--demo=maybe",
            "--password-min=0",
            "--bcrypt-cost=16",
            "--protected-ids=1,x",
            "--session-idle=30s",
            "--session-max=367d",
            "--ended-sessions-kept=long",
            "--audit-max-mib=15",
            "--audit-stdout=maybe",
            "--audit-required=maybe",
            "--drain-delay=soon",
            "--log-format=xml",
            "--workers=0",
        ];
        let environment = [("USERS_INTERNAL_KEY", "short"), ("USERS_ADMIN_PASSWORD", "passwordpassword")];
        let StartError::Config(lines) = settings(&wrong, &environment).unwrap_err() else { panic!("not a mistake") };
        for name in [
            "USERS_LISTEN",
            "USERS_DEMO",
            "USERS_PASSWORD_MIN",
            "USERS_BCRYPT_COST",
            "USERS_PROTECTED_IDS",
            "USERS_SESSION_IDLE",
            "USERS_SESSION_MAX",
            "USERS_ENDED_SESSIONS_KEPT",
            "USERS_AUDIT_MAX_MIB",
            "USERS_AUDIT_STDOUT",
            "USERS_AUDIT_REQUIRED",
            "DRAIN_DELAY",
            "LOG_FORMAT",
            "USERS_WORKERS",
            "USERS_INTERNAL_KEY",
            "USERS_ADMIN_PASSWORD",
        ] {
            let named = lines.iter().filter(|line| line.starts_with(&format!("{name}: "))).count();
            assert_eq!(named, 1, "{name}: {lines:#?}");
        }
        assert_eq!(lines.len(), 16, "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("passwordpassword")), "no secret is repeated: {lines:#?}");
    }
}
