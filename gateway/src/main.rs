//! The `gateway` program: hands over to the command that the command line names.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::commands::main()
}
