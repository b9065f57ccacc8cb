//! What an HTTP/1.1 connection is waiting for, and when to detach it from the server. Pure: knows no sockets and no
//! clock; it is given what is received and sent, and ticks say that time has passed.
//!
//! ```text
//!          bytes            request                 response
//! ┌─► Idle ─────────► Head ─────────► Request ──────────────────┐
//! │    │               │ └─ 8 ticks: HeadTimeout, answered 408  │
//! │    │               └─ refused by the server: Refused        │
//! │    └─ 2 ticks, and nothing is buffered by the server: Idle  │
//! └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! The tricky part is "nothing is buffered by the server". Bytes that the server has read and not used are lost when it
//! releases the connection, and the rest of that request would be read as the beginning of another one: a request
//! smuggled by accident. [`Progress::is_between_requests`] says when that cannot be; in doubt, the connection stays
//! with the server.

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of a head.
    Head,
    /// The answer to a request. Other limits apply.
    Request,
    /// Nothing: the server is to release it.
    Detached(DetachReason),
}

/// Why a connection is detached from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DetachReason {
    /// It is idle. It goes back to the server when its client sends something.
    Idle,
    /// The head of a request took too long.
    HeadTimeout,
    /// The server refuses what it read, with this status.
    Refused(u16),
}

/// How far a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    phase: Phase,
    /// Ticks since it entered this phase.
    ticks: u32,
    /// The bytes that were received last end with an empty line.
    ends_with_head: bool,
    /// The last request had a body, which may not have been read to its end.
    had_body: bool,
    /// There was a request since the connection was given to the server.
    had_request: bool,
    limits: TickLimits,
}

/// Maximum number of ticks in a phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TickLimits {
    /// In [`Phase::Head`].
    pub(crate) head: u32,
    /// In [`Phase::Idle`], if the server cannot release it.
    pub(crate) idle: u32,
}

impl Progress {
    /// A connection on which nothing was received.
    pub(crate) const fn new(limits: TickLimits) -> Self {
        Self { phase: Phase::Idle, ticks: 0, ends_with_head: true, had_body: false, had_request: false, limits }
    }

    /// Bytes were received.
    pub(crate) fn on_received(&mut self, bytes: &[u8]) {
        self.ends_with_head = bytes.ends_with(b"\r\n\r\n");
        if self.phase == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// The server has read the head of a request.
    pub(crate) fn on_request(&mut self, has_body: bool) {
        self.had_body = has_body;
        self.had_request = true;
        self.enter(Phase::Request);
    }

    /// The answer to the request was handed to the server, or was given up.
    pub(crate) fn on_response(&mut self) {
        self.enter(Phase::Idle);
    }

    /// The server writes these bytes. A refusal while no request is being handled is its own, and is replaced.
    pub(crate) fn on_sent(&mut self, bytes: &[u8]) {
        let is_before_request = self.phase == Phase::Head || (self.phase == Phase::Idle && !self.had_request);
        if is_before_request && let Some(status) = refusal(bytes) {
            self.enter(Phase::Detached(DetachReason::Refused(status)));
        }
        if self.phase == Phase::Detached(DetachReason::Idle) {
            // It had buffered something after all, and answers it: let it go on.
            self.enter(Phase::Request);
        }
    }

    /// Returns whether ticks matter.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Head)
    }

    /// A tick: time has passed. The first tick of a phase may come at once, so that it means nothing. `is_writing` says
    /// that the last answer is still being written.
    pub(crate) fn on_tick(&mut self, is_writing: bool) {
        self.ticks += 1;
        let end = match self.phase {
            Phase::Idle if self.ticks > 1 && !is_writing && self.is_between_requests() => DetachReason::Idle,
            Phase::Head if self.ticks > self.limits.head => DetachReason::HeadTimeout,
            // The server itself closes idle connections, but not while it has the beginning of a head in its buffer
            // that arrived during the request before.
            Phase::Idle if self.ticks > self.limits.idle => DetachReason::HeadTimeout,
            Phase::Idle | Phase::Head | Phase::Request | Phase::Detached(_) => return,
        };
        self.enter(Phase::Detached(end));
    }

    /// Returns whether the server has certainly used all bytes that it has read: the last request had no body, and the
    /// last bytes end with an empty line, which is the end of a head. (They may be two heads. Then the server starts
    /// with the second one before the second tick.) Anything else may be a part of a body or of a head.
    fn is_between_requests(&self) -> bool {
        self.ends_with_head && !self.had_body
    }

    /// Returns why the server is to release the connection, or `None` if it is to keep it.
    pub(crate) fn detached(&self) -> Option<DetachReason> {
        match self.phase {
            Phase::Detached(end) => Some(end),
            Phase::Idle | Phase::Head | Phase::Request => None,
        }
    }

