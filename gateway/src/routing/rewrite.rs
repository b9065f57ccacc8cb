//! The rule by which a route changes the path of its requests, and its inverse for the paths in answers. Pure.

use super::{
    path::with_one_slash,
    pattern::{Pattern, Segment},
};

/// Changes the paths of one route. It can be reversed where nothing of a path is lost between its segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    route: Pattern,
    to: Pattern,
    /// The path of the upstream as segments, to match those in its answers; `None` where they cannot be told apart,
    /// because something follows a parameter that has several segments.
    upstream: Option<Vec<Segment>>,
    /// Number of segments that the upstream's path lacks at its beginning, where it is the same otherwise.
    stripped: usize,
}

impl Rewrite {
    /// A rule that turns the paths of `route` into those of `to`, which has no parameters beside those of the route.
    pub(crate) fn new(route: Pattern, to: Pattern) -> Self {
        let upstream: Vec<Segment> = to.segments().iter().map(|segment| as_in_route(segment, &route)).collect();
        let stripped = match route.segments().len().checked_sub(upstream.len()) {
            Some(more) if route.segments()[more..] == upstream[..] => more,
            Some(_) | None => 0,
        };
        let is_open = |segment: &Segment| matches!(segment, Segment::CatchAll(_));
        let is_reversible = !upstream.iter().rev().skip(1).any(is_open);
        Self { upstream: is_reversible.then_some(upstream), route, to, stripped }
    }

    /// Returns the path for the upstream as it is written in the configuration.
    pub(crate) fn as_str(&self) -> &str {
        self.to.as_str()
    }

    /// Returns the path for the upstream of a request on the route.
    pub(crate) fn apply(&self, path: &str) -> String {
        let values: Vec<(&str, &str)> = self.route.names().zip(self.route.captures(path)).collect();
        with_one_slash(self.to.fill(|name| value_of(name, &values).unwrap_or_default()))
    }

    /// Returns what the upstream's path lacks at its beginning, such as `/shop`. `None` if it differs otherwise.
    pub(crate) fn stripped_prefix<'p>(&self, path: &'p str) -> Option<&'p str> {
        let after = path.match_indices('/').nth(self.stripped).map_or(path.len(), |(at, _)| at);
        path.get(..after).filter(|prefix| !prefix.is_empty())
    }

    /// Returns the path of the route that leads to this path of the upstream, in the answer to a request for `requested`.
    ///
    /// `None` if the route does not lead there, or if the path has the stripped prefix already: an upstream may know it
    /// from `X-Forwarded-Prefix`.
    pub(crate) fn reverse(&self, path: &str, requested: &str) -> Option<String> {
        let is_public =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if self.stripped_prefix(requested).is_some_and(is_public) {
            return None;
        }
        let found = matched(self.upstream.as_ref()?, path)?;
        // Parameters that the upstream's path does not have stay as they were in the request.
        let requested: Vec<(&str, &str)> = self.route.names().zip(self.route.captures(requested)).collect();
        let value = |name: &str| value_of(name, &found).or_else(|| value_of(name, &requested)).unwrap_or_default();
        Some(with_one_slash(self.route.fill(value)))
    }
}

/// The path for the upstream names a parameter without saying how many segments it has: the route does.
fn as_in_route(segment: &Segment, route: &Pattern) -> Segment {
    match segment {
        Segment::Literal(_) => segment.clone(),
        Segment::Param(name) | Segment::CatchAll(name) => {
            let in_route = route.segment_of(name).map(|at| route.segments()[at].clone());
            in_route.unwrap_or_else(|| segment.clone())
        }
    }
}

/// Returns the values of the parameters, if the path has these segments.
fn matched<'a>(segments: &'a [Segment], path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let mut values = Vec::new();
    let mut rest = Some(path.strip_prefix('/')?);
    for segment in segments {
        let (head, tail) = rest?.split_once('/').map_or((rest?, None), |(head, tail)| (head, Some(tail)));
        match segment {
            Segment::Literal(text) if text == head => rest = tail,
            Segment::Param(name) if !head.is_empty() => {
                values.push((name.as_str(), head));
                rest = tail;
            }
            Segment::CatchAll(name) => {
                values.push((name.as_str(), rest?));
                rest = None;
            }
            Segment::Literal(_) | Segment::Param(_) => return None,
        }
    }
    rest.is_none().then_some(values)
}

