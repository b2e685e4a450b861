//! The files of a folder, for topologies that refer to others.

use skald::topology::Sources;
use std::io;
use std::path::PathBuf;

/// Schemas are files of this folder; there are no secrets and no variables.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Sources for Folder {
    fn schema(&self, path: &str, _: usize) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(path))
    }

    fn secret(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}
