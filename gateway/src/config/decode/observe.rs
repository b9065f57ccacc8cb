//! Decodes what is logged and reported about requests: the access log and `Server-Timing`.

use super::auth::requirement;
use crate::{
    auth::policy::Policy,
    config::{
        keys::file::{AccessLogKeys, RootKeys},
        yaml::{
            mistake::Mistakes,
            table::Table,
            tree::{Node, Value},
        },
    },
    telemetry::{
        access_log::AccessLog,
        settings::{ObserveSettings, ServerTiming},
    },
};

pub(crate) fn decode(top: Table<'_>, mistakes: &Mistakes) -> ObserveSettings {
    let access_log = top.node(&RootKeys::ACCESS_LOG).and_then(|node| access_log(node, mistakes));
    let server_timing = top.node(&RootKeys::SERVER_TIMING).and_then(|node| server_timing(node, mistakes));
    ObserveSettings { access_log: access_log.unwrap_or_default(), server_timing: server_timing.unwrap_or_default() }
}

fn access_log(node: &Node, mistakes: &Mistakes) -> Option<AccessLog> {
    if let Value::Mapping(_) = &node.value {
        let percent = node.table(&AccessLogKeys::SECTION, mistakes).get(&AccessLogKeys::SAMPLE)?;
        return Some(AccessLog::Sample { percent });
    }
    node.parse(mistakes, |text| match text {
        "on" => Ok(AccessLog::On),
        "off" => Ok(AccessLog::Off),
        _ => Err(format!("`{text}` is not `on`, `off` or a sample like {{sample: 10%}}")),
    })
}

fn server_timing(node: &Node, mistakes: &Mistakes) -> Option<ServerTiming> {
    if let Value::Mapping(_) = &node.value {
        return Some(ServerTiming::Callers(Policy::Claims(requirement(node, None, mistakes))));
    }
    node.parse(mistakes, |text| match text {
        "on" => Ok(ServerTiming::On),
        "off" => Ok(ServerTiming::Off),
        _ => Err(format!("`{text}` is not `on`, `off` or claims like {{user_type: admin}}")),
    })
}
