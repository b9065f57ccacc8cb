//! A target that can be told, while it runs, to answer otherwise, to hang, to break connections, to die and to come back.

use std::{
    io::{BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::fixture::{Received, read};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a target does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// 200 with the name of the target.
    Well,
    /// This status.
    Status(u16),
    /// Nothing, until the mode changes; then as that says.
    Hang,
    /// Closes the connection once it has read the request.
    Break,
}

/// A target on a port of its own.
pub(crate) struct Target {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    name: String,
    /// What to do with requests, and with those for `/health`.
    modes: Mutex<(Mode, Mode)>,
    changed: Condvar,
    dead: Mutex<bool>,
    streams: Mutex<Vec<TcpStream>>,
    received: Mutex<Vec<Received>>,
    in_flight: AtomicUsize,
}

impl Target {
    /// A target that is well.
    pub(crate) fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            modes: Mutex::new((Mode::Well, Mode::Well)),
            changed: Condvar::new(),
            dead: Mutex::new(false),
            streams: Mutex::default(),
            received: Mutex::default(),
            in_flight: AtomicUsize::new(0),
        });
        let addr = listener.local_addr().unwrap();
        let accepting = Some(accept(listener, Arc::clone(&shared)));
        Self { addr, shared, accepting }
    }

    /// `http://host:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// From now on it does this with requests.
    pub(crate) fn set(&self, mode: Mode) {
        self.shared.modes.lock().unwrap().0 = mode;
        self.shared.changed.notify_all();
    }

    /// From now on it does this with requests for `/health`.
    pub(crate) fn set_health(&self, mode: Mode) {
        self.shared.modes.lock().unwrap().1 = mode;
        self.shared.changed.notify_all();
    }

    /// The requests so far, without those for `/health`.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many requests it got so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }

    /// How many requests wait for their answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// Ends as a killed process does: every connection breaks, and new ones are refused.
    pub(crate) fn kill(&mut self) {
        *self.shared.dead.lock().unwrap() = true;
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.addr));
        self.accepting.take().unwrap().join().unwrap();
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Comes back at the same address after [`Target::kill`].
    pub(crate) fn revive(&mut self) {
        *self.shared.dead.lock().unwrap() = false;
        self.accepting = Some(accept(TcpListener::bind(self.addr).unwrap(), Arc::clone(&self.shared)));
    }
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if *shared.dead.lock().unwrap() {
                return;
            }
            shared.streams.lock().unwrap().push(stream.try_clone().unwrap());
            let shared = Arc::clone(&shared);
            thread::spawn(move || serve(stream, &shared));
        }
    })
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(received) = read(&mut reader) {
        let health = received.line.contains(" /health ");
        if !health {
            shared.received.lock().unwrap().push(received);
            shared.in_flight.fetch_add(1, Ordering::SeqCst);
        }
        let mode = shared.decided(health);
        if !health {
            shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
        let status = match mode {
            Mode::Well => 200,
            Mode::Status(status) => status,
            Mode::Hang | Mode::Break => {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        };
        let name = &shared.name;
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

impl Shared {
    fn decided(&self, health: bool) -> Mode {
        let of = |modes: &(Mode, Mode)| if health { modes.1 } else { modes.0 };
        let modes = self.modes.lock().unwrap();
        let (modes, _) = self.changed.wait_timeout_while(modes, PATIENCE, |modes| of(modes) == Mode::Hang).unwrap();
        of(&modes)
    }
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
