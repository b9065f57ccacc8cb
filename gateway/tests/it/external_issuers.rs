//! Tokens of external issuers, whose keys are fetched over HTTP from a real server.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
    time::{Instant, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{
    identity::unix_seconds,
    testing::{get, until},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::pkcs8::EncodePrivateKey as _;
use rsa::{pkcs1::EncodeRsaPrivateKey as _, traits::PublicKeyParts as _};
use serde_json::{Value, json};

use crate::fixture::{File, Gateway, Process, SECRET, Upstream, own_token};

/// A key pair as an identity provider has it.
pub(crate) struct Pair {
    kid: String,
    algorithm: Algorithm,
    encoding: EncodingKey,
    jwk: Value,
}

impl Pair {
    /// An RSA key that signs with this algorithm.
    pub(crate) fn rsa_with(kid: &str, algorithm: Algorithm) -> Self {
        let mut pair = Self::rsa(kid);
        pair.jwk["alg"] = json!(format!("{algorithm:?}"));
        pair.algorithm = algorithm;
        pair
    }

    pub(crate) fn p384(kid: &str) -> Self {
        let key = p384::ecdsa::SigningKey::random(&mut rsa::rand_core::OsRng);
        let point = key.verifying_key().to_encoded_point(false);
        let jwk = json!({"kty": "EC", "crv": "P-384", "kid": kid,
            "x": URL_SAFE_NO_PAD.encode(point.x().unwrap()), "y": URL_SAFE_NO_PAD.encode(point.y().unwrap())});
        let encoding = EncodingKey::from_ec_der(key.to_pkcs8_der().unwrap().as_bytes());
        Self { kid: kid.to_owned(), algorithm: Algorithm::ES384, encoding, jwk }
    }

    fn rsa(kid: &str) -> Self {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
        let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
        let jwk = json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(n), "e": URL_SAFE_NO_PAD.encode(e)});
        let encoding = EncodingKey::from_rsa_der(key.to_pkcs1_der().unwrap().as_bytes());
        Self { kid: kid.to_owned(), algorithm: Algorithm::RS256, encoding, jwk }
    }

    pub(crate) fn ec(kid: &str) -> Self {
        let key = p256::ecdsa::SigningKey::random(&mut rsa::rand_core::OsRng);
        let point = key.verifying_key().to_encoded_point(false);
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": kid,
            "x": URL_SAFE_NO_PAD.encode(point.x().unwrap()), "y": URL_SAFE_NO_PAD.encode(point.y().unwrap())});
        let encoding = EncodingKey::from_ec_der(key.to_pkcs8_der().unwrap().as_bytes());
        Self { kid: kid.to_owned(), algorithm: Algorithm::ES256, encoding, jwk }
    }

    fn ed25519(kid: &str) -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid,
            "x": URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes())});
        let pair = ed25519_dalek::pkcs8::KeypairBytes { secret_key: seed, public_key: None };
        let der = ed25519_dalek::pkcs8::EncodePrivateKey::to_pkcs8_der(&pair).unwrap();
        let encoding = EncodingKey::from_ed_der(der.as_bytes());
        Self { kid: kid.to_owned(), algorithm: Algorithm::EdDSA, encoding, jwk }
    }

    pub(crate) fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    /// A token with these claims in the place of good ones.
    pub(crate) fn token(&self, typ: Option<&str>, claims: &Value) -> String {
        let header = Header { typ: typ.map(str::to_owned), kid: Some(self.kid.clone()), ..Header::new(self.algorithm) };
        let now = unix_seconds(SystemTime::now());
        let mut all = json!({"iss": "https://idp.example", "aud": "api", "sub": "u7", "exp": now + 600});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        jsonwebtoken::encode(&header, &all, &self.encoding).unwrap()
    }
}

/// Stands for no answer at all.
const DOWN: &[u8] = b"(down)";

/// An identity provider that serves what a test puts into it.
struct Provider {
    server: Upstream,
    document: Arc<Mutex<Vec<u8>>>,
}

