//! `users check`: reads the files as they are.

use chassis::config::{StartError, counted};
use serde_json::json;

use super::output::Output;
use crate::{control::AccountSettings, store};

#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exits with 0 if the next start can use the files, and with 1 if anything is wrong; then it lists all of it."
)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, settings: &AccountSettings) -> Result<(), StartError> {
    settings.check_folder()?;
    let store::Summary { users, next_id, logged_changes, cut_bytes } = store::check(&settings.data_dir)?;
    let mut out = Output::stdout();
    if args.json {
        out.json(
            &json!({"users": users, "next_id": next_id, "logged_changes": logged_changes, "cut_bytes": cut_bytes}),
        );
        return out.end();
    }
    let logged = counted(logged_changes, "change");
    out.line(&format!("ok: {}, {logged} in the log, the next id is {next_id}", counted(users, "user")));
    if cut_bytes > 0 {
        out.line(&format!(
            "the last {} of the log are a write that was cut short and never acknowledged; the next start removes it",
            counted(cut_bytes, "byte")
        ));
    }
    out.end()
}
