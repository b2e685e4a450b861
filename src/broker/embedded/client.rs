//! Clients that wait for news.

use crate::broker::Wake;
use std::collections::BTreeMap;

/// A client of this broker object; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClientKey(pub(super) u64);

/// Who is told when there is something new.
#[derive(Default)]
pub(super) struct Clients {
    next: u64,
    waiting: BTreeMap<ClientKey, Waiting>,
    /// To be called once the broker's lock is free.
    pub(super) calls: Vec<Wake>,
}

struct Waiting {
    wake: Wake,
    /// Found nothing more to read; the next record wakes it once.
    idle: bool,
}

impl Clients {
    /// Adds a client.
    pub(super) fn add(&mut self, wake: Wake) -> ClientKey {
        let key = ClientKey(self.next);
        self.next += 1;
        self.waiting.insert(key, Waiting { wake, idle: false });
        key
    }

    /// A client is gone.
    pub(super) fn remove(&mut self, key: ClientKey) {
        self.waiting.remove(&key);
    }

    /// The client has read everything that is there.
    pub(super) fn set_idle(&mut self, key: ClientKey) {
        if let Some(client) = self.waiting.get_mut(&key) {
            client.idle = true;
        }
    }

    /// There is an event or an answer for this client.
    pub(super) fn wake(&mut self, key: ClientKey) {
        if let Some(client) = self.waiting.get(&key) {
            self.calls.push(client.wake.clone());
        }
    }

    /// There may be something to read. Every idle client is told, whatever it reads: the few that read something else look once
    /// and go back to sleep.
    pub(super) fn wake_readers(&mut self) {
        for client in self.waiting.values_mut().filter(|client| client.idle) {
            client.idle = false;
            self.calls.push(client.wake.clone());
        }
    }
}
