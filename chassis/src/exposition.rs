//! The two text formats of metrics: OpenMetrics 1.0, which `prometheus-client` writes, and the older one of Prometheus, 0.0.4,
//! which is converted from it for clients that do not ask for OpenMetrics. Pure: knows no registry and no HTTP.

/// The `Content-Type` of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The `Content-Type` of the text format of Prometheus.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the `Content-Type` and the body for a client with this `Accept`, given the metrics as OpenMetrics.
pub(crate) fn negotiate(accept: &str, openmetrics: String) -> (&'static str, String) {
    if prefers_openmetrics(accept) { (OPENMETRICS, openmetrics) } else { (PROMETHEUS, to_prometheus(&openmetrics)) }
}

/// Only a client that names OpenMetrics understands it; `*/*` is also what curl sends.
fn prefers_openmetrics(accept: &str) -> bool {
    let quality = |wanted: &str| {
        accept.split(',').find_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().filter(|media_type| media_type.eq_ignore_ascii_case(wanted))?;
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            Some(weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0)))
        })
    };
    let openmetrics = quality("application/openmetrics-text").unwrap_or(0.0);
    openmetrics > 0.0 && openmetrics >= quality("text/plain").unwrap_or(0.0)
}

/// Converts OpenMetrics to the text format 0.0.4: there a family of counters has the name of its series, with `_total`, and
/// one of type `info` is a gauge `…_info`; units and the end are not written, since a reader would take them for comments.
fn to_prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    // `# HELP` comes before `# TYPE`, which decides the name in both.
    let mut help = None;
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), text) => help = Some(text.unwrap_or_default()),
            (Some("#"), Some("TYPE"), Some(family), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                if let Some(help) = help.take() {
                    text.extend(["# HELP ", family, suffix, " ", help, "\n"]);
                }
                text.extend(["# TYPE ", family, suffix, " ", kind, "\n"]);
            }
            (Some("#"), ..) => {}
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_name_it() {
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        for accept in [prometheus_3, "application/openmetrics-text", "Application/OpenMetrics-Text; q=1, text/plain"] {
            assert!(prefers_openmetrics(accept), "{accept}");
        }
        let older = "text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.5";
        for accept in
            ["", "*/*", "text/plain", "application/openmetrics-text;q=0", older, "text/html, */*;q=0.8", ";;,,"]
        {
            assert!(!prefers_openmetrics(accept), "{accept}");
        }
    }

    #[test]
    fn families_have_the_names_of_the_older_format() {
        let openmetrics = "\
# HELP a_requests Requests answered.
# TYPE a_requests counter
a_requests_total{route=\"# TYPE x counter\"} 3
# HELP a_build The version.
# TYPE a_build info
a_build_info{version=\"1\"} 1
# HELP a_wait_seconds Seconds.
# TYPE a_wait_seconds histogram
# UNIT a_wait_seconds seconds
a_wait_seconds_sum 0.5
# EOF
";
        let text = "\
# HELP a_requests_total Requests answered.
# TYPE a_requests_total counter
a_requests_total{route=\"# TYPE x counter\"} 3
# HELP a_build_info The version.
# TYPE a_build_info gauge
a_build_info{version=\"1\"} 1
# HELP a_wait_seconds Seconds.
# TYPE a_wait_seconds histogram
a_wait_seconds_sum 0.5
";
        assert_eq!(to_prometheus(openmetrics), text);
    }
}
