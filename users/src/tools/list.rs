//! `users list`: a page at a time, so that it needs no more memory for a million users than for ten.

use chassis::{config::StartError, identity::UserId, page::LIMIT_MAX};

use super::output::{Output, Table};
use crate::control::{Access, Account, ListRequest};

const COLUMNS: [&str; 7] = ["ID", "TYPE", "STATE", "CREATED", "USERNAME", "E-MAIL", "FULL NAME"];

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  users list --type admin
  users list --query example.com --json | jq -r .email
  users list --after 5000 --limit 100")]
pub struct Args {
    /// Only users whose username, e-mail address or full name has this text in it, in any case
    #[arg(long, short, value_name = "TEXT")]
    query: Option<String>,
    /// Only users of this type: admin or default
    #[arg(long = "type", value_name = "TYPE")]
    user_type: Option<String>,
    /// Only users who are locked
    #[arg(long)]
    locked: bool,
    /// Only users whose ids follow this one
    #[arg(long, value_name = "ID")]
    after: Option<UserId>,
    /// Maximum number of users [default: all]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Print a JSON object for each user, one on each line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, accounts: &Access) -> Result<(), StartError> {
    let (mut out, mut table) = (Output::stdout(), Table::new(COLUMNS));
    let (mut after, mut rest) = (args.after, args.limit.unwrap_or(usize::MAX));
    while rest > 0 && !out.is_closed() {
        let limit = rest.min(LIMIT_MAX);
        let (query, user_type) = (args.query.clone(), args.user_type.clone());
        let page = accounts.list(ListRequest { query, user_type, only_locked: args.locked, after, limit }).await?;
        if args.json {
            page.iter().for_each(|account| out.json(account));
        } else {
            table.print(page.iter().map(cells).collect(), &mut out);
        }
        rest -= page.len();
        after = page.last().map(|account| account.id);
        if page.len() < limit {
            break;
        }
    }
    out.end()
}

fn cells(account: &Account) -> [String; COLUMNS.len()] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        account.id.to_string(),
        account.user_type.clone(),
        account.locked.as_ref().map(|_| "locked".to_owned()).unwrap_or_default(),
        account.created_at.map(|at| at.to_string()).unwrap_or_default(),
        account.username.clone(),
        text(&account.email),
        text(&account.full_name),
    ]
}