fn value_of(name: &str, values: &[(&str, &str)]) -> Option<String> {
    values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewrite(route: &str, to: &str) -> Rewrite {
        Rewrite::new(route.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn paths_lead_there_and_back() {
        for (route, to, requested, sent, answered, back) in [
            ("/shop/{path...}", "/{path}", "/shop/a/b", "/a/b", "/login", Some("/shop/login")),
            ("/shop/{path...}", "/{path}", "/shop/a", "/a", "/", Some("/shop/")),
            ("/shop/{path...}", "/{path}", "/shop/a", "/a", "/shop/login", None),
            ("/shop/{path...}", "/{path}", "/shop/a", "/a", "/shopping", Some("/shop/shopping")),
            ("/shop/{path...}", "/store/{path}", "/shop/a", "/store/a", "/store/b/", Some("/shop/b/")),
            ("/shop/{path...}", "/store/{path}", "/shop/a", "/store/a", "/other", None),
            (
                "/shop/{path...}",
                "/store/{path}",
                "/shop/a",
                "/store/a",
                "/store//evil.example/",
                Some("/shop//evil.example/"),
            ),
            ("/{path...}", "/app/{path}", "/a", "/app/a", "/app/b", Some("/b")),
            ("/{path...}", "/app/{path}", "/a", "/app/a", "/app//evil.example", Some("/evil.example")),
            ("/t/{tenant}/{path...}", "/{path}", "/t/acme/x", "/x", "/y", Some("/t/acme/y")),
            ("/t/{tenant}/{path...}", "/{path}", "/t/acme/x", "/x", "/t/acme/y", None),
            ("/a/{x}/b/{y}", "/{y}/{x}", "/a/1/b/2", "/2/1", "/4/3", Some("/a/3/b/4")),
            ("/a/{x}", "/{x}/end", "/a/1", "/1/end", "/2/end", Some("/a/2")),
            ("/a/{x}", "/{x}/end", "/a/1", "/1/end", "/2/end/", None),
            ("/a/{x...}", "/{x}/end", "/a/1/2", "/1/2/end", "/2/end", None),
            ("/old", "/new", "/old", "/new", "/new", Some("/old")),
            ("/old", "/new", "/old", "/new", "new", None),
        ] {
            let rule = rewrite(route, to);
            assert_eq!(rule.apply(requested), sent, "{route} {to}");
            assert_eq!(rule.reverse(answered, requested).as_deref(), back, "{route} {to} {answered}");
        }
    }

    #[test]
    fn only_a_missing_beginning_is_a_stripped_prefix() {
        for (route, to, requested, prefix) in [
            ("/shop/{path...}", "/{path}", "/shop/a/b", Some("/shop")),
            ("/shop/{path...}", "/{path}", "/shop/", Some("/shop")),
            ("/t/{tenant}/{path...}", "/{path}", "/t/acme/a", Some("/t/acme")),
            ("/v1/users/{id}", "/users/{id}", "/v1/users/7", Some("/v1")),
            ("/shop/{path...}", "/store/{path}", "/shop/a", None),
            ("/{path...}", "/app/{path}", "/a", None),
            ("/{a}/{b}", "/{b}/{a}", "/1/2", None),
        ] {
            assert_eq!(rewrite(route, to).stripped_prefix(requested), prefix, "{route} {to}");
        }
    }

    proptest! {
        /// A path that the upstream got leads back to the path that was requested, and no path leads to another host.
        #[test]
        fn what_was_sent_leads_back(
            (route, to) in prop_oneof![
                Just(("/shop/{path...}", "/{path}")),
                Just(("/shop/{path...}", "/store/{path}")),
                Just(("/shop/{a}/{b}", "/{b}/x/{a}")),
                Just(("/{a}/{path...}", "/{a}/in/{path}")),
            ],
            one in "[a-z]{1,4}", two in "[a-z]{1,4}", answered in "(/|//)?[a-z/.%2F]{0,12}",
        ) {
            let rule = rewrite(route, to);
            let requested = rule.route.fill(|name| if name == "a" { one.clone() } else { two.clone() });
            let sent = rule.apply(&requested);
            // The upstream's path may happen to begin like the prefix.
            if rule.stripped_prefix(&requested).is_none_or(|prefix| !sent.starts_with(prefix)) {
                prop_assert_eq!(rule.reverse(&sent, &requested), Some(requested.clone()));
            }
            if let Some(back) = rule.reverse(&answered, &requested) {
                prop_assert!(back.starts_with('/') && !back.starts_with("//"), "{}", back);
            }
        }
    }
}
