//! `skald dlq`: looks through a topic of dead letters, this engine's or another's, and works it off.

mod edit;
mod rehearse;
mod work;

use super::cluster::connect;
use super::text::{bytes, cut, plain, table};
use super::{Problem, out};
use crate::broker::Broker;
use crate::clock::{Clock, SystemClock};
use crate::codec::moment;
use crate::config::{Dlq, DlqWish, Exit, OutputFormat, Place, Since};
use crate::dlq::{
    self, Act, Audit, Filed, Filter, Found, Shelf, Summary, audit_topic, error_value, letter_json, original_headers,
};
use crate::record::{Millis, RecordRef, Value, json, timestamp_text};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json as object;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use work::Work;

/// Characters of a message in a table.
const MESSAGE_LENGTH: usize = 80;
/// Characters of a key in a table.
const KEY_LENGTH: usize = 40;
/// The bar is drawn anew once in so many records.
const RECORDS_PER_TICK: u64 = 4_096;

pub(super) fn dlq(settings: &Dlq) -> Result<Exit, Problem> {
    // What can be refused at once is not refused after the cluster was asked.
    let filter = match &settings.wish {
        DlqWish::Stats { filter, .. } | DlqWish::List { filter, .. } => filter.as_deref().map(condition).transpose()?,
        DlqWish::Replay { picked, .. } | DlqWish::Discard { picked, .. } => {
            picked.filter.as_deref().map(condition).transpose()?
        }
        DlqWish::Show(_) | DlqWish::Edit { .. } => None,
    };
    let kafka = connect(&settings.cluster)?;
    let broker = &kafka as &dyn Broker;
    let filter = filter.as_ref();
    match &settings.wish {
        DlqWish::Stats { since, all, .. } => Desk::open(settings, broker, *all)?.stats(filter, *since),
        DlqWish::List { since, limit, all, .. } => Desk::open(settings, broker, *all)?.list(filter, *since, *limit),
        DlqWish::Show(place) => Desk::open(settings, broker, false)?.show(*place),
        DlqWish::Replay { picked, rate, max_replays, dry_run, file, spoken } => {
            let work = Work { settings, broker, picked, filter };
            if *dry_run { work.try_out(file.as_deref(), *max_replays) } else { work.replay(*rate, *max_replays, spoken) }
        }
        DlqWish::Discard { picked, spoken } => Work { settings, broker, picked, filter }.discard(spoken),
        DlqWish::Edit { place, change, file, again, max_replays, spoken } => {
            let wanted =
                edit::Wanted { place: *place, change, file: file.as_deref(), again: *again, max_replays: *max_replays };
            edit::edit(settings, broker, &wanted, spoken)
        }
    }
}

/// The condition of `--where`; its problems with the place of each.
fn condition(text: &str) -> Result<Filter, Problem> {
    Filter::compile(text).map_err(|findings| {
        Problem::of_expression("--where", text, &findings)
            .hint("names: `error`, `record` (where it was first read), `key`, `headers`, `event`, `data`")
    })
}

fn told(error: &dlq::Error) -> Problem {
    match error {
        dlq::Error::NoTopic { .. } => Problem::of(Exit::NotFound, error)
            .hint("a topology's dead letters are in `TOPOLOGY.dlq`; another topic is named by `--topic`"),
        dlq::Error::NoAudit { topic } => Problem::of(Exit::NotFound, error)
            .hint(format!("workers make it when they start; for letters of others: `skald topic create {topic}`")),
        dlq::Error::Fenced { .. } => Problem::of(Exit::Failed, error)
            .hint("what was done is done, once; what is left is for the other, or for you when it has ended"),
        dlq::Error::Unknown { .. } => Problem::of(Exit::Failed, error)
            .hint("give the same command again: it goes on behind what was done, and does nothing twice"),
        dlq::Error::NoLetter { .. } | dlq::Error::Missing { .. } | dlq::Error::Unreadable { .. } => {
            Problem::of(Exit::NotFound, error).hint("`skald dlq list` tells where letters lie")
        }
        _ => Problem::of(Exit::Failed, error),
    }
}

struct Desk<'a> {
    settings: &'a Dlq,
    shelf: Shelf,
    audit: Audit,
    all: bool,
}

impl<'a> Desk<'a> {
    fn open(settings: &'a Dlq, broker: &dyn Broker, all: bool) -> Result<Self, Problem> {
        let shelf = Shelf::open(broker, &settings.topic).map_err(|error| told(&error))?;
        let audit = Audit::read(broker, &audit_topic(&settings.topic), &settings.topic).map_err(|error| told(&error))?;
        Ok(Self { settings, shelf, audit, all })
    }

