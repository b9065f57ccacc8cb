//! What clients can do wrong in HTTP/2, as data: each case has the frames, what must come of them, and the section that
//! says so. Sections are those of RFC 9113 unless another RFC is named.
//!
//! A mistake in one request ends that request (a stream error, section 5.4.2): the connection goes on. One that makes it
//! unclear what the next bytes mean ends the connection (section 5.4.1). No mistake does anything to anybody else.
//!
//! [`streams`] and [`connection`] are about frames, [`heads`] about what is in them, [`floods`] about how many there are.

mod connection;
mod floods;
mod heads;
mod streams;

use std::collections::BTreeSet;

use super::{
    client::{Answer, Client, End, code_name},
    frame::{Frame, kind},
    gateway::{Http2, upstream_by_path},
};
use chassis::testing::until;

/// A stream that no case uses.
const FREE_STREAM: u32 = 99_999;

/// What a client does, and what must come of it.
pub(crate) struct Case {
    name: &'static str,
    /// Where it is written.
    rule: &'static str,
    /// The client begins as it must: with the preface and SETTINGS.
    begins: bool,
    steps: Vec<Step>,
    /// Streams may be reset before.
    after_resets: bool,
    expect: Expect,
    /// Why this is right though another rule is stricter. `h2` tells less exactly what was wrong than it could.
    because: &'static str,
}

enum Step {
    Send(Vec<u8>),
    /// The answer on this stream comes, and it is whole.
    Answered(u32),
}

/// What comes first of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// An answer with this status, on this stream; the connection goes on.
    Status(u32, u16),
    /// RST_STREAM with this code, on this stream; the connection goes on.
    Reset(u32, u32),
    /// GOAWAY with this code, and the end of the connection.
    GoAway(u32),
    /// The end of the connection.
    Close,
}

/// A case with this name and the rule behind it.
fn case(name: &'static str, rule: &'static str) -> Case {
    Case { name, rule, begins: true, steps: Vec::new(), after_resets: false, expect: Expect::Close, because: "" }
}

impl Case {
    /// The client does not begin as it must.
    fn without_preface(self) -> Self {
        Self { begins: false, ..self }
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.steps.push(Step::Send(bytes.to_vec()));
        self
    }

    fn send(self, frames: impl IntoIterator<Item = Frame>) -> Self {
        let bytes: Vec<u8> = frames.into_iter().flat_map(|frame| frame.bytes()).collect();
        self.bytes(&bytes)
    }

    fn answered(mut self, stream: u32) -> Self {
        self.steps.push(Step::Answered(stream));
        self
    }

    fn after_resets(self) -> Self {
        Self { after_resets: true, ..self }
    }

    fn status(self, stream: u32, status: u16) -> Self {
        Self { expect: Expect::Status(stream, status), ..self }
    }

    fn resets(self, stream: u32, code: u32) -> Self {
        Self { expect: Expect::Reset(stream, code), ..self }
    }

    fn ends(self, code: u32) -> Self {
        Self { expect: Expect::GoAway(code), ..self }
    }

    fn closes(self) -> Self {
        Self { expect: Expect::Close, ..self }
    }

    fn because(self, because: &'static str) -> Self {
        Self { because, ..self }
    }
}

#[test]
fn every_case_ends_as_its_rule_says_and_nobody_else_notices() {
    let http2 = Http2::with(upstream_by_path(), "head_bytes: 16KiB", "");
    let mut bystander = http2.client();
    let cases = [connection::cases(), streams::cases(), heads::cases(), floods::cases()];
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    let mut wrong = Vec::new();
    for (stream, case) in (1..).step_by(2).zip(&cases) {
        let found = run(case, &http2);
        if found.as_ref() != Ok(&case.expect) {
            wrong.push(format!("{} ({}): {}\n", case.name, case.rule, difference(case, &found)));
        }
        assert!(bystander.is_served(stream), "after {:?} another connection is not served", case.name);
        assert!(http2.client().is_served(1), "after {:?} a new connection is not served", case.name);
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.concat());
    let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
    assert!(names.len() == cases.len() && cases.len() >= 60, "only {} cases have names of their own", names.len());
    until("nothing is in flight any more", || http2.in_flight() == 0.0);
}

/// Does what the case says, and returns what comes of it.
fn run(case: &Case, http2: &Http2) -> Result<Expect, String> {
    let mut client = Client::connect(http2.addr(), &http2.certificate.config);
    if case.begins {
        client = client.begin();
    }
    for step in &case.steps {
        match step {
            Step::Send(bytes) => client.send(bytes),
            Step::Answered(stream) => {
                let Answer { status, end, .. } = client.answer(*stream);
                if (status, end) != (200, Some(End::Whole)) {
                    return Err(format!("stream {stream} ends with {status} and {end:?} before"));
                }
            }
        }
    }
    let found = outcome(&mut client, case.after_resets);
    match found {
        Expect::Status(..) | Expect::Reset(..) => {
            if !client.is_served(FREE_STREAM) {
                return Err(format!("{found:?}, and then the connection serves no more"));
            }
        }
        Expect::GoAway(_) | Expect::Close => client.read_to_end(),
    }
    Ok(found)
}

/// Reads until something is decided.
fn outcome(client: &mut Client, after_resets: bool) -> Expect {
    loop {
        let Some(frame) = client.frame() else { return Expect::Close };
        match frame.kind {
            kind::HEADERS => {
                let answer = client.until(frame.stream, |_| true);
                if answer.status >= 200 {
                    return Expect::Status(frame.stream, answer.status);
                }
            }
            kind::RST_STREAM if !after_resets => return Expect::Reset(frame.stream, frame.number(0)),
            kind::GOAWAY => return Expect::GoAway(frame.number(4)),
            _ => {}
        }
    }
}

fn difference(case: &Case, found: &Result<Expect, String>) -> String {
    let text = |expect: &Expect| match expect {
        Expect::Status(stream, status) => format!("{status} on stream {stream}"),
        Expect::Reset(stream, code) => format!("stream {stream} is reset with {}", code_name(*code)),
        Expect::GoAway(code) => format!("the connection ends with {}", code_name(*code)),
        Expect::Close => "the connection is closed".to_owned(),
    };
    let found = found.as_ref().map_or_else(String::clone, text);
    format!("{found}, not: {} {}", text(&case.expect), case.because)
}
