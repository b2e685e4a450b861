//! What fjall says, by what the caller does next.

use super::super::Error;
use fjall::LsmError;
use std::io::ErrorKind;
use std::path::Path;

/// The database accepts no more writes: a write failed before. It must be opened anew.
pub(super) fn is_poisoned(error: &fjall::Error) -> bool {
    matches!(error, fjall::Error::Poisoned)
}

/// Sorts an error of the database at `path`, met on behalf of `store`.
pub(super) fn sort(error: fjall::Error, store: &str, path: &Path) -> Error {
    let damaged = |reason: String| Error::Damaged { store: store.into(), reason };
    match error {
        fjall::Error::Locked => Error::Locked { path: path.into() },
        fjall::Error::Io(source) | fjall::Error::Storage(LsmError::Io(source)) => match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Error::Full { store: store.into() },
            // A file that ends too early, is not there or holds what was never written: the files are no whole any more.
            ErrorKind::NotFound | ErrorKind::UnexpectedEof | ErrorKind::InvalidData => damaged(source.to_string()),
            _ => Error::Io { path: path.into(), source },
        },
        // Checksums, formats, missing tables: every other error is about what the files hold.
        fjall::Error::Storage(error) => damaged(format!("{error:?}")),
        error => damaged(format!("{error:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn errors_are_sorted_by_what_the_caller_does_next() {
        let class = |error| match sort(error, "orders.0", Path::new("/state")) {
            Error::Damaged { .. } => "damaged",
            Error::Full { .. } => "full",
            Error::Locked { .. } => "locked",
            Error::Io { .. } => "io",
            other => panic!("{other}"),
        };
        let io = |kind: ErrorKind| fjall::Error::Io(io::Error::from(kind));
        let storage = |kind: ErrorKind| fjall::Error::Storage(LsmError::Io(io::Error::from(kind)));
        for (error, expected) in [
            (io(ErrorKind::StorageFull), "full"),
            (storage(ErrorKind::StorageFull), "full"),
            (storage(ErrorKind::QuotaExceeded), "full"),
            (fjall::Error::Io(io::Error::from_raw_os_error(28)), "full"),
            (io(ErrorKind::PermissionDenied), "io"),
            (io(ErrorKind::NotFound), "damaged"),
            (storage(ErrorKind::UnexpectedEof), "damaged"),
            (fjall::Error::Storage(LsmError::Unrecoverable), "damaged"),
            (fjall::Error::Storage(LsmError::InvalidHeader("block")), "damaged"),
            (fjall::Error::Unrecoverable, "damaged"),
            (fjall::Error::Poisoned, "damaged"),
            (fjall::Error::InvalidVersion(None), "damaged"),
            (fjall::Error::Locked, "locked"),
        ] {
            assert_eq!(class(error), expected);
        }
    }
}
