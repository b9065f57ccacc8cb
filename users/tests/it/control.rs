//! The control socket: who may use it, what becomes of it, and what commands do where it cannot be used.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, symlink},
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Stdio,
    thread,
};

use chassis::testing::{Process, until};
use serde_json::{Value, json};

use crate::{
    fixture::Folder,
    process::{command, create, refused},
};

/// An account that owns nothing.
const NOBODY: u32 = 65534;

/// Runs `users list --json`: its exit code, and the names that it lists or what it says instead.
fn list(data: &Path) -> (i32, String) {
    let listed = command(data).args(["list", "--json"]).output().unwrap();
    let printed = String::from_utf8(listed.stdout).unwrap();
    let users = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let names: Vec<String> = users.map(|user| user["username"].as_str().unwrap().to_owned()).collect();
    (listed.status.code().unwrap(), names.join(" ") + &String::from_utf8(listed.stderr).unwrap())
}

fn listed(names: &str) -> (i32, String) {
    (0, names.to_owned())
}

fn socket(folder: &Folder) -> PathBuf {
    folder.data().join("control.sock")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_command_beside_a_running_service_sees_what_the_service_sees() {
    let folder = Folder::new();
    let service = Process::serve(&mut command(&folder.data()));
    create(&service, "ann");
    assert_eq!(list(&folder.data()), listed("admin demo test ann"));
    assert_eq!((mode(&folder.data()), mode(&socket(&folder))), (0o700, 0o600));
    service.terminate();
    assert!(!socket(&folder).exists(), "an orderly end removes it");
    assert_eq!(list(&folder.data()), listed("admin demo test ann"));
}

#[test]
fn a_socket_that_a_crash_left_over_is_passed_by_and_replaced() {
    let folder = Folder::new();
    let service = Process::serve(&mut command(&folder.data()));
    create(&service, "ann");
    service.kill();
    assert!(socket(&folder).exists(), "as it was left");
    assert_eq!(list(&folder.data()), listed("admin demo test ann"), "nobody listens, and the store is opened");
    let service = Process::serve(&mut command(&folder.data()));
    assert_eq!(list(&folder.data()), listed("admin demo test ann"));
    service.terminate();
}

#[test]
fn a_link_in_the_place_of_the_socket_is_not_followed() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    Process::serve(&mut command(&folder.data())).terminate();
    fs::create_dir(elsewhere.data()).unwrap();
    let trap = UnixListener::bind(socket(&elsewhere)).unwrap();
    trap.set_nonblocking(true).unwrap();
    symlink(socket(&elsewhere), socket(&folder)).unwrap();
    assert_eq!(list(&folder.data()), listed("admin demo test"), "the store is opened");
    assert!(trap.accept().is_err(), "nobody has connected to the other socket");
    let service = Process::serve(&mut command(&folder.data()));
    assert!(
        fs::symlink_metadata(socket(&folder)).unwrap().file_type().is_socket(),
        "the service has replaced the link"
    );
    assert!(socket(&elsewhere).exists(), "and not what it led to");
    assert_eq!(list(&folder.data()), listed("admin demo test"));
    service.terminate();
}

#[test]
fn a_folder_with_a_long_path_has_a_socket_too() {
    let folder = Folder::new();
    let data = folder.data().join("a".repeat(120)).join("b".repeat(120));
    let service = Process::serve(&mut command(&data));
    create(&service, "ann");
    assert_eq!(list(&data), listed("admin demo test ann"));
    service.terminate();
    assert!(!data.join("control.sock").exists());
}

#[test]
fn where_there_can_be_no_socket_the_service_runs_and_a_command_says_who_has_the_folder() {
    let folder = Folder::new();
    fs::create_dir_all(socket(&folder)).unwrap();
    let service = Process::serve(&mut command(&folder.data()));
    service.said("there is no control socket");
    create(&service, "ann");
    let (code, said) = list(&folder.data());
    let holder = format!("is in use by process {}", service.id());
    assert_eq!(
        (code, said.contains(&holder), said.contains("control.sock"), said.contains("stop it")),
        (1, true, true, true),
        "{said}"
    );
    service.terminate();
    assert_eq!(list(&folder.data()), listed("admin demo test ann"));
}

#[test]
fn commands_at_once_wait_for_one_another_while_no_service_runs() {
    let folder = Folder::new();
    Process::serve(&mut command(&folder.data())).terminate();
    thread::scope(|scope| {
        let lists: Vec<_> = (0..8).map(|_| scope.spawn(|| list(&folder.data()))).collect();
        for list in lists {
            assert_eq!(list.join().unwrap(), listed("admin demo test"));
        }
    });
}

#[test]
fn another_account_gets_nowhere_even_where_it_may_enter_the_folder() {
    let folder = Folder::new();
    let service = Process::serve(&mut command(&folder.data()));
    // Only root can become another account. For others, the modes above must do.
    let is_root = std::os::unix::fs::chown(folder.data(), None, None).is_ok() && fs::read("/etc/shadow").is_ok();
    if is_root {
        for place in [folder.data(), folder.data().parent().unwrap().to_owned()] {
            fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let program = folder.data().parent().unwrap().join("users-program");
        fs::copy(env!("CARGO_BIN_EXE_users"), &program).unwrap();
        let mut list = std::process::Command::new(program);
        list.env_clear().env("USERS_DATA_DIR", folder.data()).arg("list").uid(NOBODY).gid(NOBODY).stdin(Stdio::null());
        let (code, said) = refused(&mut list);
        assert_eq!((code, said.contains("run it as that account")), (1, true), "{said}");
    }
    service.terminate();
}

#[test]
fn what_is_no_request_ends_neither_the_socket_nor_the_service() {
    let folder = Folder::new();
    let service = Process::serve(&mut command(&folder.data()));
    let talk = |request: &[u8]| {
        let mut stream = UnixStream::connect(socket(&folder)).unwrap();
        // The service may close it before it has read all of it.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = BufReader::new(stream).read_to_string(&mut answer);
        answer
    };
    assert!(talk(b"GET / HTTP/1.1\r\n\r\n").contains("does not understand the command"));
    assert!(talk(b"{\"drop_all\":null}\n").contains("unknown variant `drop_all`"));
    assert_eq!(talk(b"{\"show\""), "", "half a line");
    assert_eq!(talk(&vec![b'x'; 2 << 20]), "", "a line without an end");
    assert_eq!(talk(b""), "");
    let answer: Value = serde_json::from_str(&talk(b"{\"show\":{\"user\":\"admin\"}}\n")).unwrap();
    assert_eq!(answer["Ok"]["id"], json!(1));
    assert_eq!(list(&folder.data()), listed("admin demo test"));
    service.terminate();
}

#[test]
fn connections_that_say_nothing_keep_nobody_waiting_for_long() {
    let folder = Folder::new();
    let service = Process::serve(&mut command(&folder.data()));
    let idle: Vec<UnixStream> = (0..8).map(|_| UnixStream::connect(socket(&folder)).unwrap()).collect();
    assert_eq!(list(&folder.data()), listed("admin demo test"), "after those have been closed");
    until("the service has closed all of them", || {
        idle.iter().all(|stream| {
            stream.set_nonblocking(true).unwrap();
            BufReader::new(stream).fill_buf().is_ok_and(<[u8]>::is_empty)
        })
    });
    service.terminate();
}
