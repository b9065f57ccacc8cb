//! Limits: of routes, and of what clients may cost the gateway itself.

use super::{HEAD, UPSTREAMS, mistakes, with_routes};

#[test]
fn limits_that_would_not_work_are_mistakes() {
    for (limit, path) in [
        ("[1/min per ip, 1 per ip]", "routes[0].limit[1]"),
        ("1/min per user", "routes[0].limit"),
        ("1/min per header a b", "routes[0].limit"),
        ("1/min per header", "routes[0].limit"),
        ("[1/s per ip, 2/s per ip, 3/s per ip, 4/s per ip, 5/s per ip]", "routes[0].limit"),
    ] {
        let found = with_routes(&format!("  - {{route: GET /x, to: users, auth: public, limit: {limit}}}\n"));
        let paths: Vec<&str> = found.iter().map(|mistake| mistake.path.as_str()).collect();
        assert_eq!(paths, [path], "{limit}: {found:#?}");
    }
    for rate in ["240", "0B/s", "240/s per ip", "fast"] {
        let found = with_routes(&format!("  - {{route: GET /x, to: users, auth: public, body_rate: {rate}}}\n"));
        assert!(found.len() == 1 && found[0].message.contains("is not a rate"), "{rate}: {found:#?}");
    }
    for (limits, path) in [
        ("{connections: 0}", "limits.connections"),
        ("{head_bytes: 1MiB}", "limits.head_bytes"),
        ("{head_timeout: 0s}", "limits.head_timeout"),
        ("{write_timeout: never}", "limits.write_timeout"),
        ("{write_rate: 240}", "limits.write_rate"),
        ("{keep_alive: 0s}", "limits.keep_alive"),
        ("{streams: 0}", "limits.streams"),
        ("{streams: 1001}", "limits.streams"),
        ("{conections: 1}", "limits.conections"),
    ] {
        let found = mistakes(&format!("{HEAD}{UPSTREAMS}limits: {limits}\nroutes: []\n"));
        let paths: Vec<&str> = found.iter().map(|mistake| mistake.path.as_str()).collect();
        assert_eq!(paths, [path], "{limits}: {found:#?}");
    }
}
