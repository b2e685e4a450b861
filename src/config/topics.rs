//! Flags and settings of `skald topic`. Their letters are kcat's, so that its habits need no unlearning.

use super::parse::{self, Since};
use super::{Cluster, OutputFormat, flags};
use crate::record::{Offset, Partition};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `skald topic`
#[derive(Clone, Debug)]
pub struct Topic {
    /// Where Kafka is.
    pub cluster: Cluster,
    /// What is wanted.
    pub wish: TopicWish,
}

/// What is wanted of topics.
#[derive(Clone, Debug)]
pub enum TopicWish {
    /// Which ones there are.
    List(TopicList),
    /// A new one.
    Create(TopicCreate),
    /// The records of one.
    Cat(TopicCat),
    /// Records for one.
    Produce(TopicProduce),
}

/// `skald topic` as it is written.
#[derive(Clone, Debug, Subcommand)]
pub enum TopicFlags {
    /// List topics, with their partitions
    List {
        /// Where Kafka is.
        #[command(flatten)]
        cluster: flags::Cluster,
        /// The rest.
        #[command(flatten)]
        list: TopicList,
    },
    /// Create a topic
    Create {
        /// Where Kafka is.
        #[command(flatten)]
        cluster: flags::Cluster,
        /// The rest.
        #[command(flatten)]
        create: TopicCreate,
    },
    /// Write the committed records of a topic to stdout, and go on with what is added
    Cat {
        /// Where Kafka is.
        #[command(flatten)]
        cluster: flags::Cluster,
        /// The rest.
        #[command(flatten)]
        cat: TopicCat,
    },
    /// Write lines into a topic, a record each
    Produce {
        /// Where Kafka is.
        #[command(flatten)]
        cluster: flags::Cluster,
        /// The rest.
        #[command(flatten)]
        produce: TopicProduce,
    },
}

/// `skald topic list`
#[derive(Clone, Debug, Args)]
pub struct TopicList {
    /// Only these [default: all]
    #[arg(value_name = "TOPIC")]
    pub topics: Vec<String>,

    /// Also their settings, defaults included
    #[arg(long, env = "SKALD_SETTINGS")]
    pub settings: bool,

    /// Form of the answer
    #[arg(short, long, env = "SKALD_OUTPUT", value_enum, default_value_t = OutputFormat::Table)]
    pub output: OutputFormat,
}

/// `skald topic create`
#[derive(Clone, Debug, Args)]
pub struct TopicCreate {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Number of partitions [default: the cluster's]
    #[arg(long, env = "SKALD_PARTITIONS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: Option<u32>,

    /// Replicas of each partition [default: the cluster's]
    #[arg(long, env = "SKALD_REPLICATION", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub replication: Option<u16>,

    /// A setting: `cleanup.policy=compact`; may be given several times
    #[arg(long, env = "SKALD_CONFIG", value_name = "KEY=VALUE", value_delimiter = '\n', value_parser = parse::pair)]
    pub config: Vec<(String, String)>,

    /// A topic that is there already is no failure; it stays as it is
    #[arg(long, env = "SKALD_IF_NOT_EXISTS")]
    pub if_not_exists: bool,
}

/// `skald topic cat`
#[derive(Clone, Debug, Args)]
pub struct TopicCat {
    /// The topic
    #[arg(value_name = "TOPIC")]
    pub topic: String,

    /// Where to begin, in each partition: `beginning`, `end`, an offset, `-N` (the last N offsets), `@MILLIS`, `@2026-11-21T08:00:00Z`
    /// or `@2h` (so long ago)
    #[arg(short, long, env = "SKALD_OFFSET", value_name = "OFFSET", default_value = "beginning", allow_hyphen_values = true, value_parser = begin)]
    pub offset: Begin,

    /// End where the topic ends now
    #[arg(short, long, env = "SKALD_EXIT")]
    pub exit: bool,

    /// End after so many records
    #[arg(short, long, env = "SKALD_COUNT", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Only this partition
    #[arg(short, long, env = "SKALD_PARTITION", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<Partition>,

