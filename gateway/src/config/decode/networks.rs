//! Decodes lists of networks.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::yaml::{mistake::Mistakes, tree::Node};

/// Networks. An item can hold several with commas between them, so that one variable can hold the list.
pub(super) fn networks(node: &Node, mistakes: &Mistakes) -> Vec<IpNet> {
    let network = |text: &str| {
        let single = text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or(single).map_err(|_| format!("`{text}` is not a network like 10.0.0.0/8"))
    };
    let several = |text: &str| -> Result<Vec<IpNet>, String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(network).collect()
    };
    node.items(mistakes).into_iter().filter_map(|item| item.parse(mistakes, several)).flatten().collect()
}
