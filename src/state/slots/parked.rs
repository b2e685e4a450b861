//! Rows of what waits behind a failure.

use super::super::Result;
use super::super::layout::parked::{self, ParkedTotals, Standing};
use super::super::layout::{Malformed, Tag};
use super::Slots;
use crate::record::Text;
use bytes::Bytes;

impl Slots {
    /// Where a key stands; `None`: it is not parked.
    pub fn standing(&mut self, key: &[u8]) -> Result<Option<Standing>> {
        let stored = self.row(Tag::Parked, &parked::standing_key(key))?;
        stored.map(|stored| parked::read_standing(&stored)).transpose().map_err(|error| self.unread(error))
    }

    /// Says where a key stands; `None`: it is free.
    pub fn put_standing(&mut self, key: &[u8], standing: Option<&Standing>) -> Result<()> {
        let stored = standing.map(|standing| parked::standing_value(standing).into());
        self.put(Tag::Parked, &parked::standing_key(key), stored)
    }

    /// Number of the record that comes next behind those of a parked key.
    pub fn tail(&mut self, key: &[u8]) -> Result<Option<u64>> {
        let stored = self.row(Tag::Parked, &parked::tail_key(key))?;
        stored.map(|stored| parked::read_tail(&stored)).transpose().map_err(|error| self.unread(error))
    }

    /// Says which number comes next; `None` of a key that is free.
    pub fn put_tail(&mut self, key: &[u8], next: Option<u64>) -> Result<()> {
        self.put(Tag::Parked, &parked::tail_key(key), next.map(|next| parked::tail_value(next).into()))
    }

    /// Where the record was first read whose dead letter holds a key.
    pub fn holder(&mut self, key: &[u8]) -> Result<Option<Text>> {
        let stored = self.row(Tag::Parked, &parked::holder_key(key))?;
        let place = stored.as_ref().map(|stored| parked::read_holder(stored).map(Text::new)).transpose();
        place.map_err(|error| self.unread(error))
    }

    /// Says what holds a key; `None`: nothing.
    pub fn put_holder(&mut self, key: &[u8], place: Option<&str>) -> Result<()> {
        self.put(Tag::Parked, &parked::holder_key(key), place.map(|place| parked::holder_value(place).into()))
    }

    /// What is parked over all keys.
    pub fn parked(&mut self) -> Result<ParkedTotals> {
        let stored = self.row(Tag::Parked, parked::TOTALS_KEY)?;
        let totals = stored.map(|stored| parked::read_totals(&stored)).transpose();
        Ok(totals.map_err(|error| self.unread(error))?.unwrap_or_default())
    }

    /// Notes what is parked over all keys; of nothing no row is left.
    pub fn put_parked(&mut self, totals: &ParkedTotals) -> Result<()> {
        let stored = (*totals != ParkedTotals::default()).then(|| parked::totals_value(totals).into());
        self.put(Tag::Parked, parked::TOTALS_KEY, stored)
    }

    /// A record that waits, as it was given to [`Slots::keep_parked_record`].
    pub fn parked_record(&mut self, key: &[u8], number: u64) -> Result<Option<Bytes>> {
        let Some(stored) = self.row(Tag::Parked, &parked::record_key(key, number))? else { return Ok(None) };
        parked::read_record(&stored).map_err(|error| self.unread(error))?;
        Ok(Some(stored.slice(1..)))
    }

    /// Keeps a record of a key under a number under which none is kept.
    pub fn keep_parked_record(&mut self, key: &[u8], number: u64, record: &[u8]) -> Result<()> {
        let mut stored = Vec::with_capacity(1 + record.len());
        parked::begin_record(&mut stored);
        stored.extend_from_slice(record);
        self.put_new(Tag::Parked, &parked::record_key(key, number), stored.into())
    }

    /// Takes a record of a key away.
    pub fn drop_parked_record(&mut self, key: &[u8], number: u64) -> Result<()> {
        self.put(Tag::Parked, &parked::record_key(key, number), None)
    }

    /// Every parked key with its standing, as this epoch sees them.
    pub fn standings(&mut self) -> Result<Vec<(Bytes, Standing)>> {
        let prefix = Tag::Parked.range(parked::STANDINGS);
        // Bounds of a range are given without the tag.
        let bare = (prefix.0.map(|key| key.slice(1..)), prefix.1.map(|key| key.slice(1..)));
        let rows = self.rows(Tag::Parked, &bare, usize::MAX)?;
        let read = |(key, stored): (Bytes, Bytes)| {
            let standing = parked::read_standing(&stored).map_err(|error| self.unread(error))?;
            let parked = parked::read_standing_key(&key).map(|_| key.slice(1..)).unwrap_or_default();
            Ok((parked, standing))
        };
        rows.into_iter().map(read).collect()
    }

    fn unread(&self, error: Malformed) -> super::super::Error {
        self.damaged(error.0)
    }
}
