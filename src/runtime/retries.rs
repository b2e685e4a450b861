//! Records that wait, on their way: parked when they fail and may pass later, kept behind others of their key, tried again in turn.
//!
//! What is known of parked keys, and the whole of it, is in [`super::parking`].

use super::handling::{Handling, node_index};
use super::meters::Tally;
use super::parking::{Crowded, occupied, parked_key, place, record_key};
use super::task::{OpenStore, Route, Standstill};
use crate::codec::Event;
use crate::failure::{Class, Failure};
use crate::node::{Failed, Input as NodeInput, Parking, Road, Tries};
use crate::record::{Header, HeaderRef, KeptRecord, Millis, RecordRef, Text, murmur2};
use crate::state::layout::parked::FIRST;
use crate::state::{self, ParkedTotals, Standing};
use crate::topology::model::Park;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// So many records of a key are handled at once, when those before them are gone.
const TURN_MAX: usize = 200;

/// What became of a record that waited.
enum Turn {
    /// It is gone: handled, or a dead letter.
    Gone,
    /// It is tried again then.
    Again(Millis),
    /// It is a dead letter, and the key is held by it: where it was first read.
    Held(Text),
}

/// From 0 to 1: follows from the record and the try.
fn chance(record: &RecordRef<'_>, attempts: u32) -> f64 {
    let name = format!("{}-{}-{}/{attempts}", record.topic, record.partition, record.offset);
    f64::from(murmur2(name.as_bytes())) / f64::from(u32::MAX)
}

fn bounds(parking: Option<Parking>) -> Park {
    parking.map(|parking| parking.bounds).unwrap_or_default()
}

impl Handling<'_, '_> {
    /// Are records of its key parked at this node, so that the record in hand waits behind them?
    pub(super) fn has_to_wait(&mut self, route: &Route, event: &Event) -> Result<bool, Standstill> {
        let (Some(store), Some(key)) = (route.store, self.record.key.filter(|_| !self.is_by_hand())) else { return Ok(false) };
        let store = &mut self.task.stores[store];
        if !store.parked.may_hold(key) || !self.scene.program.nodes[route.node].takes(&event.kind) {
            return Ok(false);
        }
        let standing = store.slots.standing(&parked_key(self.record));
        Ok(self.known(route, standing)?.is_some())
    }

    /// Keeps the record in hand behind those of its key.
    pub(super) fn wait_behind(&mut self, route: &Route, input: &NodeInput<'_>) -> Result<(), Standstill> {
        let key = parked_key(self.record);
        let (standing, waiting) = self.stands(route, &key)?;
        self.make_room(route, Some((&key, waiting)))?;
        let tail = standing.map_or(FIRST, |standing| standing.head) + waiting;
        match self.keep(route, &key, tail, input.record)? {
            Ok(()) => {
                let put = self.store(route).slots.put_tail(&key, Some(tail + 1));
                self.known(route, put)?;
                self.note_kept(route);
                Ok(())
            }
            Err(failure) => self.give_up(route, input.record, Some(input.event), &failure),
        }
    }

    /// Parks the key of the record in hand, which failed; false when it cannot be kept. One that comes by an operator's hand goes
    /// before those of its key that wait already.
    pub(super) fn park(&mut self, route: &Route, record: &RecordRef<'_>, wait: Millis) -> Result<bool, Standstill> {
        self.make_room(route, None)?;
        let key = parked_key(self.record);
        let (before, waiting) = self.stands(route, &key)?;
        if before.is_some_and(|standing| standing.due.is_none()) {
            // Another dead letter holds the key: what waits must not go around that.
            let holder = self.store(route).slots.holder(&key);
            if self.known(route, holder)?.is_none_or(|holder| holder != place(record)) {
                return Ok(false);
            }
            self.put_holder(route, &key, None)?;
        }
        let head = before.map_or(FIRST, |standing| standing.head - 1);
        if self.keep(route, &key, head, record)?.is_err() {
            return Ok(false);
        }
        let due = Some(self.scene.now.saturating_add(wait));
        let standing = Standing { due, attempts: self.tries.attempts, first_at: self.tries.first_at, head };
        self.put_key(route, &key, Some((&standing, head + 1 + waiting)))?;
        self.count(route, |totals| match before {
            None => totals.keys += 1,
            Some(before) => totals.held = totals.held.saturating_sub(u64::from(before.due.is_none())),
        })?;
        self.store(route).parked.parks(&key);
        self.note_kept(route);
        self.tell_parked(route, record, "a key is parked: a record of it is tried again");
        Ok(true)
    }

