//! From which addresses a route may be used. Pure.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

/// From which addresses a route may be used: from `from` (from everywhere, if that is empty), but not from `not_from`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) from: Vec<IpNet>,
    pub(crate) not_from: Vec<IpNet>,
}

impl Addresses {
    /// Returns whether a client with this address may use the route. The address is in canonical form: one of IPv4 is not
    /// written as one of IPv6.
    pub(crate) fn allow(&self, client: IpAddr) -> bool {
        (self.from.is_empty() || holds(&self.from, client)) && !holds(&self.not_from, client)
    }

    /// Returns whether `other` allows every address that this allows. `false` where that cannot be told network by network.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        let inside = |network: &IpNet, networks: &[IpNet]| networks.iter().any(|outer| outer.contains(network));
        let from = other.from.is_empty()
            || (!self.from.is_empty() && self.from.iter().all(|network| inside(network, &other.from)));
        from && other.not_from.iter().all(|network| inside(network, &self.not_from))
    }
}

fn holds(networks: &[IpNet], client: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&client))
}

/// `10.0.0.0/8, fd00::/8 but not 10.6.0.0/16`
impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |networks: &[IpNet]| networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match (self.from.is_empty(), self.not_from.is_empty()) {
            (true, true) => f.write_str("everywhere"),
            (false, true) => f.write_str(&list(&self.from)),
            (true, false) => write!(f, "everywhere but {}", list(&self.not_from)),
            (false, false) => write!(f, "{} but not {}", list(&self.from), list(&self.not_from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn addresses(from: &[&str], not_from: &[&str]) -> Addresses {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Addresses { from: networks(from), not_from: networks(not_from) }
    }

    #[test]
    fn networks_allow_and_refuse() {
        let rule = addresses(&["10.0.0.0/8", "fd00::/8"], &["10.6.0.0/16"]);
        for (client, allowed) in
            [("10.1.2.3", true), ("10.6.2.3", false), ("11.1.2.3", false), ("fd00::1", true), ("::1", false)]
        {
            assert_eq!(rule.allow(client.parse().unwrap()), allowed, "{client}");
        }
        assert!(Addresses::default().allow("192.0.2.1".parse().unwrap()));
        assert!(!addresses(&[], &["192.0.2.0/24"]).allow("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn usual_changes_are_recognised() {
        let office = addresses(&["10.0.0.0/8"], &[]);
        for (narrow, wide) in [
            (&office, &Addresses::default()),
            (&addresses(&["10.1.0.0/16"], &[]), &office),
            (&addresses(&["10.0.0.0/8"], &["10.6.0.0/16"]), &office),
            (&addresses(&["10.0.0.0/8"], &[]), &addresses(&["10.0.0.0/8", "192.0.2.0/24"], &[])),
        ] {
            assert!(narrow.is_within(wide) && narrow.is_within(narrow) && !wide.is_within(narrow), "{narrow} {wide}");
        }
    }

    fn rule() -> impl Strategy<Value = Addresses> {
        let network = (0..4_u8, 0..4_u8, 24..=32_u8)
            .prop_map(|(third, fourth, length)| format!("10.0.{third}.{fourth}/{length}").parse().unwrap());
        let networks = || prop::collection::vec(network.clone(), 0..3);
        (networks(), networks()).prop_map(|(from, not_from)| Addresses { from, not_from })
    }

    proptest! {
        /// What is called narrower allows nobody whom the wider one refuses.
        #[test]
        fn nothing_that_is_called_narrower_is_wider(one in rule(), other in rule(), third in 0..4_u8, fourth in 0..4_u8) {
            let client = IpAddr::from([10, 0, third, fourth]);
            if one.is_within(&other) && one.allow(client) {
                prop_assert!(other.allow(client), "{} {} {}", one, other, client);
            }
        }
    }
}
