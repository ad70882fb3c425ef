//! The `varangian` command.

fn main() {}
