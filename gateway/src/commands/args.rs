//! Arguments that several commands have.
//!
//! `--config FILE` is accepted before and after the name of a command: it is a global argument in [`crate::settings::Args`],
//! and clap passes it on to the [`ConfigFile`] of the command.

use std::path::{Path, PathBuf};

use chassis::config::{StartError, environment};

const CONFIG_VARIABLE: &str = "GATEWAY_CONFIG";
const CONFIG_DEFAULT: &str = "gateway/gateway.yaml";

/// The configuration of a command that has other positional arguments.
#[derive(clap::Args)]
pub(crate) struct ConfigFile {
    /// The YAML file
    #[arg(long, env = CONFIG_VARIABLE, default_value = CONFIG_DEFAULT)]
    pub(crate) config: PathBuf,
}

/// The configuration of a command that has no other positional argument.
#[derive(clap::Args)]
pub(crate) struct PositionalConfigFile {
    /// The YAML file; the same as --config FILE
    file: Option<PathBuf>,
    #[command(flatten)]
    flag: ConfigFile,
}

impl PositionalConfigFile {
    /// The file to use.
    ///
    /// # Errors
    /// Two files are named.
    pub(crate) fn path(&self) -> Result<&Path, StartError> {
        one_file(self.file.as_deref(), &self.flag.config)
    }
}

/// The file that was given by position, or else the one of `--config`, its variable or its default.
///
/// # Errors
/// The command line names two files. Both are wanted by somebody, so that neither is ignored.
pub(crate) fn one_file<'a>(file: Option<&'a Path>, flag: &'a Path) -> Result<&'a Path, StartError> {
    let Some(file) = file else { return Ok(flag) };
    let is_flag = flag != Path::new(CONFIG_DEFAULT)
        && environment(CONFIG_VARIABLE).is_none_or(|variable| flag != Path::new(&variable));
    if is_flag && flag != file {
        let message = format!("both {} and --config {} are given; keep one of them", file.display(), flag.display());
        return Err(StartError::Config(vec![message]));
    }
    Ok(file)
}
