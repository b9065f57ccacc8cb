//! `gateway token`: signs a token for development, with an existing key.

use std::{process::ExitCode, time::SystemTime};

use chassis::config::{StartError, environment};

use super::{args::PositionalConfigFile, claims};
use crate::{auth::token_issuers::TokenIssuers, config};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    file: PositionalConfigFile,
    /// The claims of the caller, such as user_type=admin,sub=1
    #[arg(long = "as", value_name = "CLAIMS")]
    claims: String,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, StartError> {
    let claims = claims::parse(&args.claims).map_err(|message| StartError::Config(vec![format!("--as: {message}")]))?;
    let config = config::load(args.file.path()?, &environment)?;
    let tokens = config.tokens.ok_or_else(|| {
        StartError::Config(vec![
            "the configuration has no `tokens` section, so that there is nothing to sign with".to_owned(),
        ])
    })?;
    let now = SystemTime::now();
    let issuers = TokenIssuers::load_existing(&tokens, now).map_err(StartError::failed)?;
    let (token, ttl) = issuers.issue_with_claims(claims, now).map_err(StartError::failed)?;
    eprintln!("gateway: WARNING: this token is for development; it authenticates anybody who has it, for {ttl:?}");
    println!("{token}");
    Ok(ExitCode::SUCCESS)
}
