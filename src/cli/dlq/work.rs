//! `skald dlq replay` and `discard`: letters are worked off, batch by batch.

use super::{earliest, progress, talk, told};
use crate::broker::Broker;
use crate::cli::text::table;
use crate::cli::{Problem, out};
use crate::clock::{Clock, SystemClock};
use crate::config::{Dlq, Exit, OutputFormat, Picked, Spoken};
use crate::dlq::{BATCH_LETTERS, Chosen, Done, Edit, Filter, Order, Redrive};
use crate::record::{Millis, Offset, Partition};
use serde_json::json as object;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Refusals that a table shows.
const REFUSALS_SHOWN: usize = 20;

/// What is to be done to which letters.
pub(super) struct Work<'a> {
    pub(super) settings: &'a Dlq,
    pub(super) broker: &'a dyn Broker,
    pub(super) picked: &'a Picked,
    pub(super) filter: Option<&'a Filter>,
}

impl Work<'_> {
    pub(super) fn replay(&self, rate: Option<f64>, max_replays: u32, spoken: &Spoken) -> Result<Exit, Problem> {
        let clock = SystemClock::new();
        let mut redrive = self.open(max_replays)?;
        let (places, since) = self.places_and_since();
        let bar = progress(redrive.span());
        let began = clock.mono();
        // What a second may take goes in one transaction, so that a rate is even.
        let batch = rate.map_or(BATCH_LETTERS, |rate| if rate >= 500.0 { BATCH_LETTERS } else { rate.ceil() as usize });
        let mut pace = |done: &Done, looked: u64| {
            bar.set_position(looked);
            if let Some(rate) = rate {
                let until = began + Duration::from_secs_f64(done.acted as f64 / rate);
                while let Some(left) = until.checked_sub(clock.mono()).filter(|left| !left.is_zero()) {
                    thread::park_timeout(left);
                }
            }
            ControlFlow::Continue(())
        };
        let chosen = self.chosen(&places, since);
        let done = redrive.replay(&chosen, &order(spoken), batch, &mut || clock.wall(), &mut pace);
        bar.finish_and_clear();
        self.tell("replayed", &done.map_err(|error| told(&error))?)
    }

    pub(super) fn discard(&self, spoken: &Spoken) -> Result<Exit, Problem> {
        let clock = SystemClock::new();
        let mut redrive = self.open(u32::MAX)?;
        let (places, since) = self.places_and_since();
        let bar = progress(redrive.span());
        let chosen = self.chosen(&places, since);
        let done = redrive.discard(&chosen, &order(spoken), &mut || clock.wall(), &mut |_, looked| {
            bar.set_position(looked);
            ControlFlow::Continue(())
        });
        bar.finish_and_clear();
        self.tell("discarded", &done.map_err(|error| told(&error))?)
    }

    /// Says what would become of the letters.
    pub(super) fn try_out(&self, file: Option<&Path>, max_replays: u32) -> Result<Exit, Problem> {
        let (places, since) = self.places_and_since();
        let chosen = self.chosen(&places, since);
        if let Some(file) = file {
            return super::rehearse::rehearse(self.settings, self.broker, file, max_replays, &chosen);
        }
        let look = Redrive::look(self.broker, &self.settings.topic, max_replays, &chosen, &mut |_, _| {});
        let done = look.map_err(|error| told(&error))?;
        self.tell("would be replayed", &done)
    }

    fn open(&self, max_replays: u32) -> Result<Redrive, Problem> {
        Redrive::open(self.broker, &self.settings.topic, max_replays).map_err(|error| told(&error))
    }

    fn places_and_since(&self) -> (Vec<(Partition, Offset)>, Option<Millis>) {
        let places = self.picked.places.iter().map(|place| (place.partition, place.offset)).collect();
        (places, self.picked.since.map(|since| earliest(Some(since))))
    }

    fn chosen<'c>(&'c self, places: &'c [(Partition, Offset)], since: Option<Millis>) -> Chosen<'c> {
        let Picked { limit, again, .. } = *self.picked;
        Chosen { filter: self.filter, since, places, limit, again }
    }

    fn tell(&self, what: &str, done: &Done) -> Result<Exit, Problem> {
        tell(self.settings, what, done);
        // A place that was named and holds nothing is a mistake, a condition that holds for nothing is none.
        let nothing = done.acted + done.refused + done.settled == 0 && !self.picked.places.is_empty();
        Ok(match () {
            () if done.refused > 0 => Exit::Findings,
            () if nothing => Exit::NotFound,
            () => Exit::Ok,
        })
    }
}

pub(super) fn order(spoken: &Spoken) -> Order {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    Order { reason: text(&spoken.reason), by: text(&spoken.by), edit: Edit::default() }
}

/// What came of it: refusals and counts.
pub(super) fn tell(settings: &Dlq, what: &str, done: &Done) {
    match settings.output {
        OutputFormat::Json => {
            let refusals: Vec<_> = done
                .refusals
                .iter()
                .map(|refused| {
                    let place = object!({"partition": refused.place.0, "offset": refused.place.1});
                    object!({"place": place, "id": refused.id, "why": refused.why.to_string()})
                })
                .collect();
            let said = object!({
                "acted": done.acted, "refused": done.refused, "settled": done.settled, "unreadable": done.unreadable,
                "refusals": refusals,
            });
            out(&format!("{said:#}\n"));
        }
        OutputFormat::Table if done.refusals.is_empty() => {}
        OutputFormat::Table => {
            let rows: Vec<_> = done
                .refusals
                .iter()
                .take(REFUSALS_SHOWN)
                .map(|refused| [format!("{}:{}", refused.place.0, refused.place.1), super::plain(&refused.why.to_string())])
                .collect();
            out(&table(["REFUSED", "WHY"], &rows));
        }
    }
    let mut said = format!("{} {what}", counted(done.acted));
    for (count, what) in [
        (done.refused, "refused"),
        (done.settled, "replayed or discarded before (`--again` takes them too)"),
        (done.unreadable, "no dead letters"),
    ] {
        if count > 0 {
            let _ = write!(said, "; {count} {what}");
        }
    }
    talk(&said);
}

pub(super) fn counted(count: u64) -> String {
    if count == 1 { "1 letter".into() } else { format!("{count} letters") }
}
