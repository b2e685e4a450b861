//! The database that the stores share: opened, opened anew after a failed write, and the keyspace of each store.

use super::super::directory::make_private;
use super::super::layout::meta;
use super::super::{Checkpoint, Error, Result};
use super::error::{is_poisoned, sort};
use crate::record::{Offset, Text};
use crate::sync;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::collections::HashMap;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

const JOURNAL_BYTES: u64 = 64 << 20;
const CACHE_BYTES: u64 = 32 << 20;
const THREADS: usize = 2;
/// Room there must be before the database is opened anew after a failed write: less would make it fail again.
const ROOM_BYTES: usize = 1 << 20;
/// Failed writes without a full disk, after which the files are taken to be damaged.
const FAILURES_MAX: u32 = 5;
/// How long a rotation waits for the memtables to be written, at most, in steps.
const ROTATION_STEPS: u32 = 1000;
const ROTATION_STEP: Duration = Duration::from_millis(10);
/// Tables of a store that wait to be written. fjall blocks its caller at four.
const SEALED_MAX: usize = 2;

/// One database and its stores; behind every [`super::Disk`] and its stores.
pub(super) struct Shared {
    path: PathBuf,
    open: RwLock<Open>,
    /// Stores in use, which share the memory.
    pub(super) live: AtomicUsize,
    /// A write has failed: the next one opens the database anew.
    pub(super) doubtful: AtomicBool,
    failures: AtomicU32,
}

struct Open {
    /// Missing when it could not be opened anew.
    database: Option<Database>,
    stores: Vec<StoreState>,
    places: HashMap<String, usize>,
}

struct StoreState {
    name: String,
    keyspace: Option<Keyspace>,
    /// Highest checkpoints written, by changelog: held against what is found after the database was opened anew.
    reached: RwLock<HashMap<Text, Offset>>,
    /// What was written is not there any more.
    lost: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self::over(path, open_database(path)?))
    }

    pub(super) fn over(path: &Path, database: Database) -> Self {
        Self {
            path: path.into(),
            open: RwLock::new(Open { database: Some(database), stores: Vec::new(), places: HashMap::new() }),
            live: AtomicUsize::new(0),
            doubtful: AtomicBool::new(false),
            failures: AtomicU32::new(0),
        }
    }

    /// Where a store's state is kept; opens its keyspace.
    pub(super) fn place(&self, name: &str) -> Result<usize> {
        let mut open = self.exclusive();
        if let Some(place) = open.places.get(name) {
            return Ok(*place);
        }
        let keyspace = self.keyspace(open.database()?, name)?;
        let place = open.stores.len();
        open.stores.push(StoreState { name: name.into(), keyspace: Some(keyspace), reached: RwLock::default(), lost: false });
        open.places.insert(name.into(), place);
        Ok(place)
    }

    /// Deletes a store's keyspace and makes an empty one of the same name; whoever holds the store sees the new one.
    pub(super) fn renew(&self, name: &str) -> Result<()> {
        self.recover()?;
        let place = self.place(name)?;
        let mut guard = self.exclusive();
        let open = &mut *guard;
        let database = open.database()?.clone();
        let store = &mut open.stores[place];
        if let Some(old) = store.keyspace.take() {
            database.delete_keyspace(old).map_err(|error| sort(error, name, &self.path))?;
        }
        store.keyspace = Some(self.keyspace(&database, name)?);
        store.reached = RwLock::default();
        store.lost = false;
        Ok(())
    }

    pub(super) fn read<R>(&self, place: usize, read: impl FnOnce(&Keyspace) -> fjall::Result<R>) -> Result<R> {
        let open = self.shared();
        let store = &open.stores[place];
        read(store.keyspace()?).map_err(|error| sort(error, &store.name, &self.path))
    }

    /// Carries out a write of one store that is all or nothing and brings it to these checkpoints.
    pub(super) fn write(
        &self,
        place: usize,
        checkpoints: &[(Text, Checkpoint)],
        mut write: impl FnMut(&Database, &Keyspace) -> fjall::Result<()>,
    ) -> Result<()> {
        for first in [true, false] {
            if self.doubtful.load(Ordering::Acquire) {
                self.reopen(place)?;
            }
            let open = self.shared();
            let store = &open.stores[place];
            match write(open.database()?, store.keyspace()?) {
                Ok(()) => {
                    let mut reached = sync::write(&store.reached);
                    for (changelog, checkpoint) in checkpoints {
                        reached.insert(changelog.clone(), checkpoint.next_offset);
                    }
                    return Ok(());
                }
                Err(error) => {
                    self.doubtful.store(true, Ordering::Release);
                    let poisoned = is_poisoned(&error);
                    let error = sort(error, &store.name, &self.path);
                    if !matches!(error, Error::Full { .. }) {
                        self.failures.fetch_add(1, Ordering::Relaxed);
                    }
                    // Poisoned by another store's write, or by a thread in the background: not this write's fault.
                    if !(first && poisoned) {
                        return Err(error);
                    }
                }
            }
        }
        unreachable!("the second round returns")
    }

    /// Queues a store's memtable to be written, unless too many of them wait already.
    pub(super) fn rotate(&self, place: usize) -> bool {
        self.read(place, |keyspace| {
            if keyspace.sealed_memtable_count() >= SEALED_MAX {
                return Ok(false);
            }
            keyspace.rotate_memtable()
        })
        // The next write meets the same trouble and reports it.
        .unwrap_or(false)
    }

    /// Writes all memtables out and waits for it.
    pub(super) fn rotate_all(&self) -> Result<()> {
        let open = self.shared();
        let database = open.database()?;
        let sorted = |error| sort(error, "", &self.path);
        let keyspaces = || open.stores.iter().filter_map(|store| store.keyspace.as_ref());
        for keyspace in keyspaces() {
            keyspace.rotate_memtable().map_err(sorted)?;
        }
        for _ in 0..ROTATION_STEPS {
            if keyspaces().all(|keyspace| keyspace.sealed_memtable_count() == 0) {
                return Ok(());
            }
            // Says whether the threads that write them are still there.
            database.persist(PersistMode::Buffer).map_err(sorted)?;
            std::thread::sleep(ROTATION_STEP);
        }
        let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
        Err(Error::Io { path: self.path.clone(), source })
    }

    pub(super) fn persist(&self) -> Result<()> {
        self.shared().database()?.persist(PersistMode::SyncData).map_err(|error| {
            self.doubtful.store(true, Ordering::Release);
            sort(error, "", &self.path)
        })
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.shared().database.as_ref().and_then(|database| database.disk_space().ok()).unwrap_or(0)
    }

    /// Opens the database anew after a failed write. Everybody waits meanwhile.
    fn reopen(&self, place: usize) -> Result<()> {
        let mut guard = self.exclusive();
        if !self.doubtful.load(Ordering::Acquire) {
            return Ok(());
        }
        let open = &mut *guard;
        let name = open.stores[place].name.clone();
        // Before anything is closed: reads go on while there is no room.
        probe_room(&self.path).map_err(|error| sort(error.into(), &name, &self.path))?;
        if self.failures.load(Ordering::Relaxed) > FAILURES_MAX {
            self.failures.store(0, Ordering::Relaxed);
            let reason = format!("its database refused writes more than {FAILURES_MAX} times with room on the disk");
            return Err(Error::Damaged { store: name, reason });
        }
        open.stores.iter_mut().for_each(|store| store.keyspace = None);
        open.database = None;
        self.attach(open, open_database(&self.path)?)
    }

    /// A database that could not be opened anew is moved aside, when a store is renewed; the others are then lost, too.
    fn recover(&self) -> Result<()> {
        let mut open = self.exclusive();
        if open.database.is_some() {
            return Ok(());
        }
        let (database, _) = open_or_set_aside(&self.path)?;
        self.attach(&mut open, database)
    }

    /// Gives the stores their keyspaces and finds out what they have lost.
    fn attach(&self, open: &mut Open, database: Database) -> Result<()> {
        for store in &mut open.stores {
            let keyspace = self.keyspace(&database, &store.name)?;
            let reached = store.reached.get_mut().unwrap_or_else(PoisonError::into_inner);
            for (changelog, offset) in reached {
                // What cannot be read is as good as gone, and no reason for the other stores to stay closed.
                let found = keyspace.get(meta::checkpoint_key(changelog)).ok().flatten();
                let found = found.and_then(|stored| meta::read_checkpoint(&stored).ok());
                store.lost |= found.is_none_or(|found| found.next_offset < *offset);
            }
            store.keyspace = Some(keyspace);
        }
        open.database = Some(database);
        self.doubtful.store(false, Ordering::Release);
        Ok(())
    }

    fn keyspace(&self, database: &Database, name: &str) -> Result<Keyspace> {
        // Rotated by the stores themselves; see the room's front page.
        let options = || KeyspaceCreateOptions::default().max_memtable_size(u64::MAX);
        database.keyspace(name, options).map_err(|error| sort(error, name, &self.path))
    }

    fn shared(&self) -> RwLockReadGuard<'_, Open> {
        sync::read(&self.open)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Open> {
        sync::write(&self.open)
    }
}