    /// Returns whether an answer that is sent now can only be taken for an answer to what was received last.
    pub(crate) fn may_answer(&self) -> bool {
        !self.had_body
    }

    /// Returns whether there was a request since the connection was given to the server.
    pub(crate) fn had_request(&self) -> bool {
        self.had_request
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.ticks = 0;
    }
}

/// Returns the status of an answer that begins with these bytes, if it is a client error.
fn refusal(bytes: &[u8]) -> Option<u16> {
    let status = bytes.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5))?;
    let status: u16 = std::str::from_utf8(status).ok()?.parse().ok()?;
    (400..500).contains(&status).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TickLimits = TickLimits { head: 8, idle: 80 };
    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn after_ticks(mut progress: Progress, times: u32) -> Option<DetachReason> {
        (0..times).for_each(|_| progress.on_tick(false));
        progress.detached()
    }

    fn after_request(bytes: &[u8], has_body: bool) -> Progress {
        let mut progress = Progress::new(LIMITS);
        progress.on_received(bytes);
        progress.on_request(has_body);
        progress
    }

    #[test]
    fn an_idle_connection_is_detached_at_the_second_tick() {
        let mut progress = after_request(HEAD, false);
        assert_eq!(after_ticks(progress, 1000), None, "not while its request is handled");
        progress.on_response();
        assert_eq!(after_ticks(progress, 1), None);
        assert_eq!(after_ticks(progress, 2), Some(DetachReason::Idle));
        (0..10).for_each(|_| progress.on_tick(true));
        assert_eq!(progress.detached(), None, "its answer is still being written");
    }

    #[test]
    fn a_server_that_answers_although_it_should_release_the_connection_keeps_it() {
        for sent in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"HTTP/1.1 200 OK\r\n"] {
            let mut progress = after_request(HEAD, false);
            progress.on_response();
            (0..2).for_each(|_| progress.on_tick(false));
            assert_eq!(progress.detached(), Some(DetachReason::Idle));
            progress.on_sent(sent);
            assert_eq!(progress.detached(), None);
        }
    }

    #[test]
    fn a_connection_is_not_detached_while_the_server_may_have_unused_bytes() {
        for (bytes, has_body) in [
            (&b"GET / HTTP/1.1\r\n\r\nGET / HT"[..], false),
            (b"GET / HTTP/1.1\r\n\r\n\r\n", true),
            (b"GET / HTTP/1.1\n\n", false),
        ] {
            let mut progress = after_request(bytes, has_body);
            progress.on_response();
            assert_eq!(after_ticks(progress, LIMITS.idle), None, "{bytes:?}");
            assert_eq!(after_ticks(progress, LIMITS.idle + 1), Some(DetachReason::HeadTimeout), "{bytes:?}");
        }
        let mut progress = after_request(HEAD, false);
        progress.on_received(b"GET / HT");
        progress.on_response();
        assert_eq!(
            after_ticks(progress, LIMITS.idle),
            None,
            "the beginning of the next head was received during the request"
        );
    }

    #[test]
    fn a_head_has_eight_ticks_however_it_is_sent() {
        let mut progress = after_request(HEAD, false);
        progress.on_response();
        progress.on_tick(false);
        for _ in 0..LIMITS.head {
            progress.on_received(b"x");
            progress.on_tick(false);
            assert_eq!(progress.detached(), None);
        }
        assert_eq!(after_ticks(progress, 1), Some(DetachReason::HeadTimeout));
    }

    #[test]
    fn a_refusal_without_a_request_is_the_servers_own() {
        let refusal = b"HTTP/1.1 431 Request Header Fields Too Large\r\n";
        let mut progress = Progress::new(LIMITS);
        progress.on_received(b"GET");
        for other in [&b"HTTP/1.1 200 OK\r\n"[..], b"HTTP/1.1 503 ", b"HTTP", b"HTTP/1.1 4x1 "] {
            progress.on_sent(other);
            assert_eq!(progress.detached(), None, "{other:?}");
        }
        progress.on_sent(refusal);
        assert_eq!(progress.detached(), Some(DetachReason::Refused(431)));
        let mut silent = Progress::new(LIMITS);
        silent.on_sent(b"HTTP/1.1 408 Request Timeout\r\n");
        assert_eq!(silent.detached(), Some(DetachReason::Refused(408)));
        let mut answered = after_request(HEAD, false);
        answered.on_sent(refusal);
        answered.on_response();
        answered.on_sent(refusal);
        assert_eq!(answered.detached(), None, "an answer of ours");
    }
}