impl Provider {
    fn of(keys: &[&Pair]) -> Self {
        let document = Arc::new(Mutex::new(Self::document(keys)));
        let served = Arc::clone(&document);
        let server = Upstream::start(move |_| {
            let document = served.lock().unwrap();
            if *document == DOWN {
                return Vec::new();
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", document.len());
            [head.as_bytes(), &document].concat()
        });
        Self { server, document }
    }

    fn document(keys: &[&Pair]) -> Vec<u8> {
        let keys: Vec<Value> = keys.iter().map(|pair| pair.jwk()).collect();
        json!({ "keys": keys }).to_string().into_bytes()
    }

    fn serves(&self, document: Vec<u8>) {
        *self.document.lock().unwrap() = document;
    }

    /// From now on it closes every connection without an answer.
    fn goes_down(&self) {
        self.serves(DOWN.to_vec());
    }

    fn url(&self) -> String {
        format!("http://{}/jwks.json", self.server.addr)
    }
}

fn gateway(upstream: &Upstream, tokens: &str) -> Gateway {
    let sections = format!(
        "{tokens}identity: {{headers: {{request-user-id: sub}}}}\n\
         upstreams: {{u: {{targets: [\"http://{}\"]}}}}\nroutes:\n  - {{route: GET /x, to: u, auth: signed-in}}\n",
        upstream.addr
    );
    Gateway::with_tokens(&sections, &[("GATEWAY_JWT_SECRET", SECRET.to_owned())])
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    get("/x").bearer(token).send(gateway.addr()).status
}

#[test]
fn tokens_of_every_usual_algorithm_are_accepted() {
    let pairs = [
        Pair::rsa("r"),
        Pair::ec("e"),
        Pair::ed25519("d"),
        Pair::p384("e384"),
        Pair::rsa_with("r384", Algorithm::RS384),
        Pair::rsa_with("r512", Algorithm::RS512),
        Pair::rsa_with("ps", Algorithm::PS256),
    ];
    let provider = Provider::of(&pairs.each_ref());
    let upstream = Upstream::echo();
    let tokens = format!("tokens: {{issuer: https://idp.example, audience: api, jwks: {}}}\n", provider.url());
    let gateway = gateway(&upstream, &tokens);
    for pair in &pairs {
        // The first of them comes before the keys were fetched, or after: it is good in both cases.
        assert_eq!(status(&gateway, &pair.token(Some("at+jwt"), &json!({}))), 200, "{}", pair.kid);
        for (why, typ, claims) in [
            ("an ID token", Some("JWT"), json!({})),
            ("no type", None, json!({})),
            ("another issuer", Some("at+jwt"), json!({"iss": "https://evil.example"})),
            ("another audience", Some("at+jwt"), json!({"aud": "other"})),
            ("expired", Some("at+jwt"), json!({"exp": 1})),
            ("no subject", Some("at+jwt"), json!({"sub": null})),
        ] {
            assert_eq!(status(&gateway, &pair.token(typ, &claims)), 401, "{}: {why}", pair.kid);
        }
    }
    // A key has one algorithm: another one of its kind is refused.
    let mut other = Pair::rsa_with("ps", Algorithm::RS256);
    other.encoding = pairs[6].encoding.clone();
    assert_eq!(status(&gateway, &other.token(Some("at+jwt"), &json!({}))), 401);
    let asked = provider.server.received();
    assert_eq!(asked.len(), 1, "fetched once: {asked:?}");
    assert_eq!(upstream.received()[0].header("request-user-id"), ["u7"]);
}

#[test]
fn no_key_speaks_for_another_issuer_or_by_another_algorithm() {
    let (idp, evil) = (Pair::rsa("same"), Pair::ec("same"));
    let (first, second) = (Provider::of(&[&idp]), Provider::of(&[&evil]));
    let upstream = Upstream::echo();
    let tokens = format!(
        "tokens:\n  issuer: own\n  audience: api\n  other_issuers:\n    \
         - {{issuer: https://idp.example, audience: api, jwks: {}, typ: JWT}}\n    \
         - {{issuer: https://evil.example, audience: api, jwks: {}, typ: any}}\n",
        first.url(),
        second.url()
    );
    let gateway = gateway(&upstream, &tokens);
    assert_eq!(status(&gateway, &idp.token(Some("JWT"), &json!({}))), 200, "relaxed");
    assert_eq!(status(&gateway, &idp.token(Some("at+jwt"), &json!({}))), 200);
    assert_eq!(status(&gateway, &idp.token(None, &json!({}))), 401, "relaxed only so far");
    let evil_iss = json!({"iss": "https://evil.example"});
    assert_eq!(status(&gateway, &evil.token(None, &evil_iss)), 200);
    assert_eq!(status(&gateway, &evil.token(Some("JWT"), &json!({}))), 401, "it claims to be the other");
    assert_eq!(status(&gateway, &evil.token(Some("at+jwt"), &json!({"iss": "own"}))), 401, "it claims to be us");
    // The public key of an issuer, taken for a shared secret.
    let secret = URL_SAFE_NO_PAD.decode(idp.jwk()["n"].as_str().unwrap()).unwrap();
    let forged = Pair {
        kid: "same".to_owned(),
        algorithm: Algorithm::HS256,
        encoding: EncodingKey::from_secret(&secret),
        jwk: Value::Null,
    };
    assert_eq!(status(&gateway, &forged.token(Some("JWT"), &json!({}))), 401);
    // Our own tokens are accepted beside theirs.
    let own = own_token(&json!({"iss": "own", "aud": "api"}));
    assert_eq!(status(&gateway, &own), 200);
}

#[test]
fn an_unknown_key_is_fetched_once_and_the_last_good_ones_stay() {
    let (old, new) = (Pair::ec("old"), Pair::ec("new"));
    let provider = Provider::of(&[&old]);
    let upstream = Upstream::echo();
    let tokens =
        format!("tokens: {{issuer: https://idp.example, audience: api, jwks: {}, refresh: 1s}}\n", provider.url());
    let gateway = gateway(&upstream, &tokens);
    let (old_token, new_token) = (old.token(Some("at+jwt"), &json!({})), new.token(Some("at+jwt"), &json!({})));
    assert_eq!(status(&gateway, &old_token), 200);
    provider.serves(Provider::document(&[&old, &new]));
    until("the new key is accepted", || status(&gateway, &new_token) == 200);
    for broken in [b"rubbish".to_vec(), br#"{"keys":[]}"#.to_vec(), vec![b' '; 300 * 1024], Vec::new()] {
        provider.serves(broken);
        let asked = provider.server.received().len();
        until("the provider is asked twice more", || provider.server.received().len() >= asked + 2);
        assert_eq!((status(&gateway, &old_token), status(&gateway, &new_token)), (200, 200));
    }
    provider.serves(Provider::document(&[&new]));
    until("the old key is refused", || status(&gateway, &old_token) == 401);
    assert_eq!(status(&gateway, &new_token), 200);
}

#[test]
fn tokens_with_unknown_keys_do_not_flood_the_issuer() {
    let (known, strange) = (Pair::ec("known"), Pair::ec("strange"));
    let provider = Provider::of(&[&known]);
    let upstream = Upstream::echo();
    let tokens = format!("tokens: {{issuer: https://idp.example, audience: api, jwks: {}}}\n", provider.url());
    let gateway = gateway(&upstream, &tokens);
    assert_eq!(status(&gateway, &known.token(Some("at+jwt"), &json!({}))), 200);
    let start = Instant::now();
    for n in 0..50 {
        let token = strange.token(Some("at+jwt"), &json!({"jti": n}));
        assert_eq!(status(&gateway, &token), 401);
    }
    // One at the start, and at most one for each ten seconds that this machine took.
    let allowed = 2 + start.elapsed().as_secs() / 10;
    let asked = provider.server.received().len() as u64;
    assert!(asked <= allowed, "{asked} of {allowed}");
}

/// What a listener says about the issuers at `/health/ready`.
fn ready_at(addr: SocketAddr) -> (u16, Value) {
    let answer = get("/health/ready").send(addr);
    let body: Value = answer.json();
    (answer.status, if answer.status == 200 { body["checks"]["issuers"].clone() } else { body["detail"].clone() })
}

/// The same at both listeners, while nothing changes.
fn ready(gateway: &Gateway) -> (u16, Value) {
    let [public, admin] = [gateway.addr(), gateway.admin].map(ready_at);
    assert_eq!(public, admin);
    public
}

#[test]
fn without_keys_a_token_may_be_good_and_the_gateway_waits_for_them_before_it_is_ready() {
    let (known, strange) = (Pair::ec("known"), Pair::ec("strange"));
    let provider = Provider::of(&[&known]);
    provider.goes_down();
    let upstream = Upstream::echo();
    let tokens = format!(
        "tokens: {{issuer: https://idp.example, audience: api, jwks: {}, refresh: 1s}}\nbuiltin: {{health: /health}}\n",
        provider.url()
    );
    let gateway = gateway(&upstream, &tokens);
    let answer = get("/x").bearer(&known.token(Some("at+jwt"), &json!({}))).send(gateway.addr());
    assert_eq!((answer.status, answer.problem().as_str()), (503, "keys_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("10"));
    let foreign = known.token(Some("at+jwt"), &json!({"iss": "https://evil.example"}));
    assert_eq!(
        get("/x").bearer(&foreign).send(gateway.addr()).problem(),
        "token_invalid",
        "of an issuer that is no one's"
    );
    let why = "issuers: the keys of https://idp.example have not been fetched yet";
    assert_eq!(ready(&gateway), (503, json!(why)));

    provider.serves(Provider::document(&[&known]));
    until("the keys are fetched", || ready_at(gateway.addr()).0 == 200);
    assert_eq!(ready(&gateway), (200, json!({"https://idp.example": "ok"})));
    assert_eq!(status(&gateway, &known.token(Some("at+jwt"), &json!({}))), 200);
    let invented = strange.token(Some("at+jwt"), &json!({}));
    assert_eq!(status(&gateway, &invented), 401, "an invented key is not a missing one");
    provider.goes_down();
    assert_eq!(status(&gateway, &invented), 401, "not while the issuer is down, either");
}

#[test]
fn the_wait_for_keys_is_bounded_and_invented_tokens_do_not_flood_an_issuer_that_is_down() {
    let pair = Pair::ec("known");
    let provider = Provider::of(&[&pair]);
    provider.goes_down();
    let upstream = Upstream::echo();
    let tokens = format!(
        "tokens: {{issuer: https://idp.example, audience: api, jwks: {}, wait_for_keys: 1ms}}\n\
         builtin: {{health: /health}}\n",
        provider.url()
    );
    let gateway = gateway(&upstream, &tokens);
    let start = Instant::now();
    for n in 0..50 {
        assert_eq!(status(&gateway, &pair.token(Some("at+jwt"), &json!({"jti": n}))), 503);
    }
    let allowed = 2 + start.elapsed().as_secs() / 10;
    let asked = provider.server.received().len() as u64;
    assert!(asked <= allowed, "{asked} of {allowed}");
    assert_eq!(ready(&gateway), (200, json!({"https://idp.example": "no keys"})), "what needs no tokens is served");
}

#[test]
fn keys_outlive_a_reload_while_their_issuer_is_down() {
    let pair = Pair::ec("known");
    let provider = Provider::of(&[&pair]);
    let upstream = Upstream::echo();
    let yaml = |own: &str, issuer: &str| {
        format!(
            "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
             tokens:\n  issuer: own\n  audience: api\n  {own}\n  other_issuers:\n    \
             - {{issuer: https://idp.example, audience: api, jwks: {}, {issuer}}}\n\
             upstreams: {{u: {{targets: [\"http://{}\"]}}}}\nroutes:\n  - {{route: GET /x, to: u, auth: signed-in}}\n",
            provider.url(),
            upstream.addr
        )
    };
    let file = File::new(&yaml("ttl: 10m", "refresh: 5m"));
    let gateway = Process::start(&file);
    let status = |token: &str| get("/x").bearer(token).send(gateway.addr).status;
    let (token, other_type) = (pair.token(Some("at+jwt"), &json!({})), pair.token(Some("JWT"), &json!({})));
    assert_eq!((status(&token), status(&other_type)), (200, 401));
    provider.goes_down();
    let config = || gateway.admin("/config").json()["tokens"].clone();
    file.replace(&yaml("ttl: 20m", "refresh: 5m"));
    until("the new lifetime is in force", || config()["own"]["ttl"] == "1200s");
    assert_eq!(status(&token), 200, "the issuer has not changed");
    file.replace(&yaml("ttl: 20m", "refresh: 6m, typ: JWT"));
    until("the new interval is in force", || config()["other_issuers"][0]["refresh"] == "360s");
    assert_eq!((status(&token), status(&other_type)), (200, 200), "the same keys, by the new rule");
    let invented = Pair::ec("invented").token(Some("JWT"), &json!({}));
    assert_eq!(status(&invented), 401);
    // Keys from another place are others.
    file.replace(&yaml("ttl: 20m", "refresh: 6m, typ: JWT").replace("/jwks.json", "/other.json"));
    until("the other place is in force", || status(&token) == 503);
}

/// A token as an identity provider writes it: the settings of its issuer, the type in its header, its claims, and a policy
/// that it meets.
struct Provided {
    name: &'static str,
    settings: &'static str,
    typ: Option<&'static str>,
    claims: Value,
    auth: &'static str,
}

/// From the documentation of each, on 2026-11-25.
fn provided() -> Vec<Provided> {
    vec![
        Provided {
            name: "Keycloak",
            settings: "issuer: https://sso.example/realms/shop, audience: shop-api, typ: JWT",
            typ: Some("JWT"),
            claims: json!({
                "iss": "https://sso.example/realms/shop", "aud": ["shop-api", "account"], "typ": "Bearer", "azp": "spa",
                "sub": "f:1:ada", "scope": "openid email", "realm_access": {"roles": ["offline_access", "admin"]},
                "resource_access": {"shop-api": {"roles": ["orders-read"]}},
            }),
            auth: "{/realm_access/roles: admin, /resource_access/shop-api/roles: orders-read}",
        },
        Provided {
            name: "Auth0",
            settings: "issuer: \"https://shop.eu.auth0.com/\", audience: \"https://api.shop.example\", typ: JWT",
            typ: Some("JWT"),
            claims: json!({
                "iss": "https://shop.eu.auth0.com/", "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
                "aud": ["https://api.shop.example", "https://shop.eu.auth0.com/userinfo"],
                "scope": "openid orders:read", "permissions": ["orders:read", "orders:write"],
                "https://shop.example/roles": ["admin"],
            }),
            auth: "{permissions: \"orders:write\", \"https://shop.example/roles\": admin, scopes: \"orders:read\"}",
        },
        Provided {
            name: "Entra ID",
            settings: "issuer: \"https://login.microsoftonline.com/t/v2.0\", audience: 6731de76-14a6-49ae-97bc, typ: JWT",
            typ: Some("JWT"),
            claims: json!({
                "iss": "https://login.microsoftonline.com/t/v2.0", "aud": "6731de76-14a6-49ae-97bc", "oid": "o", "tid": "t",
                "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "ver": "2.0", "scp": "Orders.Read User.Read",
                "roles": ["Orders.Admin"],
            }),
            auth: "{scopes: [User.Read, Orders.Read], roles: Orders.Admin, tid: t}",
        },
        Provided {
            name: "Cognito",
            settings: "issuer: \"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x\", audience: 1example23456789, \
                       audience_claim: client_id, typ: any",
            typ: None,
            claims: json!({
                "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", "aud": null, "token_use": "access",
                "client_id": "1example23456789", "sub": "aaaaaaaa-bbbb", "username": "ada", "scope": "shop/orders.read",
                "cognito:groups": ["admins"],
            }),
            auth: "{\"cognito:groups\": admins, scopes: shop/orders.read, token_use: access}",
        },
        Provided {
            name: "Google",
            settings: "issuer: \"https://accounts.google.com\", audience: 1234987819200.apps.googleusercontent.com, typ: JWT",
            typ: Some("JWT"),
            claims: json!({
                "iss": "https://accounts.google.com", "azp": "1234987819200.apps.googleusercontent.com",
                "aud": "1234987819200.apps.googleusercontent.com", "sub": "10769150350006150715113082367",
                "hd": "shop.example", "email": "ada@shop.example", "email_verified": true,
            }),
            auth: "{hd: shop.example, email_verified: true}",
        },
        Provided {
            name: "Zitadel",
            settings: "issuer: \"https://shop.zitadel.cloud\", audience: \"229404512\", typ: JWT",
            typ: Some("JWT"),
            claims: json!({
                "iss": "https://shop.zitadel.cloud", "aud": ["229404512", "229404513"], "sub": "229404514", "client_id": "c",
                "urn:zitadel:iam:org:project:roles": {"admin": {"229404515": "shop.example"}},
            }),
            auth: "{/urn:zitadel:iam:org:project:roles/admin/229404515: shop.example}",
        },
    ]
}

#[test]
fn tokens_of_usual_identity_providers_are_understood() {
    for Provided { name, settings, typ, claims, auth } in provided() {
        let pair = Pair::rsa("k");
        let provider = Provider::of(&[&pair]);
        let upstream = Upstream::echo();
        let sections = format!(
            "tokens: {{{settings}, jwks: \"{}\"}}\nupstreams: {{u: {{targets: [\"http://{}\"]}}}}\nroutes:\n  \
             - {{route: GET /x, to: u, auth: {auth}}}\n",
            provider.url(),
            upstream.addr
        );
        let gateway = Gateway::with_tokens(&sections, &[]);
        let answer = get("/x").bearer(&pair.token(typ, &claims)).send(gateway.addr());
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        for (claim, value) in
            [("aud", json!("other")), ("client_id", json!("other")), ("iss", json!("https://evil.example"))]
        {
            // Each provider has the audience in one of the two.
            let mut other = claims.clone();
            other[claim] = value;
            let is_audience = if name == "Cognito" { claim == "client_id" } else { claim == "aud" };
            let expected = if is_audience || claim == "iss" { 401 } else { 200 };
            assert_eq!(status(&gateway, &pair.token(typ, &other)), expected, "{name}: {claim}");
        }
    }
}

/// An issuer below `/realms/shop` whose metadata are at this path, and call it by this name (`@` stands for its address).
fn discoverable(pair: &Pair, path: &'static str, name: &'static str) -> Upstream {
    let address: Arc<OnceLock<String>> = Arc::default();
    let (known, keys) = (Arc::clone(&address), Provider::document(&[pair]));
    let issuer = Upstream::start(move |received| {
        let address = known.wait();
        let body = if received.line == format!("GET {path} HTTP/1.1") {
            let metadata = json!({"issuer": name.replace('@', address), "jwks_uri": format!("{address}/keys?v=1")});
            metadata.to_string().into_bytes()
        } else if received.line == "GET /keys?v=1 HTTP/1.1" {
            keys.clone()
        } else {
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
        };
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat()
    });
    address.set(format!("http://{}", issuer.addr)).unwrap();
    issuer
}

#[test]
fn keys_are_found_by_the_metadata_of_their_issuer() {
    let pair = Pair::ec("k");
    let (oidc, oauth) =
        ("/realms/shop/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/realms/shop");
    for (path, name, expected) in [
        (oidc, "@/realms/shop", 200),
        (oauth, "@/realms/shop", 200),
        // The metadata of another issuer: its keys must not speak for this one.
        (oidc, "@/realms/other", 503),
        ("/nowhere", "@/realms/shop", 503),
    ] {
        let issuer = discoverable(&pair, path, name);
        let url = format!("http://{}/realms/shop", issuer.addr);
        let upstream = Upstream::echo();
        let gateway = gateway(&upstream, &format!("tokens: {{discovery: \"{url}\", audience: api}}\n"));
        assert_eq!(status(&gateway, &pair.token(Some("at+jwt"), &json!({"iss": url}))), expected, "{path} {name}");
        assert_eq!(status(&gateway, &pair.token(Some("at+jwt"), &json!({"iss": "https://idp.example"}))), 401);
    }
}

#[test]
fn keys_may_be_in_a_file() {
    let pair = Pair::ec("k");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, Provider::document(&[&pair])).unwrap();
    let upstream = Upstream::echo();
    let tokens = format!("tokens: {{issuer: https://idp.example, audience: api, jwks: \"{}\"}}\n", file.display());
    let gateway = gateway(&upstream, &tokens);
    let token = pair.token(Some("at+jwt"), &json!({}));
    until("the key is accepted", || status(&gateway, &token) == 200);
}
