//! `gateway serve`: serves until it receives a signal to stop.

use std::process::ExitCode;

use chassis::{
    config::{StartError, environment},
    logging,
};

use crate::{
    reload::source::Source,
    server::Server,
    settings::{Args, Settings},
};

pub(crate) fn run(args: &Args) -> Result<ExitCode, StartError> {
    let settings = Settings::from_args(args)?;
    logging::init(settings.log_format);
    let source = Source::new(args.config.clone(), environment);
    let (fingerprint, config) = source.load();
    let config = config?;
    actix_rt::System::new().block_on(async move {
        let shutdown = chassis::server::shutdown_signal();
        let server = Server::inherit_or_bind(config, settings)?.watching(source, fingerprint);
        server.run_until(shutdown).await
    })?;
    Ok(ExitCode::SUCCESS)
}
