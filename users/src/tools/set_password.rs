//! `users set-password`.

use chassis::config::StartError;

use super::{
    output::{Output, visible},
    password::PasswordArgs,
};
use crate::control::{Access, Password};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  users set-password ann
  users set-password 7 --password-stdin <password.txt")]
pub struct Args {
    /// The id of the user, its name, or `name:` and its name
    user: String,
    #[command(flatten)]
    pub(super) password: PasswordArgs,
}

pub(super) async fn run(args: &Args, password: Password, accounts: &Access) -> Result<(), StartError> {
    let account = accounts.set_password(&args.user, password).await?;
    let mut out = Output::stdout();
    out.line(&format!("user {} ({}) has a new password", account.id, visible(&account.username)));
    out.end()
}
