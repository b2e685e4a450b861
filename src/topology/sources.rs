//! Where files and variables come from: handed in, so that this room stays free of I/O.

use crate::codec::Document;
use std::io;

/// Largest schema file.
pub const SCHEMA_BYTES_MAX: usize = 1 << 20;
/// Largest file of one secret.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// What a topology file refers to.
pub trait Sources: Sync {
    /// The bytes of a schema file, named relative to the topology file. At most `limit` bytes; a larger one is an error.
    fn schema(&self, path: &str, limit: usize) -> io::Result<Vec<u8>>;

    /// The bytes of a file named by `${file:…}`. At most `limit` bytes; a larger one is an error.
    fn secret(&self, path: &str, limit: usize) -> io::Result<Vec<u8>>;

    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;

    /// A version of a subject of the schema registry, or its latest. `Ok(None)`: no registry was named, so that nothing is known
    /// of it; `Err`: why it is not to be had.
    fn registered(&self, _subject: &str, _version: Option<u32>) -> Result<Option<Document>, String> {
        Ok(None)
    }
}

/// Neither files nor variables.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSources;

impl Sources for NoSources {
    fn schema(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn secret(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}
