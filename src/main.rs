//! The binary: everything is in the library.

use std::process::ExitCode;

/// The engine allocates small values from several threads at once, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    skald::cli::main()
}
