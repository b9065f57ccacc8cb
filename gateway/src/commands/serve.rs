//! `gateway serve`: serves until the operating system says stop.

use std::process::ExitCode;

use chassis::{
    config::{StartError, environment},
    logging,
};

use crate::{Args, Server, Settings, reload::source::Source};

pub(crate) fn run(args: &Args) -> Result<ExitCode, StartError> {
    let settings = Settings::from_args(args)?;
    logging::init(settings.log_format);
    let source = Source::new(args.config.clone(), environment);
    let (read, config) = source.load();
    let config = config?;
    actix_rt::System::new().block_on(async move {
        let shutdown = chassis::server::shutdown_signal();
        let server = Server::inherit_or_bind(config, settings)?.watching(source, read);
        log::info!(listen = server.addr()?.to_string(), admin = server.admin_addr()?.to_string(); "gateway ready");
        server.run_until(shutdown).await
    })?;
    Ok(ExitCode::SUCCESS)
}
