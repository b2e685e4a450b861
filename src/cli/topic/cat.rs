//! `skald topic cat`: records to stdout, up to the end or on and on.

use super::format::{Format, unescape};
use super::missing;
use crate::broker::{Broker, Isolation, Span};
use crate::cli::Problem;
use crate::cli::cluster::{connect, failed};
use crate::cli::dlq::earliest;
use crate::cli::signals::Signals;
use crate::config::{Begin, Cluster, Exit, TopicCat};
use crate::reading::{Log, Step};
use crate::record::{Offset, TopicPartition};
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::ops::ControlFlow;

/// Bytes that wait for a write to stdout, beyond the record that comes last.
const OUT_BYTES: usize = 64 * 1024;

pub(super) fn cat(cluster: &Cluster, wish: &TopicCat) -> Result<Exit, Problem> {
    // What can be refused at once is not refused after the cluster was asked.
    let format = format(wish)?;
    let kafka = connect(cluster)?;
    let log = Log::open(&kafka as &dyn Broker, &wish.topic, Isolation::ReadCommitted).map_err(|error| failed(&error))?;
    let mut log = log.ok_or_else(|| missing(&wish.topic))?;
    let spans = spans(&mut log, wish)?;
    let signals = Signals::take()?;
    let mut pipe = Pipe { to: io::stdout().lock(), waiting: Vec::with_capacity(OUT_BYTES) };
    // An offset beyond the end is reached once the log has grown to it.
    let from = if let Begin::At(offset) = wish.offset { offset } else { 0 };
    let (mut left, mut written) = (wish.count, Ok(()));
    log.read(&spans, !wish.exit, &mut |step| {
        written = match step {
            Step::Pause => pipe.flush(),
            Step::Record(record) if record.offset < from => Ok(()),
            Step::Record(record) => {
                format.write(record, &mut pipe.waiting);
                left = left.map(|left| left - 1);
                pipe.flush_when_full()
            }
        };
        let stopped = written.is_err() || left == Some(0) || signals.stop_asked();
        if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .map_err(|error| failed(&error))?;
    match written.and_then(|()| pipe.flush()) {
        // Whoever read has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Ok),
        Err(error) => Err(Problem::new(Exit::Failed, format!("stdout cannot be written: {error}"))),
        Ok(()) => Ok(Exit::Ok),
    }
}

fn format(wish: &TopicCat) -> Result<Format, Problem> {
    let refused = |flag: &str, why: String| Problem::new(Exit::Usage, format!("`{flag}` cannot be used: {why}"));
    let mut format = match (&wish.format, &wish.delimiter) {
        (Some(text), _) => Format::parse(text).map_err(|why| refused("--format", why))?,
        (None, Some(text)) => Format::lines(Some(&unescape(text).map_err(|why| refused("--delimiter", why))?)),
        (None, None) if wish.json => Format::json(),
        (None, None) => Format::lines(None),
    };
    format.null = wish.null;
    format.terminal = io::stdout().is_terminal();
    Ok(format)
}

/// What is to be read of each partition that is wanted.
fn spans(log: &mut Log, wish: &TopicCat) -> Result<Vec<(TopicPartition, Span)>, Problem> {
    let mut parts = log.parts().to_vec();
    parts.retain(|(part, _)| wish.partition.is_none_or(|wanted| part.partition == wanted));
    if let (true, Some(wanted)) = (parts.is_empty(), wish.partition) {
        return Err(Problem::new(Exit::NotFound, format!("topic `{}` has no partition {wanted}", wish.topic)));
    }
    let since = match wish.offset {
        Begin::Since(since) => log.offsets_at(earliest(Some(since))).map_err(|error| failed(&error))?,
        _ => Vec::new(),
    };
    for (part, span) in &mut parts {
        let at = since.iter().find(|(other, _)| other == part).map(|(_, offset)| *offset);
        span.start = start(wish.offset, *span, at);
    }
    Ok(parts)
}

/// Where to begin in a partition, never outside of it.
fn start(begin: Begin, span: Span, at: Option<Offset>) -> Offset {
    let wanted = match begin {
        Begin::Beginning => span.start,
        Begin::End => span.end,
        Begin::At(offset) => offset,
        Begin::Last(count) => span.end.saturating_sub(count),
        Begin::Since(_) => at.unwrap_or(span.end),
    };
    wanted.min(span.end).max(span.start)
}

/// Stdout, in pieces that are worth a call.
struct Pipe<W> {
    to: W,
    waiting: Vec<u8>,
}

impl<W: Write> Pipe<W> {
    fn flush_when_full(&mut self) -> io::Result<()> {
        if self.waiting.len() < OUT_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.to.write_all(&self.waiting).and_then(|()| self.to.flush());
        self.waiting.clear();
        written
    }
}

#[cfg(test)]
mod tests {
    use super::{Begin, Span, start};
    use crate::config::Since;

    #[test]
    fn a_beginning_is_never_outside_of_the_partition() {
        let span = Span { start: 10, end: 20 };
        let since = Begin::Since(Since::At(0));
        for (begin, at, expected) in [
            (Begin::Beginning, None, 10),
            (Begin::End, None, 20),
            (Begin::At(15), None, 15),
            (Begin::At(3), None, 10),
            (Begin::At(30), None, 20),
            (Begin::Last(4), None, 16),
            (Begin::Last(i64::MAX), None, 10),
            (since, Some(12), 12),
            (since, Some(5), 10),
            (since, None, 20),
        ] {
            assert_eq!(start(begin, span, at), expected, "{begin:?}");
        }
    }
}
