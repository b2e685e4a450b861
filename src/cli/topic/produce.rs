//! `skald topic produce`: lines become records.

use super::format::unescape;
use super::missing;
use crate::broker::{Broker, Error, Producer};
use crate::cli::cluster::{connect, failed};
use crate::cli::{Problem, talk};
use crate::clock::{Clock, SystemClock};
use crate::config::{Cluster, Exit, TopicProduce};
use crate::record::{Header, Millis, Partition, Record, Text, partition_of};
use bytes::Bytes;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::time::Duration;

/// Longest line.
const LINE_BYTES: usize = 16 << 20;
/// Bytes read at a time.
const IN_BYTES: usize = 256 * 1024;
/// Longest wait for the acknowledgement of what was sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn produce(cluster: &Cluster, wish: &TopicProduce) -> Result<Exit, Problem> {
    // What can be refused at once is not refused after the cluster was asked.
    let delimiter = wish.delimiter.as_deref().map(delimiter).transpose()?;
    let input = open(wish)?;
    let kafka = connect(cluster)?;
    let known = kafka.admin().and_then(|admin| admin.topics()).map_err(|error| failed(&error))?;
    let known = known.into_iter().find(|known| known.name.as_str() == wish.topic).ok_or_else(|| missing(&wish.topic))?;
    if let Some(partition) = wish.partition.filter(|partition| i64::from(*partition) >= i64::from(known.partitions)) {
        return Err(Problem::new(Exit::NotFound, format!("topic `{}` has no partition {partition}", known.name)));
    }
    let clock = SystemClock::new();
    let mut maker = Maker {
        topic: known.name,
        partitions: known.partitions,
        partition: wish.partition,
        // Calls with one record each are not all to meet the first partition.
        turn: u32::try_from(clock.wall().rem_euclid(i64::from(known.partitions))).unwrap_or_default(),
        delimiter,
        null: wish.null,
        headers: wish.header.iter().map(|(name, value)| Header::text(name.as_str(), value)).collect(),
        keyless: 0,
    };
    let mut producer = kafka.producer().map_err(|error| failed(&error))?;
    let count = fill(input, &mut maker, &mut *producer, &clock)?;
    let mut said = format!("{count} records produced to `{}`", maker.topic);
    if maker.keyless > 0 {
        said.push_str(&format!("; {} of them had no delimiter, so they have no key", maker.keyless));
    }
    talk(&format!("{said}\n"));
    Ok(Exit::Ok)
}

fn delimiter(text: &str) -> Result<Vec<u8>, Problem> {
    let refused = |why: &str| Problem::new(Exit::Usage, format!("`--delimiter` cannot be used: {why}"));
    match unescape(text) {
        Ok(bytes) if bytes.is_empty() => Err(refused("it is empty")),
        Ok(bytes) if bytes.contains(&b'\n') => Err(refused("a line ends where one begins")),
        Ok(bytes) => Ok(bytes),
        Err(why) => Err(refused(&why)),
    }
}

type Input = BufReader<Box<dyn Read>>;

fn open(wish: &TopicProduce) -> Result<Input, Problem> {
    let Some(path) = wish.file.as_deref().filter(|path| path.as_os_str() != "-") else {
        return Ok(BufReader::with_capacity(IN_BYTES, Box::new(io::stdin())));
    };
    let file = File::open(path).map_err(|error| {
        let exit = if error.kind() == ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Problem::new(exit, format!("`{}` cannot be read: {error}", path.display()))
    })?;
    Ok(BufReader::with_capacity(IN_BYTES, Box::new(file)))
}

/// Sends every line; tells how many.
fn fill(mut input: Input, maker: &mut Maker, producer: &mut dyn Producer, clock: &dyn Clock) -> Result<u64, Problem> {
    let (mut line, mut sent, mut acknowledged) = (0_u64, 0_u64, 0_u64);
    let lost = |error: &Error, acknowledged: u64| {
        failed(error).hint(format!("the first {acknowledged} records are in the topic, of the others some may be"))
    };
    let mut bytes = Vec::new();
    loop {
        let read = next_line(&mut input, &mut bytes, LINE_BYTES);
        line += 1;
        let more = matches!(read, Ok(Line::Read));
        // As kcat has it: a line with nothing in it is no record.
        if more && !bytes.is_empty() {
            let record = maker.make(&bytes, clock.wall());
            producer.send(&record).map_err(|error| lost(&error, acknowledged).within(&format!("line {line}")))?;
            sent += 1;
        }
        // Where nothing more has come yet, whoever writes waits or is slow: now is the time to learn what became of its lines.
        if !more || input.buffer().is_empty() {
            producer.flush(FLUSH_TIMEOUT).map_err(|error| lost(&error, acknowledged))?;
            acknowledged = sent;
        }
        let why = match read {
            Ok(Line::Read) => continue,
            Ok(Line::Ended) => return Ok(sent),
            Ok(Line::TooLong) => format!("line {line} is longer than {LINE_BYTES} bytes"),
            Err(error) => format!("line {line} cannot be read: {error}"),
        };
        return Err(Problem::new(Exit::Failed, why).hint(format!("the {sent} records before it are in the topic")));
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Read,
    TooLong,
    Ended,
}

/// The next line without its end; the last one may have none.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>, longest: usize) -> io::Result<Line> {
    line.clear();
    // One byte more, for the end of the line.
    let bound = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
    input.by_ref().take(bound).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Line::Read);
    }
    Ok(match line.len() {
        0 => Line::Ended,
        length if length > longest => Line::TooLong,
        _ => Line::Read,
    })
}