    /// Is the key of the record in hand held, when the record has become a dead letter of this failure?
    pub(super) fn is_held_after(&self, route: &Route, failure: &Failure) -> bool {
        let node = &self.scene.program.nodes[route.node];
        let is_held = failure.class() != Class::Engine && node.road(failure) == Road::Hold;
        is_held && route.store.is_some() && self.record.key.is_some() && node.parking().is_some()
    }

    /// A record has passed that an operator let its node take once more: if its dead letter holds a key, the key goes on.
    pub(super) fn release(&mut self, route: &Route, record: &RecordRef<'_>) -> Result<(), Standstill> {
        let Some(store) = route.store else { return Ok(()) };
        let place = place(record);
        let Some(key) = self.task.stores[store].parked.held.get(&place).cloned() else { return Ok(()) };
        let holder = self.store(route).slots.holder(&key);
        let (Some(standing), waiting) = self.stands(route, &key)? else { return Ok(()) };
        if standing.due.is_some() || self.known(route, holder)?.is_none_or(|holder| holder != place) {
            return Ok(());
        }
        self.put_holder(route, &key, None)?;
        self.count(route, |totals| totals.held = totals.held.saturating_sub(1))?;
        if waiting > 0 {
            let standing = Standing { due: Some(self.scene.now), ..standing };
            return self.put_key(route, &key, Some((&standing, standing.head + waiting)));
        }
        self.free(route, &key)
    }

    /// Holds the key of the record in hand, which is a dead letter.
    pub(super) fn hold(&mut self, route: &Route, record: &RecordRef<'_>) -> Result<(), Standstill> {
        let key = parked_key(self.record);
        if self.stands(route, &key)?.0.is_some() {
            // One that came by an operator's hand: its key is parked already.
            return Ok(());
        }
        self.put_key(route, &key, Some((&Standing { due: None, attempts: 0, first_at: 0, head: FIRST }, FIRST)))?;
        self.count(route, |totals| (totals.keys, totals.held) = (totals.keys + 1, totals.held + 1))?;
        self.store(route).parked.parks(&key);
        self.tell_parked(route, record, "a key is held: a record of it is a dead letter");
        self.put_holder(route, &key, Some(place(record)))
    }

    /// In how many milliseconds a record that failed like this is tried again.
    pub(super) fn next_try(&self, route: &Route, record: &RecordRef<'_>, event: &Event, failure: &Failure) -> Option<Millis> {
        let node = &self.scene.program.nodes[route.node];
        if failure.class() != Class::Retryable || route.store.is_none() || node.parking().is_none() {
            return None;
        }
        let chance = chance(record, self.tries.attempts);
        node.again(&Failed { record, event, failure, tries: self.tries, chance })
    }

    /// Fails when no more may wait: of the key, if it is parked and so many of it wait, and of all.
    pub(super) fn make_room(&mut self, route: &Route, key: Option<(&[u8], u64)>) -> Result<(), Standstill> {
        if self.is_by_hand() {
            return Ok(());
        }
        let number = route.store.expect("what waits has a store");
        let Park { per_key, per_partition } = bounds(self.scene.program.nodes[route.node].parking());
        if let Some((key, waiting)) = key
            && waiting >= per_key
        {
            return Err(Standstill::Crowded(Crowded::new(number, Some(key.to_vec()), per_key)));
        }
        let totals = self.store(route).slots.parked();
        if occupied(&self.known(route, totals)?) >= per_partition {
            return Err(Standstill::Crowded(Crowded::new(number, None, per_partition)));
        }
        Ok(())
    }

