//! What a connection of HTTP/1.1 is waiting for, and when it has waited long enough. Knows no sockets and no clock:
//! somebody looks at it once in a while.

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of the next request has come.
    Idle,
    /// Some of it has come.
    Head,
    /// It is being handled: other limits hold.
    Request,
    Over(End),
}

/// Why the server shall let go of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is idle. When its client sends something, it is served again.
    Parked,
    /// The head came too slowly.
    TooSlow,
    /// The server itself has refused what came, with this status.
    Refused(u16),
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    phase: Phase,
    /// TickLimits at which it was in the same phase.
    looks: u32,
    /// What came last ended with an empty line.
    ends_with_head: bool,
    /// The last request had a body, which may not have come to its end.
    had_body: bool,
    /// There has been a request.
    used: bool,
    looks_max: TickLimits,
}

/// How often somebody looks in vain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TickLimits {
    /// While a head comes.
    pub(crate) head: u32,
    /// While nothing does.
    pub(crate) idle: u32,
}

impl Progress {
    /// A connection on which nothing has come.
    pub(crate) const fn new(looks_max: TickLimits) -> Self {
        Self { phase: Phase::Idle, looks: 0, ends_with_head: true, had_body: false, used: false, looks_max }
    }

    /// Bytes have come.
    pub(crate) fn came(&mut self, bytes: &[u8]) {
        self.ends_with_head = bytes.ends_with(b"\r\n\r\n");
        if self.phase == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// A head is whole.
    pub(crate) fn begun(&mut self, has_body: bool) {
        self.had_body = has_body;
        self.used = true;
        self.enter(Phase::Request);
    }

    /// Its answer has been given whole, or not at all.
    pub(crate) fn ended(&mut self) {
        self.enter(Phase::Idle);
    }

    /// The server writes something. A refusal where no request has begun is its own.
    pub(crate) fn wrote(&mut self, bytes: &[u8]) {
        let is_before_request = self.phase == Phase::Head || (self.phase == Phase::Idle && !self.used);
        if is_before_request && let Some(status) = refusal(bytes) {
            self.enter(Phase::Over(End::Refused(status)));
        }
        if self.phase == Phase::Over(End::Parked) {
            // It held something after all. It has the last word then.
            self.enter(Phase::Request);
        }
    }

    /// Whether there is anything to look after.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Head)
    }

    /// Some time has passed. The first look may come at once, and is not counted on. `is_writing`: the last answer is still
    /// on its way.
    pub(crate) fn look(&mut self, is_writing: bool) {
        self.looks += 1;
        let end = match self.phase {
            Phase::Idle if self.looks > 1 && !is_writing && self.is_between_requests() => End::Parked,
            Phase::Head if self.looks > self.looks_max.head => End::TooSlow,
            // The server itself ends what is idle, unless it holds the beginning of a head that came too early.
            Phase::Idle if self.looks > self.looks_max.idle => End::TooSlow,
            Phase::Idle | Phase::Head | Phase::Request | Phase::Over(_) => return,
        };
        self.enter(Phase::Over(end));
    }

    /// The server holds nothing that came: the last request had no body, and what came last was the end of its head. (What
    /// follows a head and ends with an empty line is another whole head, which the server has begun with by the second
    /// look.) Everything else could be a part of a body or of a head, and to forget that would make a request of the rest.
    fn is_between_requests(&self) -> bool {
        self.ends_with_head && !self.had_body
    }

    /// Why the server shall let go of it, if it shall.
    pub(crate) fn over(&self) -> Option<End> {
        match self.phase {
            Phase::Over(end) => Some(end),
            Phase::Idle | Phase::Head | Phase::Request => None,
        }
    }

    /// Whether an answer to what came last can be meant for nothing else.
    pub(crate) fn may_answer(&self) -> bool {
        !self.had_body
    }

    /// Whether there has been a request since the server has it in hand.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.looks = 0;
    }
}

