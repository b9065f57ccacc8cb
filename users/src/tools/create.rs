//! `users create`.

use chassis::config::StartError;

use super::{output::Output, password::PasswordArgs};
use crate::control::{Access, CreateRequest};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  users create ann --email ann@example.com
  users create root --type admin --password-stdin --json <password.txt | jq .id")]
pub struct Args {
    /// The name to sign in with
    username: String,
    #[arg(long)]
    email: Option<String>,
    #[arg(long, value_name = "NAME")]
    full_name: Option<String>,
    /// admin or default
    #[arg(long = "type", value_name = "TYPE", default_value = "default")]
    user_type: String,
    #[command(flatten)]
    password: PasswordArgs,
    /// Print the new user as a JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What is to be created. Asks for the password.
    pub(super) fn read(&self) -> Result<CreateRequest, StartError> {
        Ok(CreateRequest {
            username: self.username.clone(),
            email: self.email.clone(),
            full_name: self.full_name.clone(),
            user_type: self.user_type.clone(),
            password: self.password.read()?,
        })
    }
}

pub(super) async fn run(args: &Args, create: CreateRequest, accounts: &Access) -> Result<(), StartError> {
    let account = accounts.create(create).await?;
    let mut out = Output::stdout();
    if args.json {
        out.json(&account);
    } else {
        out.line(&format!("user {} was created", account.id));
    }
    out.end()
}