    /// The turn of a key: its head is tried, and once that is gone those behind it, at most `most` records. Says how many were tried.
    pub(super) fn take_turn(&mut self, route: &Route, key: &[u8], most: usize) -> Result<usize, Standstill> {
        let (Some(mut standing), waiting) = self.stands(route, key)? else { return Ok(0) };
        let next = standing.head + waiting;
        let mut tried = 0;
        while standing.head < next {
            if tried == most.min(TURN_MAX) {
                // The others when this epoch has committed.
                standing.due = Some(self.scene.now);
                self.put_key(route, key, Some((&standing, next)))?;
                return Ok(tried);
            }
            tried += 1;
            let first_at = if standing.attempts == 0 { self.scene.now } else { standing.first_at };
            let tries = Tries { attempts: standing.attempts.saturating_add(1), first_at };
            let turn = self.try_parked(route, key, standing.head, tries)?;
            if let Turn::Again(due) = turn {
                let standing = Standing { due: Some(due), attempts: tries.attempts, first_at, ..standing };
                self.put_key(route, key, Some((&standing, next)))?;
                return Ok(tried);
            }
            let gone = self.store(route).slots.drop_parked_record(key, standing.head);
            self.known(route, gone)?;
            self.count(route, |totals| totals.records = totals.records.saturating_sub(1))?;
            standing = Standing { due: None, attempts: 0, first_at: 0, head: standing.head + 1 };
            if let Turn::Held(place) = turn {
                self.count(route, |totals| totals.held += 1)?;
                self.put_key(route, key, Some((&standing, next)))?;
                self.put_holder(route, key, Some(place))?;
                return Ok(tried);
            }
        }
        self.free(route, key)?;
        Ok(tried)
    }

    /// One try of a record that waits.
    fn try_parked(&mut self, route: &Route, key: &[u8], number: u64, tries: Tries) -> Result<Turn, Standstill> {
        let stored = self.store(route).slots.parked_record(key, number);
        let Some(stored) = self.known(route, stored)? else {
            return Err(Standstill::Damaged(route.store.expect("what waits has a store")));
        };
        let (&is_elsewhere, stored) = stored.split_first().unwrap_or((&0, &[]));
        let kept = match KeptRecord::read(stored) {
            Ok(kept) => kept,
            Err(error) => {
                let store = self.scene.program.nodes[route.node].name().to_string();
                let unread = Err(state::Error::Unreadable { store, reason: error.to_string() });
                return self.known(route, unread);
            }
        };
        let headers: Vec<HeaderRef<'_>> = kept.headers.iter().map(Header::as_ref).collect();
        let record = kept.as_ref(&headers);
        let mut handling = Handling {
            scene: self.scene,
            epoch: self.epoch,
            task: self.task,
            input: self.input,
            record: &record,
            tries,
            again: None,
        };
        handling.retry(route, is_elsewhere != 0, record_key(key).is_some())
    }

    /// Handles a record that waited, from its bytes.
    fn retry(&mut self, route: &Route, is_elsewhere: bool, is_keyed: bool) -> Result<Turn, Standstill> {
        let (record, program) = (self.record, self.scene.program);
        let topic = program.topic(record.topic);
        let decoded = catch_unwind(AssertUnwindSafe(|| program.decoder(topic).decode(record)));
        let (event, failure) = match decoded {
            Ok(Ok(Some(event))) => {
                let partitions = topic.filter(|_| !is_elsewhere).map(|_| self.task.tasks);
                match self.judge(route, &NodeInput { topic, partitions, record, event: &event })? {
                    Ok(outcome) => {
                        self.epoch.count_outcome(node_index(route), outcome);
                        self.note_try(route, Tally::RetrySucceeded);
                        return Ok(Turn::Gone);
                    }
                    Err(failure) => (Some(event), failure),
                }
            }
            Ok(Ok(None)) => {
                self.epoch.figures.without_value += 1;
                return Ok(Turn::Gone);
            }
            Ok(Err(failure)) => (None, failure),
            Err(panic) => return Err(self.halt(format!("a panic while decoding: {}", super::driver::panic_text(&*panic)))),
        };
        self.look_up()?;
        if let Some(event) = &event
            && let Some(wait) = self.next_try(route, record, event, &failure)
        {
            self.note_try(route, Tally::RetryFailed);
            return Ok(Turn::Again(self.scene.now.saturating_add(wait)));
        }
        self.give_up(route, record, event.as_ref(), &failure)?;
        self.note_try(route, Tally::RetryGivenUp);
        let is_held = program.nodes[route.node].road(&failure) == Road::Hold && is_keyed;
        Ok(if is_held { Turn::Held(place(record)) } else { Turn::Gone })
    }

