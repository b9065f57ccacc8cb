//! `users show`: all about one user but its password.

use chassis::config::StartError;

use super::output::Output;
use crate::control::{Access, Account};

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  users show 7
  users show ann
  users show name:007    (the user with the name 007, not the one with the id 7)")]
pub struct Args {
    /// The id of the user, its name, or `name:` and its name
    user: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, accounts: &Access) -> Result<(), StartError> {
    let account = accounts.show(&args.user).await?;
    let mut out = Output::stdout();
    if args.json {
        out.json(&account);
    } else {
        print(&account, &mut out);
    }
    out.end()
}

fn print(account: &Account, out: &mut Output) {
    let created_by = account.created_by.map(|id| format!("user {id}"));
    let locked = account.locked.as_ref();
    let time = |at: Option<chassis::timestamp::Timestamp>| at.map(|at| at.to_string());
    for (name, value) in [
        ("id", Some(account.id.to_string())),
        ("username", Some(account.username.clone())),
        ("type", Some(account.user_type.clone())),
        ("locked", locked.map(|lock| format!("{} by {}", lock.at, lock.by))),
        ("reason", locked.and_then(|lock| lock.reason.clone())),
        ("e-mail", account.email.clone()),
        ("full name", account.full_name.clone()),
        ("created", time(account.created_at)),
        ("created by", created_by),
        ("changed", time(account.updated_at)),
    ] {
        if let Some(value) = value {
            out.field(name, &value);
        }
    }
}
