//! Arguments that several commands have.

use std::path::PathBuf;

/// The configuration of a command that has other arguments too.
#[derive(clap::Args)]
pub(crate) struct ConfigFile {
    /// The YAML file
    #[arg(long, env = "GATEWAY_CONFIG", default_value = "gateway/gateway.yaml")]
    pub(crate) config: PathBuf,
}
