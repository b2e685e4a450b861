//! Reading the files of these tests.

use crate::topology::{Loaded, Sources, load};
use std::io;
use std::path::{Path, PathBuf};

/// Schemas and secrets from the folder of a file, and a fixed environment.
pub(in crate::topology) struct Folder(pub(in crate::topology) PathBuf);

impl Sources for Folder {
    fn schema(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = std::fs::read(self.0.join(path))?;
        if bytes.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    fn secret(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        self.schema(path, limit)
    }

    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "SET" => Some("value".to_owned()),
            "THREE" => Some("3".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }
}

/// The YAML files of a folder of this repository, sorted, without those of scenarios.
pub(in crate::topology) fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter(|path| !path.to_string_lossy().ends_with(".test.yaml"))
        .collect();
    files.sort();
    files
}

/// Loads a file under its plain name.
pub(in crate::topology) fn load_file(path: &Path) -> Loaded {
    let bytes = std::fs::read(path).expect("the file can be read");
    let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
    load(&name, &bytes, &[], &Folder(path.parent().expect("a file has a folder").to_owned()))
}

/// Compares with the content of a file, or writes it when asked to.
pub(in crate::topology) fn expect(path: &Path, found: &str) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path, found).expect("the file can be written");
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, expected, "{}: UPDATE_EXPECTED=1 writes it anew", path.display());
}
