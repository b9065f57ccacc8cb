//! A gateway on port 0 with any YAML, and upstreams that record what they get and answer what a test says.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use chassis::testing::{Answer, Running, post};
use gateway::{Server, Settings, config::Config};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What an upstream got.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    /// The values of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// An upstream that answers with the bytes that `script` gives for a request.
pub(crate) struct Upstream {
    pub addr: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Upstream {
    /// Starts an upstream; an answer of no bytes closes the connection.
    pub(crate) fn start(script: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (Arc::clone(&received), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                thread::spawn(move || serve(stream, &log, &*script));
            }
        });
        Self { addr, received }
    }

    /// An upstream that answers 200 with `{"path": …}`.
    pub(crate) fn echo() -> Self {
        Self::start(|received| {
            let body = json!({"line": received.line}).to_string();
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .into_bytes()
        })
    }

    /// An upstream that answers always the same.
    pub(crate) fn answering(answer: &'static str) -> Self {
        Self::start(move |_| answer.as_bytes().to_vec())
    }

    /// What it got so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The only request that it got.
    pub(crate) fn only(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received.remove(0)
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Received>>, script: &dyn Fn(&Received) -> Vec<u8>) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(received) = read(&mut reader) {
        let answer = script(&received);
        log.lock().unwrap().push(received);
        if answer.is_empty() || stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// Reads one request.
pub(crate) fn read(reader: &mut BufReader<TcpStream>) -> Option<Received> {
    let line = read_line(reader)?;
    let mut headers = Vec::new();
    loop {
        let field = read_line(reader)?;
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(':').unwrap();
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let find = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let body = match (find("content-length"), find("transfer-encoding")) {
        (Some(length), _) => {
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).ok()?;
            body
        }
        (None, Some(_)) => read_chunks(reader)?,
        (None, None) => Vec::new(),
    };
    Some(Received { line, headers, body })
}

fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    match reader.read_line(&mut line) {
        Ok(read) if read > 0 => Some(line.trim_end().to_owned()),
        Ok(_) | Err(_) => None,
    }
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&read_line(reader)?, 16).unwrap();
        let mut chunk = vec![0; size];
        reader.read_exact(&mut chunk).ok()?;
        read_line(reader)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk);
    }
}

/// A running gateway.
pub(crate) struct Gateway {
    running: Running,
    pub admin: SocketAddr,
}

impl Gateway {
    /// Starts a gateway with these sections after the usual head; `{name}` variables come from `environment`.
    pub(crate) fn start(sections: &str, environment: &[(&str, String)]) -> Self {
        let sections = format!(
            "identity: {{headers: {{request-user-id: sub, request-user-type: user_type}}}}\n\
             tokens: {{issuer: test, audience: api, ttl: 60s}}\n{sections}"
        );
        let secret = ("GATEWAY_JWT_SECRET", SECRET.to_owned());
        Self::with_tokens(&sections, &[environment, &[secret]].concat())
    }

    /// Starts a gateway whose sections say themselves whose tokens are believed.
    pub(crate) fn with_tokens(sections: &str, environment: &[(&str, String)]) -> Self {
        let yaml = format!("version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{sections}");
        let environment: HashMap<String, String> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self::of(Config::load(&yaml, &|name| environment.get(name).cloned()).unwrap_or_else(|e| panic!("{e:#?}")))
    }

    /// Starts a gateway that is configured already.
    pub(crate) fn of(config: Config) -> Self {
        let (admin_sender, admin_receiver) = mpsc::channel();
        let running = Running::start(move |addr, stopped| {
            Box::pin(async move {
                let server =
                    Server::bind(config, Settings { workers: 1, drain_delay: Duration::ZERO, log_format: None })?;
                admin_sender.send(server.admin_addr()?).unwrap();
                addr.send(server.addr()?).unwrap();
                server.run_until(async { drop(stopped.await) }).await
            })
        });
        let running = running.unwrap_or_else(|error| panic!("{error}"));
        Self { running, admin: admin_receiver.recv().unwrap() }
    }

    /// A gateway before one upstream, with these routes.
    pub(crate) fn before(upstream: &Upstream, routes: &str) -> Self {
        Self::start(
            &format!("upstreams: {{u: {{targets: [\"${{U}}\"]}}}}\nroutes:\n{routes}"),
            &[("U", format!("http://{}", upstream.addr))],
        )
    }

    /// Where clients reach it.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr()
    }
}

/// An upstream that answers every login with this user, and a gateway that makes a token of it.
pub(crate) fn token(sub: i64, user_type: &str) -> String {
    let user = json!({"id": sub, "user_type": user_type}).to_string();
    let upstream = Upstream::start(move |_| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{user}", user.len()).into_bytes()
    });
    let gateway = Gateway::before(&upstream, "  - {route: POST /login, to: u, auth: public, then: issue-token}\n");
    token_of(&post("/login", &json!({})).send(gateway.addr()))
}

/// The token in the answer to a login.
pub(crate) fn token_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{}", answer.text());
    let body: Value = answer.json();
    body["access_token"].as_str().unwrap().to_owned()
}

/// A token signed with [`SECRET`], with these claims in the place of good ones.
pub(crate) fn own_token(claims: &Value) -> String {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk};
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let jwk = jwk::Jwk::from_encoding_key(&key, Algorithm::HS256).unwrap();
    let kid = jwk.thumbprint(jwk::ThumbprintHash::SHA256).unwrap();
    let header = Header { typ: Some("at+jwt".to_owned()), kid: Some(kid), ..Header::new(Algorithm::HS256) };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut all = json!({"iss": "test", "aud": "api", "sub": "7", "exp": now + 600});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    jsonwebtoken::encode(&header, &all, &key).unwrap()
}
