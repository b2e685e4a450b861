//! The state directory: whose it is, where stores lie in it, and the worker's id.
//!
//! ```text
//! <state>/lock          held while the process runs: two processes on one directory would write over each other
//! <state>/worker        the worker's id, drawn once; it makes static membership and transactional ids stable
//! <state>/<topology>/   one database per topology
//! ```
//!
//! The directory is the user's alone (0700), for it holds what the topics hold. Network file systems are refused where the
//! system tells: their locks are not to be relied on.

use super::store::check_name;
use super::{Error, Result};
use crate::clock::Clock;
use crate::record::Text;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Longest worker id, in bytes.
const WORKER_MAX: usize = 64;

/// A state directory that this process holds until the value is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Locked; the operating system releases it with the process, however that ends.
    lock: File,
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing alone leaves it locked as long as a process that is just being started has a copy of the file. Without an
        // effect where it fails: then the lock goes with this process.
        let _ = self.lock.unlock();
    }
}

impl Directory {
    /// Takes the directory, made if it is missing. [`Error::Locked`] when another process has it.
    pub fn open(path: &Path) -> Result<Self> {
        make_private(path).map_err(|source| io_error(path, source))?;
        refuse_network(path)?;
        let lock = private_file().truncate(false).open(path.join("lock")).map_err(|source| io_error(path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.into(), lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.into() }),
            Err(TryLockError::Error(source)) => Err(io_error(path, source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a topology's database lies.
    pub fn of_topology(&self, topology: &str) -> Result<PathBuf> {
        check_name(topology)?;
        // A prefix, so that no topology's name can be that of a file beside it.
        Ok(self.path.join(format!("topology-{topology}")))
    }

    /// The worker's id: the one kept here, else a new one, kept before it is returned.
    pub fn worker(&self, clock: &dyn Clock) -> Result<Text> {
        let path = self.path.join("worker");
        match File::open(&path) {
            Ok(file) => read_worker(&path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let worker = Text::from(format!("{:012x}", clock.draw() >> 16));
                self.keep_worker(&path, &worker).map_err(|source| io_error(&self.path, source))?;
                Ok(worker)
            }
            Err(source) => Err(io_error(&self.path, source)),
        }
    }

    /// Written beside, made durable, then moved into place: a crash leaves no half of an id.
    fn keep_worker(&self, path: &Path, worker: &str) -> io::Result<()> {
        let beside = self.path.join("worker.new");
        let mut file = private_file().truncate(true).open(&beside)?;
        writeln!(file, "{worker}")?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(&self.path)?.sync_all()
    }
}

/// Ids become part of transactional ids and member ids, whatever somebody has written into the file.
fn read_worker(path: &Path, file: File) -> Result<Text> {
    let mut text = String::new();
    let unusable = |reason: &str| Error::Unusable { path: path.into(), reason: reason.into() };
    file.take(4096).read_to_string(&mut text).map_err(|_| unusable("cannot be read as text"))?;
    let worker = text.trim();
    let fits = !worker.is_empty() && worker.len() <= WORKER_MAX;
    if fits && worker.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        Ok(worker.into())
    } else {
        Err(unusable("does not hold a worker id; delete it to have a new one drawn"))
    }
}

/// Makes a directory that only its owner may enter; one that is there already loses what others may do.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
    #[cfg(not(unix))]
    DirBuilder::new().recursive(true).create(path)
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

#[cfg(target_os = "linux")]
fn refuse_network(path: &Path) -> Result<()> {
    let found = rustix::fs::statfs(path).map_err(|error| io_error(path, error.into()))?;
    match network_file_system(found.f_type) {
        None => Ok(()),
        Some(kind) => {
            let reason = format!("lies on a network file system ({kind}), whose locks are not to be relied on");
            Err(Error::Unusable { path: path.into(), reason })
        }
    }
}

/// Elsewhere the kind of a file system is not told in one way.
#[cfg(not(target_os = "linux"))]
fn refuse_network(_: &Path) -> Result<()> {
    Ok(())
}

/// Magic numbers of `statfs(2)`. FUSE is not among them: it may well be local.
#[cfg(target_os = "linux")]
fn network_file_system(magic: rustix::fs::FsWord) -> Option<&'static str> {
    // The word is signed on some machines; the numbers are 32 bits of either sign.
    match magic as u32 {
        0x0000_6969 => Some("NFS"),
        0x0000_517b => Some("SMB"),
        0xff53_4d42 => Some("CIFS"),
        0xfe53_4d42 => Some("SMB2"),
        0x00c3_6400 => Some("Ceph"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636f => Some("OCFS2"),
        _ => None,
    }
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn the_worker_id_is_drawn_once_and_kept() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("a/b");
        let first = {
            let directory = Directory::open(&path).expect("opens");
            let first = directory.worker(&ManualClock::new(0, 7)).expect("draws");
            assert_eq!(directory.worker(&ManualClock::new(0, 8)).expect("reads"), first);
            first
        };
        assert_eq!(first.len(), 12);
        let again = Directory::open(&path).expect("free again");
        assert_eq!(again.worker(&ManualClock::new(0, 9)).expect("reads"), first);
    }

    #[test]
    fn a_second_owner_is_told_that_the_directory_is_taken() {
        let root = tempfile::tempdir().expect("a directory");
        let held = Directory::open(root.path()).expect("opens");
        let error = Directory::open(root.path()).expect_err("taken");
        assert!(matches!(error, Error::Locked { .. }));
        assert!(error.to_string().ends_with("is in use by another process"), "{error}");
        drop(held);
        Directory::open(root.path()).expect("free again");
    }

    #[test]
    fn a_worker_file_that_holds_something_else_is_refused() {
        for text in [&b""[..], b"\n", b"two words", b"a.b", b"\xff\xfe", &[b'x'; 65], &[b'x'; 100_000]] {
            let root = tempfile::tempdir().expect("a directory");
            fs::write(root.path().join("worker"), text).expect("writes");
            let directory = Directory::open(root.path()).expect("opens");
            assert!(matches!(directory.worker(&ManualClock::new(0, 1)), Err(Error::Unusable { .. })), "{text:?}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_do_not_become_paths() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = Directory::open(root.path()).expect("opens");
        for name in ["", ".", "..", "a/b", "a.b", "a\0b", "ä", "x y", &"x".repeat(101)] {
            assert!(matches!(directory.of_topology(name), Err(Error::Name { .. })), "{name:?}");
        }
        assert_eq!(directory.of_topology("shop_1-a").expect("fits"), root.path().join("topology-shop_1-a"));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_enter() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("state");
        fs::create_dir(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("widened");
        let directory = Directory::open(&path).expect("opens");
        directory.worker(&ManualClock::new(0, 1)).expect("draws");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("worker")), mode(&path.join("lock"))), (0o700, 0o600, 0o600));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn network_file_systems_are_known_by_their_number_of_either_sign() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(0xfe53_4d42_u32 as i32 as rustix::fs::FsWord), Some("SMB2"));
        assert_eq!(network_file_system(0xef53), None, "ext4");
        assert_eq!(network_file_system(0x0102_1994), None, "tmpfs");
    }
}