    /// Counts a try that was not the first.
    fn note_try(&mut self, route: &Route, tally: Tally) {
        if self.tries.attempts > 1 {
            self.epoch.figures.retried += 1;
            self.epoch.tallies.steps.push((node_index(route), tally));
        }
    }

    fn note_kept(&mut self, route: &Route) {
        self.epoch.figures.parked += 1;
        self.epoch.tallies.steps.push((node_index(route), Tally::Parked));
    }

    /// Keeps a record under its number. A failure is of one that is too large to be kept.
    fn keep(
        &mut self,
        route: &Route,
        key: &[u8],
        number: u64,
        record: &RecordRef<'_>,
    ) -> Result<Result<(), Failure>, Standstill> {
        let size = record.value.map_or(0, <[u8]>::len) + record.key.map_or(0, <[u8]>::len) + 64;
        let mut stored = Vec::with_capacity(size);
        // Do its key and its partition belong together?
        let is_elsewhere = self.again.as_ref().map_or(self.input.repartitioned, |again| !again.is_direct);
        stored.push(u8::from(is_elsewhere));
        KeptRecord::append(record, &mut stored);
        let put = self.store(route).slots.keep_parked_record(key, number, &stored);
        if let Err(error) = put {
            return Ok(Err(self.state_failure(route, error)?));
        }
        self.count(route, |totals| totals.records += 1)?;
        Ok(Ok(()))
    }

    fn tell_parked(&self, route: &Route, record: &RecordRef<'_>, what: &str) {
        let node = self.scene.program.nodes[route.node].name();
        let RecordRef { topic, partition, offset, .. } = record;
        tracing::debug!(task = %self.task.id, %node, %topic, partition, offset, "{what}");
    }

    /// Does an operator want what is in hand? That waits for nothing, and has room.
    fn is_by_hand(&self) -> bool {
        self.input.inbox.is_some()
    }

    /// Where a key stands, and how many of its records wait.
    fn stands(&mut self, route: &Route, key: &[u8]) -> Result<(Option<Standing>, u64), Standstill> {
        let waiting = self.store(route).waiting(key);
        self.known(route, waiting)
    }

    /// Nothing of a key waits any more.
    fn free(&mut self, route: &Route, key: &[u8]) -> Result<(), Standstill> {
        self.put_key(route, key, None)?;
        self.count(route, |totals| totals.keys = totals.keys.saturating_sub(1))?;
        self.store(route).parked.frees(key);
        Ok(())
    }

    fn put_holder(&mut self, route: &Route, key: &[u8], place: Option<Text>) -> Result<(), Standstill> {
        let store = self.store(route);
        let put = store.slots.put_holder(key, place.as_deref());
        if let Some(place) = place {
            store.parked.held.insert(place, key.into());
        }
        self.known(route, put)
    }

    fn put_key(&mut self, route: &Route, key: &[u8], stands: Option<(&Standing, u64)>) -> Result<(), Standstill> {
        let slots = &mut self.store(route).slots;
        let put = slots.put_standing(key, stands.map(|(standing, _)| standing));
        let put = put.and_then(|()| slots.put_tail(key, stands.map(|(_, next)| next)));
        self.known(route, put)
    }

    fn count(&mut self, route: &Route, change: impl FnOnce(&mut ParkedTotals)) -> Result<(), Standstill> {
        let slots = &mut self.store(route).slots;
        let counted = slots.parked().and_then(|mut totals| {
            change(&mut totals);
            slots.put_parked(&totals)
        });
        self.known(route, counted)
    }

    fn store(&mut self, route: &Route) -> &mut OpenStore {
        &mut self.task.stores[route.store.expect("what waits has a store")]
    }

    /// What the store says; where it cannot say, the task stands still.
    fn known<T>(&mut self, route: &Route, result: state::Result<T>) -> Result<T, Standstill> {
        result.map_err(|error| match self.state_failure(route, error) {
            Ok(failure) => self.halt(failure.to_string()),
            Err(standstill) => standstill,
        })
    }
}
