//! HTTP/2 with clients that people use: curl, which has the library nghttp2.

use std::{
    fs,
    process::{Command, Stdio},
};

use chassis::testing::Received;

use super::gateway::Http2;
use crate::fixture::upstream;

const BYTES: usize = 20 * 1024 * 1024;

#[test]
fn curl_uploads_and_downloads_what_it_should() {
    let upstream = upstream(|mut reader| {
        while let Some(received) = Received::read(&mut reader) {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", received.body.len());
            std::io::Write::write_all(reader.get_mut(), &[head.as_bytes(), &received.body].concat()).unwrap();
        }
    });
    let http2 = Http2::before(upstream);
    let folder = tempfile::tempdir().unwrap();
    let (sent, got) = (folder.path().join("sent"), folder.path().join("got"));
    let body: Vec<u8> = (0..BYTES).map(|at| u8::try_from(at % 251).unwrap()).collect();
    fs::write(&sent, &body).unwrap();
    let port = http2.addr().port();
    let mut command = Command::new("curl");
    command.args(["-sS", "--http2", "--max-time", "100", "--noproxy", "*", "-w", "%{http_version} %{response_code}"]);
    command.arg("--connect-to").arg(format!("::127.0.0.1:{port}")).arg("--cacert").arg(http2.certificate.ca());
    command.arg("-T").arg(&sent).arg("-o").arg(&got).arg(format!("https://gateway.test:{port}/x"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 200", "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(&got).unwrap() == body, "what came back is not what was sent");
}
