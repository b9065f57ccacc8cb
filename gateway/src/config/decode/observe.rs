//! Decodes what is shown of requests: the access log and `Server-Timing`.

use super::routes::claims;
use crate::{
    auth::policy::Policy,
    config::{
        keys::file::ACCESS_LOG,
        yaml::{
            mistake::Mistakes,
            tree::{Node, Table, Value},
        },
    },
    telemetry::{
        access_log::AccessLog,
        settings::{ObserveSettings, ServerTiming},
    },
};

pub(crate) fn decode(top: &mut Table<'_>, mistakes: &mut Mistakes) -> ObserveSettings {
    let access_log = top.optional("access_log").and_then(|node| access_log(node, mistakes));
    let server_timing = top.optional("server_timing").and_then(|node| server_timing(node, mistakes));
    ObserveSettings { access_log: access_log.unwrap_or_default(), server_timing: server_timing.unwrap_or_default() }
}

fn access_log(node: &Node, mistakes: &mut Mistakes) -> Option<AccessLog> {
    if let Value::Mapping(_) = &node.value {
        let mut table = node.table(&ACCESS_LOG, mistakes);
        let sample = table.required("sample", mistakes);
        let log = sample.and_then(|node| node.parse(mistakes, percent)).map(|percent| AccessLog::Sample { percent });
        table.finish(mistakes);
        return log;
    }
    node.parse(mistakes, |text| match text {
        "on" => Ok(AccessLog::On),
        "off" => Ok(AccessLog::Off),
        _ => Err(format!("`{text}` is not `on`, `off` or a sample like {{sample: 10%}}")),
    })
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
    number
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| format!("`{text}` is not a share from 1% to 100%"))
}

fn server_timing(node: &Node, mistakes: &mut Mistakes) -> Option<ServerTiming> {
    if let Value::Mapping(_) = &node.value {
        return Some(ServerTiming::Callers(Policy::Claims(claims(node, mistakes))));
    }
    node.parse(mistakes, |text| match text {
        "on" => Ok(ServerTiming::On),
        "off" => Ok(ServerTiming::Off),
        _ => Err(format!("`{text}` is not `on`, `off` or claims like {{user_type: admin}}")),
    })
}
