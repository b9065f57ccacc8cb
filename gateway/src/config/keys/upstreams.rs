//! The keys of an upstream: its targets, and how it is kept going. Described as in [`super::file`].

use super::{
    shape::{
        Section,
        Shape::{Either, Flag, Form, List, Table, Text, Whole, Words},
        optional, required,
    },
    tls::UPSTREAM_TLS,
    values::{COUNT, DURATION, PAGE, PATH, PERCENT, SHARE},
};

pub(crate) const UPSTREAM: Section = Section {
    name: "upstream",
    about: "A service behind the gateway.",
    keys: &[
        required(
            "targets",
            List(&Either(&[Form("^https?://"), Table(&TARGET)]), 1),
            "`[http://host:port, {url: https://host:port, weight: 3}, …]`, 64 at most, all `http://` or all `https://`; requests are spread over them",
        ),
        optional("tls", "`{}`", Table(&UPSTREAM_TLS), "with `https://` targets. Certificates are always verified"),
        optional(
            "balance",
            "`round_robin`",
            Either(&[Words(&["round_robin", "least_in_flight", "p2c"]), Table(&BALANCE)]),
            "or `least_in_flight`, `p2c` (the less busy of two drawn by weight), or a table",
        ),
        optional(
            "health",
            "`off`",
            Either(&[PAGE, Table(&HEALTH)]),
            "a path that answers 2xx where a target is well; or a table",
        ),
        optional(
            "breaker",
            "as below",
            Either(&[Words(&["off"]), Table(&BREAKER)]),
            "when a target is taken out, or `off`",
        ),
        optional(
            "max_ejected",
            "`70%`",
            PERCENT,
            "no more of its targets are taken out by breakers, as long as one is well",
        ),
        optional("assertion", "none", Text, "name the service verifies assertions for; the key is `NAME_INTERNAL_KEY`"),
        optional("openapi", "none", PATH, "path of its OpenAPI document, which is merged into ours"),
        optional("max_in_flight", "`1024`", COUNT, "more requests at once are answered 503"),
        optional("connect_timeout", "`defaults.timeout.connect`", DURATION, "to connect"),
    ],
};

pub(crate) const TARGET: Section = Section {
    name: "target",
    about: "One target of an upstream, with a weight.",
    keys: &[
        required("url", Form("^https?://"), "`http://host:port` or `https://host:port`"),
        optional("weight", "`1`", Whole(1, 1000), "of so many parts of the requests it gets its weight: 1 to 1000"),
    ],
};

pub(crate) const BALANCE: Section = Section {
    name: "balance",
    about: "The same caller goes to the same target.",
    keys: &[required("hash", Text, "a header, or `caller` (the client's address where nobody is signed in)")],
};

pub(crate) const HEALTH: Section = Section {
    name: "health",
    about: "How the gateway finds out which targets are well.",
    keys: &[
        required("path", PATH, "a path that answers 2xx where a target is well"),
        optional("interval", "`2s`", DURATION, "between two checks"),
        optional("timeout", "`1s`", DURATION, "for each check"),
        optional("healthy", "`1`", COUNT, "so many in a row bring a target back"),
        optional("unhealthy", "`3`", COUNT, "so many in a row take a target out"),
    ],
};

pub(crate) const BREAKER: Section = Section {
    name: "breaker",
    about: "When a target that fails is taken out.",
    keys: &[
        optional("failures", "`5`", COUNT, "so many in a row open it"),
        optional("share", "`50%`", SHARE, "so many failures among the requests of a window open it"),
        optional("requests", "`20`", COUNT, "a window with fewer requests says nothing"),
        optional("window", "`10s`", DURATION, "in which requests are counted"),
        optional("open", "`5s`", DURATION, "how long a target is out before it is tried again"),
    ],
};

pub(crate) const RETRY: Section = Section {
    name: "retry",
    about: "Which failed requests are sent again. What is left out is as in the defaults.",
    keys: &[
        optional("attempts", "`2`", Whole(1, 5), "1 is no retry, 5 is the most"),
        optional("budget", "`20%`", PERCENT, "retries are at most this share of the requests of an upstream"),
        optional(
            "methods",
            "none",
            List(&Words(&["PUT", "DELETE"]), 0),
            "`[PUT, DELETE]`: these too, though they may have been sent",
        ),
        optional("idempotency_key", "`false`", Flag, "requests with an `Idempotency-Key` too"),
    ],
};
