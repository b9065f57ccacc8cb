//! The command line: exit codes and messages.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

pub(crate) fn gateway(dir: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.current_dir(dir).args(args).env_clear().envs(environment.iter().copied());
    command.output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const YAML: &str = "version: 1\nlisten: ${LISTEN}\nadmin: 127.0.0.1:0\nupstreams: {u: {targets: [\"http://127.0.0.1:1\"]}}\n\
                    routes: [{route: GET /x, to: u, auth: public}]\n";

#[test]
fn check_lists_the_public_routes_of_a_good_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("g.yaml"), YAML).unwrap();
    let output = gateway(dir.path(), &["check", "g.yaml"], &[("LISTEN", "127.0.0.1:0")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(shown, "g.yaml: 1 route, no mistakes\npublic routes: GET /x\n");
}

#[test]
fn check_hints_at_a_feed_of_ended_sessions_that_anybody_could_read() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = |assertion: &str| {
        format!(
            "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nupstreams: {{u: {{targets: [\"http://u:1\"]{assertion}}}}}\n\
             tokens: {{issuer: i, audience: a, sessions: {{from: u, path: /e, unreachable: accept}}}}\nroutes: []\n"
        )
    };
    let run = |yaml: &str| {
        fs::write(dir.path().join("g.yaml"), yaml).unwrap();
        let key = "0123456789abcdef0123456789abcdef";
        let checked =
            gateway(dir.path(), &["check", "g.yaml"], &[("GATEWAY_JWT_SECRET", key), ("USERS_INTERNAL_KEY", key)]);
        assert!(checked.status.success(), "{}", stderr(&checked));
        String::from_utf8_lossy(&checked.stdout).into_owned()
    };
    let shown = run(&yaml(""));
    assert!(shown.contains("hint: `tokens.sessions`: `u` has no `assertion`"), "{shown}");
    assert!(!run(&yaml(", assertion: users")).contains("hint"));
}

#[test]
fn check_hints_at_the_path_above_all_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let yaml = YAML.replace("GET /x", "'* /api/{p...}'");
    fs::write(dir.path().join("g.yaml"), &yaml).unwrap();
    let run = |args: &[&str]| {
        let output = gateway(dir.path(), args, &[("LISTEN", "127.0.0.1:0"), ("GATEWAY_CONFIG", "g.yaml")]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let shown = run(&["check"]);
    assert!(shown.ends_with("hint: `* /api/{p...}` does not match `/api`, and no other route does\n"), "{shown}");
    for (path, found) in [("/api", "404"), ("/api/", "goes to u"), ("/api/x/y", "goes to u")] {
        assert!(run(&["explain", "GET", path]).contains(found), "{path}");
    }
    fs::write(dir.path().join("g.yaml"), yaml + "  - {route: GET /api, to: u, auth: public}\n").unwrap();
    assert!(!run(&["check"]).contains("hint"));
}

#[test]
fn only_signing_in_and_refreshing_are_public_among_the_routes_of_this_stack() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("g.yaml"), gateway::STACK_YAML).unwrap();
    let key = "k".repeat(32);
    let environment = [
        ("GATEWAY_KEY_DIR", "keys"),
        ("INTERNAL_KEY", key.as_str()),
        ("USERS_SERVICE_URL", "http://127.0.0.1:1"),
        ("ORDERS_SERVICE_URL", "http://127.0.0.1:1"),
    ];
    let output = gateway(dir.path(), &["check", "g.yaml", "--json"], &environment);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let public = serde_json::json!(["POST /api/login", "POST /api/token/refresh"]);
    assert_eq!((&report["ok"], &report["public"]), (&true.into(), &public), "{report}");
}

#[test]
fn check_and_serve_report_every_mistake_and_exit_64() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("g.yaml"), YAML.replace("auth: public", "atuh: public").replace("to: u,", "to: v,"))
        .unwrap();
    for args in [
        &["check", "g.yaml"][..],
        &["serve", "--config", "g.yaml"],
        &["serve", "g.yaml"],
        &["--config", "g.yaml", "serve"],
        &["--config", "g.yaml"],
    ] {
        let output = gateway(dir.path(), args, &[("LISTEN", "127.0.0.1:0")]);
        let shown = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {shown}");
        for part in ["has 2 mistakes:", "g.yaml:5:", "did you mean `auth`?", "there is no upstream `v`"] {
            assert!(shown.contains(part), "{args:?}: {part}: {shown}");
        }
    }
}

