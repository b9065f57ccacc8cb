//! A service in a thread of this process, on any free port.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use super::wait::PATIENCE;
use crate::config::StartError;

/// A service that runs until this is dropped.
pub struct Running {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), StartError>>>,
}

/// What a test gives to [`Running::start`]: binds, sends its address, and serves until it is told to stop.
pub type Serving = Pin<Box<dyn Future<Output = Result<(), StartError>>>>;

impl Running {
    /// Starts a service and waits for its address.
    ///
    /// # Errors
    /// Why the service did not start.
    pub fn start<F>(serve: F) -> Result<Self, StartError>
    where
        F: FnOnce(mpsc::Sender<SocketAddr>, oneshot::Receiver<()>) -> Serving + Send + 'static,
    {
        let (addr_sender, addr_receiver) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || actix_rt::System::new().block_on(serve(addr_sender, stopped)));
        match addr_receiver.recv_timeout(PATIENCE) {
            Ok(addr) => Ok(Self { addr, stop: Some(stop), thread: Some(thread) }),
            Err(_) => Err(thread.join().expect("the service panicked").expect_err("the service sent no address")),
        }
    }

    /// Where the service listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops the service and waits for its end.
    ///
    /// # Errors
    /// What its `run_until` returned.
    pub fn stop(mut self) -> Result<(), StartError> {
        self.end().unwrap_or(Ok(()))
    }

    fn end(&mut self) -> Option<Result<(), StartError>> {
        let _ = self.stop.take()?.send(());
        self.thread.take()?.join().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