/// Makes a record of a line.
struct Maker {
    topic: Text,
    partitions: u32,
    /// Where all go.
    partition: Option<Partition>,
    /// Where the next one without a key goes.
    turn: u32,
    delimiter: Option<Vec<u8>>,
    /// Is what is empty null?
    null: bool,
    headers: Vec<Header>,
    /// Lines in which a key was looked for and not found.
    keyless: u64,
}

impl Maker {
    fn make(&mut self, line: &[u8], timestamp: Millis) -> Record {
        let (key, value) = match &self.delimiter {
            None => (None, line),
            Some(delimiter) => match line.windows(delimiter.len()).position(|part| part == delimiter.as_slice()) {
                Some(at) => (Some(&line[..at]), &line[at + delimiter.len()..]),
                None => {
                    self.keyless += 1;
                    (None, line)
                }
            },
        };
        let there = |bytes: &&[u8]| !(self.null && bytes.is_empty());
        let (key, value) = (key.filter(there), Some(value).filter(there));
        let partition = match (self.partition, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of(key, self.partitions),
            (None, None) => {
                self.turn = self.turn.wrapping_add(1) % self.partitions;
                Partition::try_from(self.turn).unwrap_or_default()
            }
        };
        Record {
            topic: self.topic.clone(),
            partition,
            timestamp,
            key: key.map(Bytes::copy_from_slice),
            value: value.map(Bytes::copy_from_slice),
            headers: self.headers.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Maker, next_line};
    use crate::record::partition_of;

    fn maker(delimiter: Option<&str>, null: bool) -> Maker {
        let delimiter = delimiter.map(|text| text.as_bytes().to_vec());
        Maker { topic: "t".into(), partitions: 3, partition: None, turn: 0, delimiter, null, headers: Vec::new(), keyless: 0 }
    }

    #[test]
    fn a_line_is_split_at_the_first_delimiter() {
        for (delimiter, null, line, key, value) in [
            (None, false, "a:b", None, Some("a:b")),
            (Some(":"), false, "a:b:c", Some("a"), Some("b:c")),
            (Some("::"), false, "a:b::c", Some("a:b"), Some("c")),
            (Some(":"), false, ":v", Some(""), Some("v")),
            (Some(":"), true, ":v", None, Some("v")),
            (Some(":"), false, "k:", Some("k"), Some("")),
            (Some(":"), true, "k:", Some("k"), None),
            (Some(":"), true, "kv", None, Some("kv")),
            (Some("long delimiter"), false, "kv", None, Some("kv")),
        ] {
            let record = maker(delimiter, null).make(line.as_bytes(), 0);
            let said = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            assert_eq!(said(record.key.as_deref()).as_deref(), key, "{line}");
            assert_eq!(said(record.value.as_deref()).as_deref(), value, "{line}");
        }
    }

    #[test]
    fn keys_choose_the_partition_and_records_without_one_take_turns() {
        let mut maker = maker(Some(":"), false);
        for key in ["a", "b", "customer-17"] {
            assert_eq!(maker.make(format!("{key}:v").as_bytes(), 0).partition, partition_of(key.as_bytes(), 3));
        }
        let turns: Vec<_> = (0..4).map(|_| maker.make(b"v", 0).partition).collect();
        assert_eq!(turns, [1, 2, 0, 1]);
        assert_eq!(maker.keyless, 4);
        maker.partition = Some(2);
        assert!(["a:v", "b:v", "v"].iter().all(|line| maker.make(line.as_bytes(), 0).partition == 2));
    }

    #[test]
    fn lines_end_at_their_end_or_at_the_bound() {
        let mut input = &b"ab\n\nabc\nabc"[..];
        let mut line = Vec::new();
        for expected in ["ab", "", "abc", "abc"] {
            assert_eq!(next_line(&mut input, &mut line, 3).unwrap(), Line::Read);
            assert_eq!(line, expected.as_bytes());
        }
        assert_eq!(next_line(&mut input, &mut line, 3).unwrap(), Line::Ended);
        assert_eq!(next_line(&mut &b"abcd\n"[..], &mut line, 3).unwrap(), Line::TooLong);
    }
}
