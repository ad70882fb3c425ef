//! The `varangian` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    varangian_lab::cli::main()
}
