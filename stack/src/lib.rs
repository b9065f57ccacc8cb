//! Gateway, users and orders in one process, on loopback, with demo users: what `cargo run` starts, and the fixture of
//! the end-to-end tests. The services communicate as they do in containers: over sockets, with signed assertions.

pub mod load;

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use chassis::config::{Lookup, Secret, StartError};
use clap::Parser;
use gateway::keys;
use tokio::sync::oneshot;

const DATA_DIR_DEFAULT: &str = "./data";

/// The command line and the environment as typed. The variables of the three services apply too.
#[derive(Clone, Debug, Parser)]
#[command(name = "stack", version, about = "Gateway, users and orders in one process, with demo users.")]
pub struct Args {
    /// The folder for all data [default: ./data]
    #[arg(long, env = "DATA_DIR")]
    pub data_dir: Option<String>,
}

/// The three services, bound to their ports.
pub struct Stack {
    gateway: gateway::Server,
    users: users::Server,
    orders: orders::Server,
}

impl Stack {
    /// Creates missing keys and binds all three services. `lookup` reads the environment.
    ///
    /// # Errors
    /// Says what cannot be used: a setting, a port, a file.
    pub fn bind(args: &Args, lookup: Lookup<'_>) -> Result<Self, StartError> {
        let data = args.data_dir.as_deref().filter(|text| !text.is_empty()).unwrap_or(DATA_DIR_DEFAULT);
        let data = Path::new(data);
        let keys = Keys::create(&data.join("keys"))?;
        let users = users::Server::bind(users_settings(data, &keys, lookup)?)?;
        let orders = orders::Server::bind(orders_settings(data, &keys, lookup)?)?;
        let gateway = bind_gateway(&keys, users.addr(), orders.addr(), lookup)?;
        Ok(Self { gateway, users, orders })
    }

    /// The address of the gateway, for clients.
    ///
    /// # Errors
    /// Fails only if the socket is closed.
    pub fn addr(&self) -> Result<SocketAddr, StartError> {
        self.gateway.addr()
    }

    /// The addresses of users and orders, for tests that call them directly.
    pub const fn internal_addrs(&self) -> (SocketAddr, SocketAddr) {
        (self.users.addr(), self.orders.addr())
    }

    /// Serves until `shutdown` resolves; then the gateway drains first, so that its requests still reach the services. If
    /// one of the three ends by itself, the others end too.
    ///
    /// # Errors
    /// The error of the first that failed.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + 'static) -> Result<(), StartError> {
        let (stop_users, users_stopped) = oneshot::channel::<()>();
        let (stop_orders, orders_stopped) = oneshot::channel::<()>();
        let users = actix_rt::spawn(self.users.run_until(async { drop(users_stopped.await) }));
        let orders = actix_rt::spawn(self.orders.run_until(async { drop(orders_stopped.await) }));
        let (ended, service_ended) = oneshot::channel::<()>();
        let services = actix_rt::spawn(async move {
            let (users, orders) = join_services(users, orders, ended).await;
            users.and(orders)
        });
        let gateway = self
            .gateway
            .run_until(async {
                tokio::select! {
                    () = shutdown => {}
                    _ = service_ended => log::error!("a service has ended, so that the others end too"),
                }
            })
            .await;
        // A service that has ended already has dropped the receiver.
        let _ = stop_users.send(());
        let _ = stop_orders.send(());
        let services = services.await.map_err(StartError::failed)?;
        gateway.and(services)
    }
}

type ServiceTask = actix_rt::task::JoinHandle<Result<(), StartError>>;

/// Waits for both services, and notifies `ended` when the first of them ends: before the shutdown, that is a failure.
async fn join_services(
    mut users: ServiceTask,
    mut orders: ServiceTask,
    ended: oneshot::Sender<()>,
) -> (Result<(), StartError>, Result<(), StartError>) {
    let outcome =
        |joined: Result<Result<(), StartError>, tokio::task::JoinError>| joined.map_err(StartError::failed)?;
    tokio::select! {
        result = &mut users => {
            let _ = ended.send(());
            (outcome(result), outcome(orders.await))
        }
        result = &mut orders => {
            let _ = ended.send(());
            (outcome(users.await), outcome(result))
        }
    }
}

