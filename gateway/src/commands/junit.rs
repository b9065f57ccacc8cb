//! Test results as JUnit XML, for Jenkins and others.

use std::fmt::Write;

use super::test_result::TestResult;

/// One suite, named after the file.
pub(crate) fn xml(file: &str, results: &[TestResult]) -> String {
    let failures = results.iter().filter(|result| !result.differences.is_empty()).count();
    let file = escaped(file);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(xml, "  <testsuite name=\"{file}\" tests=\"{}\" failures=\"{failures}\">", results.len());
    for TestResult { name, line, differences } in results {
        let name = escaped(name);
        let _ = write!(xml, "    <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{line}\"");
        if differences.is_empty() {
            xml.push_str("/>\n");
            continue;
        }
        xml.push_str(">\n");
        for difference in differences {
            let message = format!("{}: expected {}, but {}", difference.what, difference.expected, difference.actual);
            let _ = writeln!(xml, "      <failure message=\"{}\"/>", escaped(&message));
        }
        xml.push_str("    </testcase>\n");
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Escapes a text (XML 1.0, sections 2.2 and 2.4). Control characters have no escape; they are replaced.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::test_result::Difference;

    #[test]
    fn reserved_characters_are_escaped() {
        let difference =
            Difference { what: "header x".to_owned(), expected: "<a>".to_owned(), actual: "\"b\" & \u{1}".to_owned() };
        let results = [
            TestResult { name: "GET /a?b=1&c=2".to_owned(), line: 3, differences: Vec::new() },
            TestResult { name: "GET /b".to_owned(), line: 4, differences: vec![difference] },
        ];
        assert_eq!(
            xml("g.yaml", &results),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  \
             <testsuite name=\"g.yaml\" tests=\"2\" failures=\"1\">\n    \
             <testcase classname=\"g.yaml\" name=\"GET /a?b=1&amp;c=2\" file=\"g.yaml\" line=\"3\"/>\n    \
             <testcase classname=\"g.yaml\" name=\"GET /b\" file=\"g.yaml\" line=\"4\">\n      \
             <failure message=\"header x: expected &lt;a&gt;, but &quot;b&quot; &amp; \u{fffd}\"/>\n    \
             </testcase>\n  </testsuite>\n</testsuites>\n"
        );
    }
}
