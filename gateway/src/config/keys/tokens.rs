//! The keys of tokens: our own, and those of issuers elsewhere. Described as in [`super::file`].

use super::{
    shape::{
        KeyInfo, Section,
        Shape::{List, Table, Text, Words},
        optional, required,
    },
    values::DURATION,
};

pub(crate) const OWN_TOKENS: Section = Section {
    name: "tokens",
    about: "How the gateway issues tokens.",
    keys: &[
        required("issuer", Text, "claim `iss` of the tokens"),
        required("audience", Text, "claim `aud` of the tokens"),
        optional("ttl", "`60m`", DURATION, "how long a token is valid"),
        optional("keys", "none", Text, "folder of the signing keys; or set `GATEWAY_JWT_SECRET`"),
        optional("publish_for", "`10m`", DURATION, "how long a new key is published before it signs"),
        ALSO,
    ],
};

const ALSO: KeyInfo = optional(
    "also",
    "none",
    List(&Table(&FOREIGN_ISSUER), 0),
    "issuers elsewhere whose tokens are good here too, each with `issuer`, `audience`, `jwks`, `typ`, `ca`, `refresh`",
);
const ISSUER: KeyInfo = required("issuer", Text, "claim `iss` of the tokens");
const AUDIENCE: KeyInfo = required("audience", Text, "claim `aud` of the tokens");
const JWKS: KeyInfo = required(
    "jwks",
    Text,
    "instead of keys of our own: the `issuer` is elsewhere. `http(s)://…` or a file; also in `also`",
);
const TYP: KeyInfo = optional(
    "typ",
    "`at+jwt`",
    Words(&["at+jwt", "JWT", "any"]),
    "with `jwks`: the `typ` its tokens must have; `JWT` allows that as well, `any` whatever comes",
);
const CA: KeyInfo =
    optional("ca", "the roots of browsers", Text, "with `jwks`: file of the authority that vouches for its server");
const REFRESH: KeyInfo = optional("refresh", "`5m`", DURATION, "with `jwks`: how often its keys are fetched anew");

pub(crate) const FOREIGN_TOKENS: Section = Section {
    name: "tokens_of_another",
    about: "An issuer elsewhere, and more of them.",
    keys: &[ISSUER, AUDIENCE, JWKS, TYP, CA, REFRESH, ALSO],
};

pub(crate) const FOREIGN_ISSUER: Section = Section {
    name: "issuer",
    about: "An issuer elsewhere, whose tokens are good here.",
    keys: &[ISSUER, AUDIENCE, JWKS, TYP, CA, REFRESH],
};