    /// How to write a record: `%t` topic, `%p` partition, `%o` offset, `%k` key, `%s` value, `%h` headers, `%T` time in ms, `%K` and
    /// `%S` lengths of key and value (-1: null), `%%`, `\n`, `\r`, `\t`, `\xHH` [default: `%s\n`]
    #[arg(short, long, env = "SKALD_FORMAT", value_name = "FORMAT", conflicts_with_all = ["json", "delimiter"])]
    pub format: Option<String>,

    /// Write each record as one line of JSON
    #[arg(short = 'J', long, env = "SKALD_JSON", conflicts_with = "delimiter")]
    pub json: bool,

    /// Write the key before the value, with this between them
    #[arg(short = 'K', long, env = "SKALD_DELIMITER", value_name = "DELIM")]
    pub delimiter: Option<String>,

    /// Write `NULL` for a key or value that is null
    #[arg(short = 'Z', long, env = "SKALD_NULL")]
    pub null: bool,
}

/// `skald topic produce`
#[derive(Clone, Debug, Args)]
pub struct TopicProduce {
    /// The topic
    #[arg(value_name = "TOPIC")]
    pub topic: String,

    /// File with a record per line [default: stdin]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// What ends the key in a line; without it records have no key
    #[arg(short = 'K', long, env = "SKALD_DELIMITER", value_name = "DELIM")]
    pub delimiter: Option<String>,

    /// A header for all records; may be given several times
    #[arg(short = 'H', long, env = "SKALD_HEADER", value_name = "NAME=VALUE", value_delimiter = '\n', value_parser = parse::pair)]
    pub header: Vec<(String, String)>,

    /// Into this partition [default: by the key as Kafka's Java client does; without a key in turn]
    #[arg(short, long, env = "SKALD_PARTITION", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<Partition>,

    /// A key or value that is empty is null: a tombstone
    #[arg(short = 'Z', long, env = "SKALD_NULL")]
    pub null: bool,
}

/// Where to begin in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At the first record.
    Beginning,
    /// After the last one.
    End,
    /// At this offset.
    At(Offset),
    /// So many offsets before the end.
    Last(Offset),
    /// At the first record that is not older.
    Since(Since),
}

fn begin(text: &str) -> Result<Begin, String> {
    let number = |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let found = match text {
        "beginning" => Some(Begin::Beginning),
        "end" => Some(Begin::End),
        _ => match (text.strip_prefix('-'), text.strip_prefix('@')) {
            (Some(last), _) => number(last).map(Begin::Last),
            (_, Some(time)) => number(time).map(Since::At).or_else(|| parse::since(time).ok()).map(Begin::Since),
            _ => number(text).map(Begin::At),
        },
    };
    found.ok_or_else(|| "write `beginning`, `end`, an offset, `-10`, `@1763712000000`, `@2026-11-21T08:00:00Z` or `@2h`".into())
}

pub(super) fn topic(raw: TopicFlags) -> Topic {
    let (cluster, wish) = match raw {
        TopicFlags::List { cluster, list } => (cluster, TopicWish::List(list)),
        TopicFlags::Create { cluster, create } => (cluster, TopicWish::Create(create)),
        TopicFlags::Cat { cluster, cat } => (cluster, TopicWish::Cat(cat)),
        TopicFlags::Produce { cluster, produce } => (cluster, TopicWish::Produce(produce)),
    };
    Topic { cluster: cluster.into(), wish }
}

#[cfg(test)]
mod tests {
    use super::{Begin, Since, begin};
    use std::time::Duration;

    #[test]
    fn a_beginning_is_said_in_several_ways() {
        for (text, expected) in [
            ("beginning", Begin::Beginning),
            ("end", Begin::End),
            ("0", Begin::At(0)),
            ("42", Begin::At(42)),
            ("-10", Begin::Last(10)),
            ("@1763712000000", Begin::Since(Since::At(1_763_712_000_000))),
            ("@1970-01-01T00:00:01Z", Begin::Since(Since::At(1_000))),
            ("@2h", Begin::Since(Since::Ago(Duration::from_hours(2)))),
        ] {
            assert_eq!(begin(text), Ok(expected), "{text}");
        }
        for text in ["", "-", "@", "+1", "--1", "-@1", "middle", "99999999999999999999", "@yesterday"] {
            assert!(begin(text).is_err(), "{text}");
        }
    }
}