/// The status of an answer that begins here, where it is an error of the client.
fn refusal(bytes: &[u8]) -> Option<u16> {
    let status = bytes.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5))?;
    let status: u16 = std::str::from_utf8(status).ok()?.parse().ok()?;
    (400..500).contains(&status).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOKS: TickLimits = TickLimits { head: 8, idle: 80 };
    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn looked(mut progress: Progress, times: u32) -> Option<End> {
        (0..times).for_each(|_| progress.look(false));
        progress.over()
    }

    fn after_request(bytes: &[u8], has_body: bool) -> Progress {
        let mut progress = Progress::new(LOOKS);
        progress.came(bytes);
        progress.begun(has_body);
        progress
    }

    #[test]
    fn an_idle_connection_is_parked_at_the_second_look() {
        let mut progress = after_request(HEAD, false);
        assert_eq!(looked(progress, 1000), None, "while its request is handled it is left alone");
        progress.ended();
        assert_eq!(looked(progress, 1), None);
        assert_eq!(looked(progress, 2), Some(End::Parked));
        (0..10).for_each(|_| progress.look(true));
        assert_eq!(progress.over(), None, "its answer is still on its way");
    }

    #[test]
    fn a_server_that_is_told_to_let_go_and_says_something_has_the_last_word() {
        for says in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"HTTP/1.1 200 OK\r\n"] {
            let mut progress = after_request(HEAD, false);
            progress.ended();
            (0..2).for_each(|_| progress.look(false));
            assert_eq!(progress.over(), Some(End::Parked));
            progress.wrote(says);
            assert_eq!(progress.over(), None);
        }
    }

    #[test]
    fn what_the_server_may_still_hold_is_not_forgotten() {
        for (bytes, has_body) in [
            (&b"GET / HTTP/1.1\r\n\r\nGET / HT"[..], false),
            (b"GET / HTTP/1.1\r\n\r\n\r\n", true),
            (b"GET / HTTP/1.1\n\n", false),
        ] {
            let mut progress = after_request(bytes, has_body);
            progress.ended();
            assert_eq!(looked(progress, LOOKS.idle), None, "{bytes:?}");
            assert_eq!(looked(progress, LOOKS.idle + 1), Some(End::TooSlow), "{bytes:?}");
        }
        let mut progress = after_request(HEAD, false);
        progress.came(b"GET / HT");
        progress.ended();
        assert_eq!(looked(progress, LOOKS.idle), None, "the beginning of the next head came during the request");
    }

    #[test]
    fn a_head_has_eight_looks_whatever_drips() {
        let mut progress = after_request(HEAD, false);
        progress.ended();
        progress.look(false);
        for _ in 0..LOOKS.head {
            progress.came(b"x");
            progress.look(false);
            assert_eq!(progress.over(), None);
        }
        assert_eq!(looked(progress, 1), Some(End::TooSlow));
    }

    #[test]
    fn a_refusal_before_a_request_is_the_servers_own() {
        let refusal = b"HTTP/1.1 431 Request Header Fields Too Large\r\n";
        let mut progress = Progress::new(LOOKS);
        progress.came(b"GET");
        for other in [&b"HTTP/1.1 200 OK\r\n"[..], b"HTTP/1.1 503 ", b"HTTP", b"HTTP/1.1 4x1 "] {
            progress.wrote(other);
            assert_eq!(progress.over(), None, "{other:?}");
        }
        progress.wrote(refusal);
        assert_eq!(progress.over(), Some(End::Refused(431)));
        let mut silent = Progress::new(LOOKS);
        silent.wrote(b"HTTP/1.1 408 Request Timeout\r\n");
        assert_eq!(silent.over(), Some(End::Refused(408)));
        let mut answered = after_request(HEAD, false);
        answered.wrote(refusal);
        answered.ended();
        answered.wrote(refusal);
        assert_eq!(answered.over(), None, "an answer of ours");
    }
}