impl Open {
    fn database(&self) -> Result<&Database> {
        self.database.as_ref().ok_or_else(|| gone(""))
    }
}

impl StoreState {
    fn keyspace(&self) -> Result<&Keyspace> {
        if self.lost {
            let reason = "what it had reached is gone after a failed write".into();
            return Err(Error::Damaged { store: self.name.clone(), reason });
        }
        self.keyspace.as_ref().ok_or_else(|| gone(&self.name))
    }
}

fn gone(store: &str) -> Error {
    Error::Damaged { store: store.into(), reason: "its database could not be opened again after a failed write".into() }
}

/// Opens a database; one that is damaged as a whole is moved aside, and tells why.
pub(super) fn open_or_set_aside(path: &Path) -> Result<(Database, Option<Error>)> {
    match open_database(path) {
        Err(error @ Error::Damaged { .. }) => {
            let mut aside = path.as_os_str().to_owned();
            aside.push(".damaged");
            let moved = match std::fs::remove_dir_all(&aside) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(source),
                _ => std::fs::rename(path, &aside),
            };
            moved.map_err(|source| Error::Io { path: aside.into(), source })?;
            Ok((open_database(path)?, Some(error)))
        }
        opened => Ok((opened?, None)),
    }
}

fn open_database(path: &Path) -> Result<Database> {
    make_private(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let open =
        || Database::builder(path).max_journaling_size(JOURNAL_BYTES).cache_size(CACHE_BYTES).worker_threads(THREADS).open();
    // Files that hold anything at all meet assertions in the recovery, too: those are damage, not a fault of this process.
    match std::panic::catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened.map_err(|error| sort(error, "", path)),
        Err(_) => Err(Error::Damaged { store: String::new(), reason: "its files could not be read".into() }),
    }
}

/// Is there room to go on? Written and taken away again.
fn probe_room(path: &Path) -> std::io::Result<()> {
    let probe = path.join("room");
    let written = std::fs::File::create(&probe).and_then(|mut file| {
        file.write_all(&vec![0; ROOM_BYTES])?;
        file.sync_all()
    });
    let removed = std::fs::remove_file(&probe);
    written.and(removed)
}