#[test]
fn a_wrong_command_line_exits_64_and_help_exits_0() {
    let dir = tempfile::tempdir().unwrap();
    for (args, environment, code) in [
        (&["--help"][..], &[][..], 0),
        (&["fly"], &[], 64),
        (&["--config", "absent.yaml"], &[], 64),
        (&["serve", "--workers", "0"], &[], 64),
        (&["serve", "--drain-delay", "soon"], &[], 64),
        (&["serve"], &[("LOG_FORMAT", "xml")], 64),
        (&["schema"], &[("GATEWAY_WORKERS", "2")], 0),
        (&["keys", "init", "--dir", "k", "--share", "x"], &[], 64),
    ] {
        let output = gateway(dir.path(), args, environment);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn the_flags_of_serve_can_stand_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let environment = [("GATEWAY_WORKERS", "2"), ("DRAIN_DELAY", "soon")];
    for (args, mistakes) in [
        (&["--workers", "0", "serve"][..], &["GATEWAY_WORKERS", "DRAIN_DELAY"][..]),
        (&["serve", "--workers", "0", "--drain-delay", "1s"], &["GATEWAY_WORKERS"]),
        (&["--drain-delay", "1s", "serve", "--workers", "0"], &["GATEWAY_WORKERS"]),
        (&["--workers", "0", "--drain-delay", "1s", "serve", "--workers", "1", "--log-format", "xml"], &["LOG_FORMAT"]),
        (&["--workers", "1", "check"], &["--workers is a flag of `serve`"]),
    ] {
        let output = gateway(dir.path(), args, &environment);
        let shown = stderr(&output);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {shown}");
        for name in ["GATEWAY_WORKERS", "DRAIN_DELAY", "LOG_FORMAT", "--workers is a flag of `serve`"] {
            assert_eq!(shown.contains(name), mistakes.contains(&name), "{args:?}: {name}: {shown}");
        }
    }
}

#[test]
fn every_command_takes_the_file_before_it_and_after_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("g.yaml"), YAML.replace("GET /x", "GET /mine")).unwrap();
    fs::write(dir.path().join("wrong.yaml"), "version: 7").unwrap();
    let config = ["--config", "g.yaml"];
    let shows = |args: &[&str], environment: &[(&str, &str)]| {
        let environment = [environment, &[("LISTEN", "127.0.0.1:0")]].concat();
        let output = gateway(dir.path(), args, &environment);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (command, shown) in [
        (&["check"][..], "public routes: GET /mine"),
        (&["routes"], "GET      /mine"),
        (&["test"], "0 passed"),
        (&["explain", "GET", "/mine"], "goes to u"),
    ] {
        for args in [[&config[..], command].concat(), [command, &config].concat()] {
            // What the command line says takes precedence over the variable.
            for environment in [&[][..], &[("GATEWAY_CONFIG", "wrong.yaml")]] {
                let output = shows(&args, environment);
                assert!(output.contains(shown), "{args:?}: {output}");
            }
        }
        let output = shows(command, &[("GATEWAY_CONFIG", "g.yaml")]);
        assert!(output.contains(shown), "{command:?}: {output}");
    }
    for command in ["check", "routes", "test"] {
        shows(&[command, "g.yaml"], &[("GATEWAY_CONFIG", "wrong.yaml")]);
    }
}

#[test]
fn a_command_line_that_names_two_files_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("g.yaml"), YAML).unwrap();
    for args in [
        &["check", "--config", "other.yaml", "g.yaml"][..],
        &["--config", "other.yaml", "check", "g.yaml"],
        &["--config", "other.yaml", "test", "g.yaml"],
        &["--config", "other.yaml", "serve", "g.yaml"],
    ] {
        let output = gateway(dir.path(), args, &[("LISTEN", "127.0.0.1:0")]);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("both g.yaml and --config other.yaml are given"), "{}", stderr(&output));
    }
}