    /// What was done to a letter.
    fn act(&self, letter: &Filed) -> Option<&Act> {
        self.audit.of(letter.record.partition, letter.offset, &letter.found)
    }

    fn stats(mut self, filter: Option<&Filter>, since: Option<Since>) -> Result<Exit, Problem> {
        let since = earliest(since);
        let bar = progress(self.shelf.span());
        let (mut summary, mut read, mut settled) = (Summary::default(), 0_u64, 0_u64);
        let (audit, all) = (&self.audit, self.all);
        let done = self.shelf.each(&mut |record, found| {
            match found {
                Ok(found) if found.times(record.timestamp).1 < since => {}
                Ok(found) if filter.is_some_and(|filter| !filter.holds(record, &found)) => {}
                Ok(found) if !all && audit.of(record.partition, record.offset, &found).is_some() => settled += 1,
                Ok(found) => summary.add(record, &found),
                Err(_) => summary.unreadable += 1,
            }
            read += 1;
            if read.is_multiple_of(RECORDS_PER_TICK) {
                bar.set_position(read);
            }
            ControlFlow::Continue(())
        });
        bar.finish_and_clear();
        done.map_err(|error| told(&error))?;
        match self.settings.output {
            OutputFormat::Json => out(&format!("{:#}\n", stats_json(&summary))),
            OutputFormat::Table => out(&stats_table(&summary)),
        }
        let mut said = format!("{} dead letters in `{}`", summary.letters(), self.settings.topic);
        if summary.ungrouped > 0 {
            let _ = write!(said, ", {} of them of further causes", summary.ungrouped);
        }
        if settled > 0 {
            let _ = write!(said, "; {settled} were replayed or discarded");
        }
        if summary.unreadable > 0 {
            let _ = write!(said, "; {} records are no dead letters", summary.unreadable);
        }
        talk(&said);
        Ok(Exit::Ok)
    }

    fn list(mut self, filter: Option<&Filter>, since: Option<Since>, limit: usize) -> Result<Exit, Problem> {
        let since = earliest(since);
        let (audit, all) = (&self.audit, self.all);
        let is_wanted = |record: &RecordRef<'_>, found: &Found| {
            (all || audit.of(record.partition, record.offset, found).is_none())
                && filter.is_none_or(|filter| filter.holds(record, found))
        };
        let letters = self.shelf.newest(limit, &is_wanted, since).map_err(|error| told(&error))?;
        match self.settings.output {
            OutputFormat::Json => {
                let all: Vec<_> = letters.iter().map(|letter| letter_json(letter, self.act(letter))).collect();
                out(&format!("{:#}\n", serde_json::Value::from(all)));
            }
            OutputFormat::Table if letters.is_empty() => talk("no dead letters"),
            OutputFormat::Table if all => out(&self.acted_table(&letters)),
            OutputFormat::Table => out(&table(LISTED, &letters.iter().map(listed).collect::<Vec<_>>())),
        }
        if letters.len() == limit {
            talk(&format!("the newest {limit}; more with `--limit`"));
        }
        Ok(Exit::Ok)
    }

    /// The same with what became of each.
    fn acted_table(&self, letters: &[Filed]) -> String {
        let rows: Vec<_> = letters
            .iter()
            .map(|letter| {
                let [place, failed, code, node, origin, key, message] = listed(letter);
                let became = self.act(letter).map_or_else(|| "-".into(), became);
                [place, failed, code, node, origin, key, became, message]
            })
            .collect();
        let [place, failed, code, node, origin, key, message] = LISTED;
        table([place, failed, code, node, origin, key, "BECAME", message], &rows)
    }

    fn show(mut self, place: Place) -> Result<Exit, Problem> {
        let letter = self.shelf.at(place.partition, place.offset).map_err(|error| told(&error))?;
        match self.settings.output {
            OutputFormat::Json => out(&format!("{:#}\n", letter_json(&letter, self.act(&letter)))),
            OutputFormat::Table => out(&letter_text(&letter, self.act(&letter))),
        }
        Ok(Exit::Ok)
    }
}

pub(super) fn earliest(since: Option<Since>) -> Millis {
    match since {
        None => Millis::MIN,
        Some(Since::At(at)) => at,
        Some(Since::Ago(time)) => {
            let time = Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX);
            SystemClock::new().wall().saturating_sub(time)
        }
    }
}

