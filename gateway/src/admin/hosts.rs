//! The hosts under which the admin listener answers. Pure.
//!
//! The listener has no sign-in: whoever can connect may read. But a web page can point a name of its own at the address of
//! this listener (DNS rebinding), and then the browser of an operator connects, and lets the page read the answers. Its
//! `Host` is the name of the page, so only names that nobody else can choose are accepted.

use std::net::IpAddr;

use chassis::problem::{Code, Problem};

use crate::routing::condition::{HostPattern, normalize_host};

/// Accepts addresses, the names of the loopback interface (RFC 6761, section 6.3), and those that are `listed`.
///
/// # Errors
/// 421 for every other host.
pub(super) fn check(host: &str, listed: &[HostPattern]) -> Result<(), Problem> {
    let name = normalize_host(host);
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&name);
    let is_loopback = name == "localhost" || name.ends_with(".localhost");
    if is_loopback || address.parse::<IpAddr>().is_ok() || listed.iter().any(|known| known.matches(host)) {
        return Ok(());
    }
    Err(Problem::new(
        Code::Misdirected,
        "the admin listener is not served under this host name; use its address, or list the name in `admin_hosts`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_loopback_names_and_listed_hosts_are_accepted() {
        let listed = ["gateway".parse().unwrap(), "*.example.com".parse().unwrap()];
        for (host, accepted) in [
            ("127.0.0.1:9000", true),
            ("10.1.2.3", true),
            ("[::1]:9000", true),
            ("[2001:db8::1]", true),
            ("localhost:9000", true),
            ("LocalHost.", true),
            ("gateway.localhost:9000", true),
            ("gateway:9000", true),
            ("GATEWAY", true),
            ("a.example.com:9000", true),
            ("example.com", false),
            ("rebound.example", false),
            ("127.0.0.1.rebound.example:9000", false),
            ("notlocalhost", false),
            ("localhost.rebound.example", false),
            ("gateway.rebound.example", false),
            ("", false),
        ] {
            assert_eq!(check(host, &listed).is_ok(), accepted, "{host}");
        }
        assert_eq!(check("gateway", &[]).unwrap_err().status(), 421);
    }
}