#[test]
fn a_port_in_use_is_one_readable_message_and_exit_1() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("g.yaml"), YAML).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = gateway(dir.path(), &["--config", "g.yaml"], &[("LISTEN", &addr)]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        format!(
            "gateway: {addr} is in use by another process; stop it, or set `listen` (GATEWAY_LISTEN) to another address\n"
        )
    );
}

#[test]
fn keys_are_made_once_and_shared() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["keys", "init", "--dir", "g", "--share", "users=u/internal.key"];
    assert_eq!(gateway(dir.path(), &args, &[]).status.code(), Some(0));
    let read = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
    let first = (read("g/signing-key.pem"), read("g/users.key"));
    assert_eq!(first.1, read("u/internal.key"));
    assert!(first.0.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert_eq!(gateway(dir.path(), &args, &[]).status.code(), Some(0));
    assert_eq!(first, (read("g/signing-key.pem"), read("g/users.key")), "the keys stay");
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(dir.path().join("g/signing-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(dir.path().join("u/internal.key"), "another\n").unwrap();
    assert_eq!(gateway(dir.path(), &args, &[]).status.code(), Some(1));
}

#[test]
fn a_broken_signing_key_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("k")).unwrap();
    fs::write(dir.path().join("k/signing-key.pem"), "rubbish").unwrap();
    let yaml = format!("{YAML}tokens: {{issuer: i, audience: a, keys: k}}\n");
    fs::write(dir.path().join("g.yaml"), yaml).unwrap();
    let output = gateway(dir.path(), &["--config", "g.yaml"], &[("LISTEN", "127.0.0.1:0")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("k/signing-key.pem holds no Ed25519 key"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(dir.path().join("k/signing-key.pem")).unwrap(), "rubbish");
}

#[test]
fn the_next_key_is_dated_and_changes_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(gateway(dir.path(), &["keys", "init", "--dir", "k"], &[]).status.code(), Some(0));
    let output = gateway(dir.path(), &["keys", "new", "--dir", "k"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let file = String::from_utf8(output.stdout).unwrap();
    let file = file.trim();
    assert!(file.starts_with("k/signing-key-20") && file.ends_with("Z.pem"), "{file}");
    let read = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
    assert!(read(file).starts_with("-----BEGIN PRIVATE KEY-----"));
    assert_ne!(read(file), read("k/signing-key.pem"));
    assert_eq!(gateway(dir.path(), &["keys", "init", "--dir", "k"], &[]).status.code(), Some(0));
    assert_eq!(fs::read_dir(dir.path().join("k")).unwrap().count(), 2);
}

/// What bash itself would offer for the last word of a line.
fn completed_by_bash(script: &Path, words: &[&str]) -> Vec<String> {
    let program = format!(
        "source {}; COMP_WORDS=({}); COMP_CWORD={}; _gateway gateway '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    let output = Command::new("bash").args(["--norc", "-c", &program]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_flags() {
    let dir = tempfile::tempdir().unwrap();
    let output = gateway(dir.path(), &["completions", "bash"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let script = dir.path().join("gateway.bash");
    fs::write(&script, output.stdout).unwrap();
    assert_eq!(completed_by_bash(&script, &["gateway", "exp"]), ["explain"]);
    assert_eq!(completed_by_bash(&script, &["gateway", "schema", "--m"]), ["--markdown"]);
}

#[test]
fn every_shell_has_a_script_and_an_unknown_one_is_refused_with_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = gateway(dir.path(), &["completions", shell], &[]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("healthcheck"), "{shell}");
    }
    let output = gateway(dir.path(), &["completions", "tcsh"], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("bash, elvish, fish, powershell, zsh"), "{}", stderr(&output));
}

#[test]
fn each_command_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let output = gateway(dir.path(), &["man", "--output", "made/here"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let page = |name: &str| fs::read_to_string(dir.path().join("made/here").join(name)).unwrap();
    assert!(page("gateway.1").contains(r"gateway\-explain(1)"));
    assert!(page("gateway-explain.1").contains("sends nothing"));
    assert!(page("gateway-keys-init.1").contains("dir"));
    fs::write(dir.path().join("file"), "").unwrap();
    let output = gateway(dir.path(), &["man", "--output", "file"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write the manual pages to file"), "{}", stderr(&output));
}
