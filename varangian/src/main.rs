//! The `varangian` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    varangian_cli::main()
}