/// The keys shared by the gateway and each service, and the folder with the signing key.
struct Keys {
    dir: PathBuf,
    users: Secret,
    orders: Secret,
}

impl Keys {
    fn create(dir: &Path) -> Result<Self, StartError> {
        let key = |name: &str| {
            let file = dir.join(name);
            keys::create_internal_key(&file).and_then(|()| Secret::from_file(&file)).map_err(StartError::failed)
        };
        Ok(Self { dir: dir.to_owned(), users: key("users.key")?, orders: key("orders.key")? })
    }
}

fn users_settings(data: &Path, keys: &Keys, lookup: Lookup<'_>) -> Result<users::Settings, StartError> {
    let args = users::Args {
        data_dir: Some(data.join("users").display().to_string()),
        demo: Some("true".to_owned()),
        ..users::Args::parse_from(["users"])
    };
    users::Settings::from_args(&args, &with_default_key("USERS_INTERNAL_KEY", &keys.users, lookup))
}

fn orders_settings(data: &Path, keys: &Keys, lookup: Lookup<'_>) -> Result<orders::Settings, StartError> {
    let mut args = orders::Args::parse_from(["orders"]);
    if args.database_url.as_deref().is_none_or(str::is_empty) {
        let file = data.join("orders").join("orders.db");
        args.database_url = Some(format!("sqlite://{}", file.display()));
    }
    orders::Settings::from_args(&args, &with_default_key("ORDERS_INTERNAL_KEY", &keys.orders, lookup))
}

/// The environment, with `key` as the default of the variable `name`.
fn with_default_key<'a>(
    name: &'static str,
    key: &'a Secret,
    lookup: Lookup<'a>,
) -> impl Fn(&str) -> Option<String> + 'a {
    move |wanted| {
        let given = [name, "INTERNAL_KEY"]
            .iter()
            .any(|name| lookup(name).is_some() || lookup(&format!("{name}_FILE")).is_some());
        if wanted == name && !given { Some(key.expose().to_owned()) } else { lookup(wanted) }
    }
}

fn bind_gateway(
    keys: &Keys,
    users: SocketAddr,
    orders: SocketAddr,
    lookup: Lookup<'_>,
) -> Result<gateway::Server, StartError> {
    let has_secret = lookup("GATEWAY_JWT_SECRET").is_some() || lookup("GATEWAY_JWT_SECRET_FILE").is_some();
    let with_users = with_default_key("USERS_INTERNAL_KEY", &keys.users, lookup);
    let with_orders = with_default_key("ORDERS_INTERNAL_KEY", &keys.orders, &with_users);
    let environment = |name: &str| match name {
        "USERS_SERVICE_URL" => Some(format!("http://{users}")),
        "ORDERS_SERVICE_URL" => Some(format!("http://{orders}")),
        "GATEWAY_KEY_DIR" => lookup(name).or_else(|| (!has_secret).then(|| keys.dir.display().to_string())),
        _ => with_orders(name),
    };
    let settings = gateway::Settings::from_args(&GatewayArgs::parse_from(["gateway"]).args)?;
    let config = match lookup("GATEWAY_CONFIG") {
        Some(file) => gateway::Gateway::builder().load(Path::new(&file), &environment)?,
        None => gateway::Gateway::builder().load_text("gateway/gateway.yaml", gateway::STACK_YAML, &environment)?,
    };
    gateway::Server::bind(config, settings)
}

/// Reads those settings of the gateway from the environment that are not in the YAML.
#[derive(Parser)]
struct GatewayArgs {
    #[command(flatten)]
    args: gateway::Args,
}
