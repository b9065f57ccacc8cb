//! `users lock` and `users unlock`.

use std::env;

use chassis::config::StartError;

use super::output::{Output, visible};
use crate::control::{Access, Account};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  users lock ann
  users lock 7 --reason \"lost laptop, ticket 1234\"")]
pub struct LockArgs {
    /// The id of the user, its name, or `name:` and its name
    user: String,
    /// What `users show` says about it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
pub struct UnlockArgs {
    /// The id of the user, its name, or `name:` and its name
    user: String,
}

pub(super) async fn lock(args: &LockArgs, accounts: &Access) -> Result<(), StartError> {
    let account = accounts.lock(&args.user, who(), args.reason.clone()).await?;
    print(&account, "is locked")
}

pub(super) async fn unlock(args: &UnlockArgs, accounts: &Access) -> Result<(), StartError> {
    let account = accounts.unlock(&args.user).await?;
    print(&account, "may sign in")
}

fn print(account: &Account, what: &str) -> Result<(), StartError> {
    let mut out = Output::stdout();
    out.line(&format!("user {} ({}) {what}", account.id, visible(&account.username)));
    out.end()
}

/// Who runs the command, as far as the operating system says; in a container only a number.
fn who() -> String {
    let named =
        ["SUDO_USER", "USER"].iter().find_map(|name| env::var(name).ok().filter(|user| !user.trim().is_empty()));
    named.unwrap_or_else(|| format!("uid {}", rustix::process::geteuid().as_raw()))
}
