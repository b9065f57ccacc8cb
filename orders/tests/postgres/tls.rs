//! TLS to the server, and passwords.

use std::{fs, net::TcpListener, process::Command};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::{
    fixture::{ANN, Folder},
    place::new_database,
    process::{command, refused},
    server::{Server, run},
};

/// A server that takes connections over TCP with TLS and a password only.
struct Guarded {
    server: Server,
    port: u16,
    database: String,
    folder: Folder,
}

impl Guarded {
    fn start() -> Self {
        // Free a moment ago. Nobody else takes ports of the same range here but by chance.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = Folder::new();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate().unwrap()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "another authority");
        let other = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        fs::write(folder.path().join("other.pem"), other.pem()).unwrap();

        let server = Server::start(&["listen_addresses=127.0.0.1", &format!("port={port}")]);
        let at = |name: &str| server.folder().join(name);
        fs::write(at("server.crt"), certificate.pem()).unwrap();
        fs::write(at("server.key"), key.serialize_pem()).unwrap();
        fs::write(at("pg_hba.conf"), "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n").unwrap();
        run(Command::new("chown").arg("--reference").arg(at("PG_VERSION")).arg(at("server.crt")).arg(at("server.key")));
        run(Command::new("chmod").arg("600").arg(at("server.key")));
        server.run_sql("postgres", "ALTER ROLE orders PASSWORD 'hunter2'");
        server.run_sql("postgres", "ALTER SYSTEM SET ssl = on");
        server.run_sql("postgres", "SELECT pg_reload_conf()");
        let database = new_database(&server);
        Self { server, port, database, folder }
    }

    fn command(&self, host: &str, parameters: &str, password: &str) -> Command {
        let url = format!("postgres://orders@{host}:{}/{}{parameters}", self.port, self.database);
        let mut command = command(&self.folder);
        command.env("ORDERS_DATABASE_URL", url).env("ORDERS_DATABASE_PASSWORD", password);
        command
    }

    fn roots(&self, name: &str) -> String {
        format!("?sslmode=verify-full&sslrootcert={}", self.folder.path().join(name).display())
    }
}

#[test]
fn the_certificate_of_the_server_is_verified_and_the_password_is_used() {
    let guarded = Guarded::start();
    let trusted = guarded.roots("ca.pem");
    let program = chassis::testing::Process::serve(&mut guarded.command("localhost", &trusted, "hunter2"));
    ANN.orders(program.addr(), "a book");
    let encrypted =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'orders'";
    assert_eq!(guarded.server.run_sql("postgres", encrypted), "t");
    program.terminate();

    for (host, parameters, password, expected) in [
        ("localhost", guarded.roots("other.pem"), "hunter2", "invalid peer certificate: UnknownIssuer"),
        ("127.0.0.1", trusted.clone(), "hunter2", "invalid peer certificate: certificate not valid for name"),
        ("localhost", trusted, "hunter3", "password authentication failed"),
        ("localhost", guarded.roots("missing.pem"), "hunter2", "missing.pem: No such file"),
        ("localhost", "?sslmode=disable".to_owned(), "hunter2", "no pg_hba.conf entry"),
    ] {
        let (code, log) = refused(&mut guarded.command(host, &parameters, password));
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(expected) && !log.contains("hunter"), "expected {expected}: {log}");
    }
}
