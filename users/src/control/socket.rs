//! The control socket of a running service: a Unix domain socket in the folder of the users. A connection has one request
//! and one answer, each a line of JSON. Knows no operation.
//!
//! Whoever may write to the socket may do everything, so its permissions are those of the files beside it: for the account
//! of the service alone. The tricky part is that they hold from the first moment: a socket can be found once it is bound,
//! and accepts connections once it listens, and between the two its permissions are set. A socket that a crash left over is
//! replaced; there can be no other service that listens on it, because the folder is locked by this one.

use std::{
    fs::{self, File, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::{fs::PermissionsExt, net::SocketAddr},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixSocket, UnixStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};
use zeroize::Zeroizing;

use super::{message::Request, operations::Operations};

const SOCKET_FILE: &str = "control.sock";
const SOCKET_MODE: u32 = 0o600;
/// Maximum number of requests at a time. More wait until one of these is answered.
const CONNECTIONS_MAX: usize = 8;
/// Maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 64;
/// Maximum size of a request.
const REQUEST_BYTES_MAX: u64 = 1024 * 1024;
/// Maximum size of an answer: the longest page has 500 users of about 3 KiB.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long a request may take to arrive, and an answer to be read.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for an answer. A password may wait eight seconds to be hashed, and a write for a slow disk.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval between attempts to accept, where the process has no more files, for example.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Where the socket is. Its address has at most 108 bytes; in a folder with a longer path it is found by way of the opened
/// folder.
struct Place {
    path: PathBuf,
    /// Kept open while the path leads through it.
    _folder: Option<File>,
}

impl Place {
    fn in_folder(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SOCKET_FILE);
        if SocketAddr::from_pathname(&path).is_ok() {
            return Ok(Self { path, _folder: None });
        }
        let folder = File::open(folder)?;
        let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", folder.as_raw_fd()).into();
        Ok(Self { path, _folder: Some(folder) })
    }
}

/// The socket of a service, which accepts connections and does not answer them yet.
pub(crate) struct ControlSocket {
    place: Place,
    listener: UnixListener,
}

impl ControlSocket {
    /// Makes the socket in a folder that this process has locked. Needs an actix `System`.
    ///
    /// # Errors
    /// It cannot be made there: not every file system has sockets.
    pub(crate) fn bind(folder: &Path) -> io::Result<Self> {
        let place = Place::in_folder(folder)?;
        remove(&place.path)?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(&place.path)?;
        fs::set_permissions(&place.path, Permissions::from_mode(SOCKET_MODE))?;
        Ok(Self { listener: socket.listen(BACKLOG)?, place })
    }

    /// Answers requests until it is stopped.
    pub(crate) fn serve(self, operations: Operations) -> ControlServer {
        let Self { place, listener } = self;
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let accepting = actix_rt::spawn(accept(listener, operations, Arc::clone(&permits)));
        ControlServer { place, permits, accepting }
    }
}

/// Removes what a crash left over: a link itself, not what it leads to.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The socket while it is served.
pub(crate) struct ControlServer {
    place: Place,
    permits: Arc<Semaphore>,
    accepting: JoinHandle<()>,
}

impl ControlServer {
    /// Removes the socket, and waits until the requests that have arrived are answered.
    pub(crate) async fn stop(self) {
        self.accepting.abort();
        // Who finds it after a failure is refused, and the next start replaces it.
        let _ = remove(&self.place.path);
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        if timeout(TRANSFER_TIMEOUT, self.permits.acquire_many(all)).await.is_err() {
            log::warn!("a command has not got its answer before the end of the service");
        }
    }
}

async fn accept(listener: UnixListener, operations: Operations, permits: Arc<Semaphore>) {
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let operations = operations.clone();
                actix_rt::spawn(async move {
                    let answered = answer(stream, &operations).await;
                    drop(permit);
                    if let Err(error) = answered {
                        log::info!("a command got no answer: {error}");
                    }
                });
            }
            Err(error) => {
                log::warn!("cannot accept a command: {error}");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Answers the one request of a connection.
async fn answer(mut stream: UnixStream, operations: &Operations) -> io::Result<()> {
    let line = timeout(TRANSFER_TIMEOUT, read_line(&mut stream, REQUEST_BYTES_MAX)).await??;
    // A command that only looks whether somebody listens.
    if line.is_empty() {
        return Ok(());
    }
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => operations.answer(request).await,
        Err(error) => Err(format!("the service does not understand the command: {error}; is it of another version?")),
    };
    timeout(TRANSFER_TIMEOUT, write_line(&mut stream, &answer)).await?
}

/// The socket of a service that listens, for commands.
pub(crate) struct ControlClient(PathBuf);

impl ControlClient {
    /// Finds the socket of the service that has this folder.
    ///
    /// # Errors
    /// Nobody listens on it, or it is not ours.
    pub(crate) async fn find(folder: &Path) -> io::Result<Self> {
        connect(folder).await.map(|_| Self(folder.to_owned()))
    }

    /// Sends a request, and returns its answer.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn ask(&self, request: &Request) -> io::Result<Result<Value, String>> {
        let (mut stream, _place) = connect(&self.0).await?;
        timeout(TRANSFER_TIMEOUT, write_line(&mut stream, request)).await??;
        let line = timeout(ANSWER_TIMEOUT, read_line(&mut stream, ANSWER_BYTES_MAX)).await??;
        if line.is_empty() {
            return Err(io::Error::other("the service has ended without an answer; it may have done it or not"));
        }
        Ok(serde_json::from_slice(&line)?)
    }
}

async fn connect(folder: &Path) -> io::Result<(UnixStream, Place)> {
    let place = Place::in_folder(folder)?;
    // It would lead to somebody who is not the service, and is told passwords.
    if place.path.symlink_metadata()?.is_symlink() {
        return Err(io::Error::other("it is a symbolic link"));
    }
    Ok((UnixStream::connect(&place.path).await?, place))
}

/// Reads a line, or nothing where the other side ends before.
async fn read_line(stream: &mut (impl AsyncRead + Unpin), bytes_max: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::new());
    BufReader::new(stream.take(bytes_max)).read_until(b'\n', &mut line).await?;
    match line.last() {
        None | Some(b'\n') => Ok(line),
        Some(_) if line.len() as u64 == bytes_max => {
            Err(io::Error::other(format!("a line may have at most {bytes_max} bytes")))
        }
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn write_line(stream: &mut UnixStream, value: &impl serde::Serialize) -> io::Result<()> {
    let mut line = Zeroizing::new(serde_json::to_vec(value)?);
    line.push(b'\n');
    stream.write_all(&line).await
}
