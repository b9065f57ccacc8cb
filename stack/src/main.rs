//! The `stack` program: starts the three services, prints their addresses and a command to try, and serves until the
//! operating system says stop.

use std::{net::SocketAddr, process::ExitCode};

use chassis::{
    config::{self, Mistakes, StartError, environment},
    logging, server,
};
use stack::{Args, Stack};

fn main() -> ExitCode {
    let args: Args = match config::parse_args(std::env::args_os()) {
        Ok(args) => args,
        Err(code) => return code,
    };
    config::exit("stack", run(&args))
}

fn run(args: &Args) -> Result<(), StartError> {
    let mut mistakes = Mistakes::default();
    let format = environment("LOG_FORMAT").map(|text| mistakes.parse("LOG_FORMAT", &text));
    logging::init(mistakes.finish(format.map_or(Some(None), |parsed| parsed.map(Some)))?);
    actix_rt::System::new().block_on(async {
        let shutdown = server::shutdown_signal();
        let stack = Stack::bind(args, &environment)?;
        let (users, orders) = stack.internal_addrs();
        println!("{}", banner(stack.addr()?, users, orders));
        stack.run_until(shutdown).await
    })
}

fn banner(gateway: SocketAddr, users: SocketAddr, orders: SocketAddr) -> String {
    format!(
        "
  Gateway  http://{gateway}        API documentation to try: http://{gateway}/docs
  users    http://{users}        orders http://{orders}        (they accept requests from the gateway only)

  WARNING: demo accounts are installed: admin/a (admin), demo/b, test/test. Never use them in production.

  Try:     curl -s http://{gateway}/api/login -H 'Content-Type: application/json' -d '{{\"username\":\"admin\",\"password\":\"a\"}}'
"
    )
}
