//! `users repair`: says what is lost, and only then changes files.

use chassis::config::{StartError, counted};

use super::output::{Output, visible};
use crate::{control::AccountSettings, store};

#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Without --yes it only lists what would be lost. Exits with 0 if nothing is damaged, or if it is repaired, \
                  and otherwise with 1."
)]
pub struct Args {
    /// Repair the files. The damaged ones are kept in a folder of their own
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: &Args, settings: &AccountSettings) -> Result<(), StartError> {
    settings.check_folder()?;
    let repair = store::Repair::prepare(&settings.data_dir)?;
    let (mut out, users) = (Output::stdout(), counted(repair.users(), "user"));
    if repair.losses().is_empty() {
        out.line(&format!("ok: {users}, nothing is damaged"));
        return out.end();
    }
    repair.losses().iter().for_each(|loss| out.line(&visible(loss)));
    out.line(&format!("{users} can be kept"));
    if !repair.has_admin() {
        out.line("none of them is an admin, so that nobody could manage users");
    }
    if !args.yes {
        out.end()?;
        return Err(StartError::failed(
            "nothing was changed. Restore a backup if there is one; if not, run it again with --yes to keep what is left",
        ));
    }
    let aside = repair.apply()?;
    out.line(&format!("repaired; the damaged files are in {}", aside.display()));
    out.end()
}
