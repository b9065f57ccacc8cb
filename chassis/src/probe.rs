//! Asks a running service whether it is ready: the health check of images without curl. Blocks and needs no runtime.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// How long to wait: more than the two seconds that a probe behind `/health/ready` may take, less than the interval of
/// most health checks.
const TIMEOUT: Duration = Duration::from_secs(4);
/// `HTTP/1.1 200` has 12 bytes.
const STATUS_BYTES: usize = 12;

/// The address at which a listener can be reached from its own machine: for one that listens on all addresses, the
/// loopback address.
pub fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// Checks the service on this listener.
///
/// # Errors
/// Says what it answered instead.
pub fn check_listener(listener: SocketAddr) -> Result<(), String> {
    check_url(&format!("http://{}/health/ready", reachable(listener)))
}

/// Checks `http://host:port/path`: ready means that it answers 200 in time.
///
/// # Errors
/// Says what it answered instead.
pub fn check_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("`{url}` must begin with http://"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let failed = |error: std::io::Error| format!("{url} does not answer: {error}");
    let addresses = authority.to_socket_addrs().map_err(failed)?;
    let mut last = Err(format!("{url} has no address"));
    for address in addresses {
        last = status(address, authority, path).map_err(failed);
        if last.is_ok() {
            break;
        }
    }
    match last?.as_str() {
        "HTTP/1.1 200" => Ok(()),
        other => Err(format!("{url} is not ready: it answers {other}")),
    }
}

fn status(address: SocketAddr, host: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // In one call: `write!` on a socket would send each piece of the text by itself.
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut status = [0; STATUS_BYTES];
    stream.read_exact(&mut status)?;
    Ok(String::from_utf8_lossy(&status).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health/ready", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 512];
            let read = stream.read(&mut head).unwrap();
            assert!(head[..read].starts_with(b"GET /health/ready HTTP/1.1\r\n"));
            let _ = stream.write_all(answer.as_bytes());
        });
        url
    }

    #[test]
    fn ready_is_what_answers_200() {
        assert_eq!(check_url(&answering("HTTP/1.1 200 OK\r\n\r\n")), Ok(()));
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "garbage", ""] {
            assert!(check_url(&answering(answer)).is_err(), "{answer}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(check_url(&format!("http://{closed}/")).unwrap_err().contains("does not answer"));
        assert!(check_url("https://localhost/").is_err());
    }

    #[test]
    fn a_listener_everywhere_is_reached_on_this_machine() {
        for (listener, reached) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(reachable(listener.parse().unwrap()).to_string(), reached);
        }
    }
}
