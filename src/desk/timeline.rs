//! What an instance went through, drawn as text: a line per operation or state, and one per entry of its history.

use super::view::field;
use crate::codec::moment;
use crate::record::{Millis, Text, Value, timestamp_text};
use std::fmt::Write as _;

/// Columns of the bars.
const WIDTH: usize = 48;

/// An entry of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Millis,
    /// What happened.
    pub what: Text,
    /// The status afterwards.
    pub status: Text,
    /// The whole entry.
    fields: Value,
}

/// The history of an instance, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    entries: Vec<Entry>,
}

/// A line of the drawing: what one operation, or one stay in a state, took.
struct Bar {
    name: String,
    from: Millis,
    to: Millis,
    tries: i64,
    result: String,
    is_over: bool,
}

impl Entry {
    /// Reads the data of an entry's message; `None` of what is none.
    pub fn read(data: &Value) -> Option<Self> {
        let text = |name: &str| field(data, name).and_then(Value::as_str).map(Text::new);
        // Times are text on their way.
        let at = text("at")?.parse::<jiff::Timestamp>().ok()?.as_millisecond();
        Some(Self { at, what: text("what")?, status: text("status").unwrap_or_default(), fields: data.clone() })
    }

    fn text(&self, name: &str) -> Option<&str> {
        field(&self.fields, name).and_then(Value::as_str)
    }

    fn number(&self, name: &str) -> Option<i64> {
        field(&self.fields, name).and_then(Value::as_int)
    }

    fn is_back(&self) -> bool {
        field(&self.fields, "back") == Some(&Value::Bool(true))
    }

    /// Whose operation it is about: step, element, direction.
    fn about(&self) -> Option<String> {
        let step = self.text("step").filter(|_| self.number("try").is_some() || matches!(&*self.what, "skipped" | "began"))?;
        let item = self.number("item").map(|item| format!("[{item}]")).unwrap_or_default();
        let back = if self.is_back() { "undo " } else { "" };
        Some(format!("{back}{step}{item}"))
    }

    /// What it says beside what happened.
    fn details(&self) -> String {
        let mut said = String::new();
        for name in ["step", "item", "try", "state", "from", "to", "by", "type", "act", "reason", "refused", "message"] {
            if let Some(value) = field(&self.fields, name) {
                let value = match value {
                    Value::Str(text) => text.to_string(),
                    Value::Int(number) => number.to_string(),
                    _ => continue,
                };
                let _ = write!(said, " {name}={value}");
            }
        }
        if self.is_back() {
            said.push_str(" (undoing)");
        }
        said
    }
}

impl Timeline {
    /// A history, in the order of its entries.
    pub fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries as they were written.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().map(|entry| &entry.fields)
    }

    /// A bar for each operation and each state, over the time of the instance; what is not over yet lasts until `now`.
    pub fn bars(&self, now: Millis) -> String {
        let (Some(first), Some(last)) = (self.entries.first(), self.entries.last()) else { return String::new() };
        let is_over = last.what == "ended" || self.entries.iter().any(|entry| entry.what == "ended");
        let end = if is_over { last.at } else { now.max(last.at) };
        let mut bars = self.drawn();
        for bar in bars.iter_mut().filter(|bar| !bar.is_over) {
            bar.to = end;
        }
        let width = bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or_default();
        let mut out = String::new();
        for bar in &bars {
            let (from, to) = (column(bar.from, first.at, end), column(bar.to, first.at, end));
            let mark = if bar.is_over { '━' } else { '╌' };
            let drawn: String = (0..WIDTH).map(|at| if at >= from && at <= to.max(from) { mark } else { ' ' }).collect();
            let tries = if bar.tries > 1 { format!(", {} tries", bar.tries) } else { String::new() };
            let _ = writeln!(out, "{:width$}  │{drawn}│ {} {}{tries}", bar.name, length(bar.to - bar.from), bar.result);
        }
        out
    }

    /// One line per entry, with the time since the first.
    pub fn lines(&self) -> String {
        let Some(first) = self.entries.first() else { return String::new() };
        let mut out = format!("{}\n", timestamp_text(moment(first.at)));
        for entry in &self.entries {
            let _ = writeln!(out, "{:>10}  {} [{}]{}", length(entry.at - first.at), entry.what, entry.status, entry.details());
        }
        out
    }

    fn drawn(&self) -> Vec<Bar> {
        let mut bars: Vec<Bar> = Vec::new();
        for entry in &self.entries {
            if entry.what == "entered" {
                // A stay ends where the next one begins.
                if let Some(bar) = bars.last_mut().filter(|bar| !bar.is_over) {
                    (bar.to, bar.is_over) = (entry.at, true);
                }
                let name = entry.text("state").unwrap_or_default().to_owned();
                bars.push(Bar { name, from: entry.at, to: entry.at, tries: 1, result: String::new(), is_over: false });
                continue;
            }
            if entry.what == "ended" {
                for bar in bars.iter_mut().filter(|bar| !bar.is_over) {
                    (bar.to, bar.is_over) = (entry.at, true);
                }
                continue;
            }
            let Some(name) = entry.about() else { continue };
            let at = bars.iter().position(|bar| bar.name == name).unwrap_or_else(|| {
                bars.push(Bar { name, from: entry.at, to: entry.at, tries: 0, result: String::new(), is_over: false });
                bars.len() - 1
            });
            let bar = &mut bars[at];
            bar.to = entry.at;
            bar.tries = bar.tries.max(entry.number("try").unwrap_or_default());
            bar.is_over = !matches!(&*entry.what, "sent" | "waits" | "began" | "rests" | "unanswered");
            let reason = entry.text("reason").map(|reason| format!(" {reason}")).unwrap_or_default();
            bar.result = format!("{}{reason}", entry.what);
        }
        bars
    }
}

fn column(at: Millis, from: Millis, to: Millis) -> usize {
    let span = i128::from(to.saturating_sub(from)).max(1);
    let passed = i128::from(at.saturating_sub(from)).clamp(0, span);
    let last = i128::try_from(WIDTH - 1).expect("a width is small");
    usize::try_from(passed * last / span).expect("within the width")
}

/// A length of time for people: three figures at most.
fn length(millis: Millis) -> String {
    let millis = millis.max(0);
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..60_000 => format!("{}.{}s", millis / 1_000, millis % 1_000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", millis / 60_000, millis % 60_000 / 1_000),
        _ => format!("{}h{:02}m", millis / 3_600_000, millis % 3_600_000 / 60_000),
    }
}