fn talk(said: &str) {
    // Nowhere to write to is nothing to write about.
    let _ = writeln!(std::io::stderr(), "{said}");
}

fn progress(total: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} letters, {per_sec}, {eta} left");
    ProgressBar::with_draw_target(Some(total), target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn time(at: Millis) -> String {
    timestamp_text(moment(at))
}

fn stats_table(summary: &Summary) -> String {
    let rows: Vec<_> = summary
        .largest_first()
        .into_iter()
        .map(|(cause, group)| {
            [
                group.letters.to_string(),
                plain(&cause.code),
                plain(&cause.node),
                plain(&cause.topic),
                time(group.first_at),
                time(group.last_at),
                format!("{}:{}", group.newest.0, group.newest.1),
                cut(&plain(&group.message), MESSAGE_LENGTH),
            ]
        })
        .collect();
    table(["LETTERS", "CODE", "NODE", "TOPIC", "FIRST", "LAST", "NEWEST", "MESSAGE"], &rows)
}

fn stats_json(summary: &Summary) -> serde_json::Value {
    let groups: Vec<_> = summary
        .largest_first()
        .into_iter()
        .map(|(cause, group)| {
            object!({
                "letters": group.letters, "code": cause.code, "node": cause.node, "topic": cause.topic,
                "firstAt": time(group.first_at), "lastAt": time(group.last_at), "message": group.message,
                "newest": {"partition": group.newest.0, "offset": group.newest.1},
            })
        })
        .collect();
    object!({
        "letters": summary.letters(), "ungrouped": summary.ungrouped, "unreadable": summary.unreadable, "groups": groups,
    })
}

const LISTED: [&str; 7] = ["PLACE", "FAILED", "CODE", "NODE", "ORIGIN", "KEY", "MESSAGE"];

fn listed(letter: &Filed) -> [String; 7] {
    let (cause, origin) = (letter.found.cause(), letter.found.origin());
    [
        format!("{}:{}", letter.record.partition, letter.offset),
        time(letter.last_at()),
        plain(&cause.code),
        plain(&cause.node),
        plain(&format!("{}-{}@{}", origin.topic, origin.partition, origin.offset)),
        letter.record.key.as_ref().map_or_else(|| "-".into(), |key| cut(&bytes(key), KEY_LENGTH)),
        cut(&plain(letter.found.message()), MESSAGE_LENGTH),
    ]
}

/// What became of a letter, in a line.
fn became(act: &Act) -> String {
    let mut said = format!("{} {}", act.deed.name(), time(act.at));
    for (what, text) in [("by", &act.by), ("because", &act.reason)] {
        if !text.is_empty() {
            let _ = write!(said, " {what} {}", cut(&plain(text), KEY_LENGTH));
        }
    }
    said
}

fn letter_text(letter: &Filed, act: Option<&Act>) -> String {
    let Filed { record, offset, found } = letter;
    let origin = found.origin();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:10}  {value}");
    };
    line("place", &format!("{}-{}@{offset}", record.topic, record.partition));
    line("origin", &plain(&format!("{}-{}@{}", origin.topic, origin.partition, origin.offset)));
    line("timestamp", &time(record.timestamp));
    if let Some(act) = act {
        line("became", &became(act));
    }
    if let Value::Map(fields) = error_value(found) {
        for (name, value) in fields.iter() {
            let said = match value {
                Value::Str(text) => text.to_string(),
                other => json::text(other).unwrap_or_default().trim_matches('"').to_owned(),
            };
            if !said.is_empty() && said != "null" {
                line(name, &plain(&said));
            }
        }
    }
    if let Found::Own(report) = found
        && let Some(stub) = &report.stub
    {
        line("left out", &plain(&stub.without.join(", ")));
    }
    line("key", &record.key.as_deref().map_or_else(|| "-".into(), bytes));
    for (name, value) in original_headers(letter) {
        line("header", &format!("{}: {}", plain(name), value.map_or_else(|| "-".into(), bytes)));
    }
    let value = match record.value.as_deref() {
        None => "-".into(),
        Some(raw) => match serde_json::from_slice::<serde_json::Value>(raw) {
            // Escapes within JSON are its own; nothing in it is an order to a terminal but what stands between, which is spaces.
            Ok(value) => format!("\n{value:#}").lines().map(plain).collect::<Vec<_>>().join("\n"),
            Err(_) => bytes(raw),
        },
    };
    line("value", &value);
    text
}
