//! `gateway keys`: creates the keys that are missing, in files or in Secrets of Kubernetes, or the next signing key.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use chassis::config::{Mistakes, StartError, parse_duration};
use clap::Subcommand;
use zeroize::Zeroizing;

use super::kubernetes::{Cluster, Creation};
use crate::auth::keys::files;

/// The key of an internal key in its Secret, and the file where the Secret is mounted.
const INTERNAL_KEY_FILE: &str = "internal.key";
/// The key of a password in its Secret.
const PASSWORD_KEY: &str = "password";
/// Random bytes of a password: 144 bits, 24 characters.
const PASSWORD_BYTES: usize = 18;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create the next signing key. A running gateway publishes it at once, and signs with it after `tokens.publish_for`
    New {
        /// The key folder of the gateway
        #[arg(long, env = "GATEWAY_KEY_DIR")]
        dir: PathBuf,
    },
    /// Create the keys that are missing: the signing key, and one for each service that verifies assertions
    Init {
        /// The key folder of the gateway
        #[arg(long, env = "GATEWAY_KEY_DIR")]
        dir: PathBuf,
        /// A service and its key file, such as users=/keys/users/internal.key: creates DIR/users.key and copies it there
        #[arg(long = "share", value_name = "NAME=FILE")]
        shares: Vec<String>,
    },
    /// Create the Secrets that are missing in the Kubernetes cluster of this pod. One that exists is kept, whatever it contains
    Kubernetes(Secrets),
}

#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Wanted {
    /// A Secret with a new signing key, in signing-key.pem
    #[arg(long = "signing-key", value_name = "SECRET")]
    signing_keys: Vec<String>,
    /// A Secret with a new key for the gateway and a service to share, in internal.key
    #[arg(long = "internal-key", value_name = "SECRET")]
    internal_keys: Vec<String>,
    /// A Secret with a new password, in password
    #[arg(long = "password", value_name = "SECRET")]
    passwords: Vec<String>,
}

#[derive(clap::Args)]
pub(crate) struct Secrets {
    #[command(flatten)]
    wanted: Wanted,
    /// A label of the Secrets that are created
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// How long the API may take to create a Secret
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// Folder with the token of the service account, which must be allowed to create Secrets, and needs no other right
    #[arg(long, value_name = "DIR", default_value = "/var/run/secrets/kubernetes.io/serviceaccount")]
    service_account: PathBuf,
}

/// A Secret to create, with one key.
struct NewSecret<'a> {
    name: &'a str,
    key: &'static str,
    content: Zeroizing<String>,
}

pub(crate) fn run(command: Command) -> Result<ExitCode, StartError> {
    match command {
        Command::New { dir } => new(&dir)?,
        Command::Init { dir, shares } => init(&dir, &shares)?,
        Command::Kubernetes(secrets) => create_secrets(&secrets)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn new(dir: &Path) -> Result<(), StartError> {
    let file = files::create_next_signing_key(dir, SystemTime::now()).map_err(StartError::failed)?;
    println!("{}", file.display());
    Ok(())
}

fn init(dir: &Path, shares: &[String]) -> Result<(), StartError> {
    let shares = pairs("--share", "NAME=FILE", shares)?;
    files::create_signing_key(dir).map_err(StartError::failed)?;
    for (name, file) in shares {
        files::share_internal_key(&dir.join(format!("{name}.key")), Path::new(file)).map_err(StartError::failed)?;
    }
    println!("the keys are in {}", dir.display());
    Ok(())
}

fn create_secrets(args: &Secrets) -> Result<(), StartError> {
    let labels = pairs("--label", "NAME=VALUE", &args.labels)?;
    let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let secrets = args.wanted.generate().map_err(StartError::failed)?;
    actix_rt::System::new().block_on(async {
        let cluster = Cluster::of_pod(&args.service_account, args.timeout).map_err(StartError::failed)?;
        for NewSecret { name, key, content } in secrets {
            match cluster.create_secret(name, &labels, (key, &content)).await.map_err(StartError::failed)? {
                Creation::Created => println!("Secret {name}: created"),
                Creation::Existed => println!("Secret {name}: exists already, and is kept"),
            }
        }
        Ok(())
    })
}

impl Wanted {
    fn generate(&self) -> Result<Vec<NewSecret<'_>>, String> {
        let signing_keys = self
            .signing_keys
            .iter()
            .map(|name| Ok(NewSecret { name, key: files::SIGNING_KEY_FILE, content: files::random_signing_key()? }));
        let internal_keys = self.internal_keys.iter().map(|name| {
            let content = files::random_text::<{ files::INTERNAL_KEY_BYTES }>()?;
            Ok(NewSecret { name, key: INTERNAL_KEY_FILE, content })
        });
        let passwords = self
            .passwords
            .iter()
            .map(|name| Ok(NewSecret { name, key: PASSWORD_KEY, content: files::random_text::<PASSWORD_BYTES>()? }));
        signing_keys.chain(internal_keys).chain(passwords).collect()
    }
}

/// Splits arguments of the form `NAME=VALUE`, and reports all that are not.
fn pairs<'a>(flag: &str, form: &str, arguments: &'a [String]) -> Result<Vec<(&'a str, &'a str)>, StartError> {
    let mut mistakes = Mistakes::default();
    let parsed: Vec<Option<(&str, &str)>> = arguments
        .iter()
        .map(|each| mistakes.take(flag, each.split_once('=').ok_or(format!("`{each}` is not {form}"))))
        .collect();
    mistakes.finish(parsed.into_iter().collect())
}
