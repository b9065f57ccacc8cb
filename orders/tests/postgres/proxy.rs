//! Stands between a service and its server, and cuts a connection at the moment that is the hardest for a client: at COMMIT.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

/// What is lost with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The server never gets the COMMIT.
    Request,
    /// The server has done it, and the client does not get the answer.
    Answer,
}

/// A proxy for the socket of a server.
pub(crate) struct Proxy {
    addr: SocketAddr,
    /// What to do at the next COMMIT.
    next: Arc<Mutex<Option<Lost>>>,
}

impl Proxy {
    pub(crate) fn start(server: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, next) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(None)));
        let shared = Arc::clone(&next);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server, next) = (client.unwrap(), UnixStream::connect(&server), Arc::clone(&shared));
                if let Ok(server) = server {
                    thread::spawn(move || forward(client, server, &next));
                }
            }
        });
        Self { addr, next }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Cuts the connection of the next COMMIT.
    pub(crate) fn lose(&self, lost: Lost) {
        *self.next.lock().unwrap() = Some(lost);
    }

    /// Whether that has happened.
    pub(crate) fn has_lost(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }
}

/// Copies both ways until one side ends, or a connection is to be cut.
fn forward(mut client: TcpStream, mut server: UnixStream, next: &Mutex<Option<Lost>>) {
    let (mut answers, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    // Set while the answer to a COMMIT is not to be passed on.
    let hold = Arc::new(Mutex::new(false));
    let held = Arc::clone(&hold);
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = answers.read(&mut buffer) {
            if *held.lock().unwrap() || to_client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = (to_client.shutdown(Shutdown::Both), answers.shutdown(Shutdown::Both));
    });
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let sent = &buffer[..count];
        // A simple query, as the protocol writes it: the text and a zero.
        let lost = if sent.windows(7).any(|part| part == b"COMMIT\0") { next.lock().unwrap().take() } else { None };
        *hold.lock().unwrap() |= lost == Some(Lost::Answer);
        if lost == Some(Lost::Request) || server.write_all(sent).is_err() {
            break;
        }
    }
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}
