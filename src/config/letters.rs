//! Settings of what is done to dead letters: replay, edit, discard.

use super::flags::{Chosen, Letters};
use super::parse::{self, Place, Since};
use clap::{ArgGroup, Args};
use std::path::PathBuf;

/// Which letters are worked on.
#[derive(Clone, Debug)]
pub struct Picked {
    /// Condition, as written.
    pub filter: Option<String>,
    /// Only newer ones.
    pub since: Option<Since>,
    /// Only those at these places.
    pub places: Vec<Place>,
    /// At most so many.
    pub limit: Option<u64>,
    /// Those too that were replayed or discarded before.
    pub again: bool,
}

/// What is said with an act.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Spoken {
    /// Why, for the topic of acts
    #[arg(long, env = "SKALD_REASON", value_name = "TEXT")]
    pub reason: Option<String>,

    /// Who does this, for the topic of acts
    #[arg(long, env = "SKALD_BY", value_name = "NAME")]
    pub by: Option<String>,
}

/// How the record of a letter is changed.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// A file with the value; `-` is standard input.
    pub value: Option<PathBuf>,
    /// Fields of the value, and what they become.
    pub set: Vec<(String, String)>,
    /// Another key.
    pub key: Option<String>,
}

/// `skald dlq replay`
#[derive(Clone, Debug, Args)]
pub struct DlqReplay {
    #[command(flatten)]
    pub letters: Letters,

    #[command(flatten)]
    pub chosen: Chosen,

    #[command(flatten)]
    pub pick: Pick,

    /// At most so many letters in a time: `50/s`, `600/m`
    #[arg(long, env = "SKALD_RATE", value_name = "RATE", value_parser = parse::rate)]
    pub rate: Option<f64>,

    /// Leave out what was replayed so often already
    #[arg(long, env = "SKALD_MAX_REPLAYS", value_name = "N", default_value_t = 3)]
    pub max_replays: u32,

    /// Write nothing: say what would become of each letter, and with `--file` run the topology on them
    #[arg(long, env = "SKALD_DRY_RUN")]
    pub dry_run: bool,

    /// Topology file to run the letters on
    #[arg(long, env = "SKALD_FILE", value_name = "FILE", requires = "dry_run")]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub spoken: Spoken,
}

/// Which letters are worked on.
#[derive(Clone, Debug, Args)]
pub struct Pick {
    /// Only the one at this place, as `list` tells it; may be given several times
    #[arg(long, env = "SKALD_AT", value_name = "PLACE", value_delimiter = '\n', value_parser = parse::place)]
    pub at: Vec<Place>,

    /// At most so many
    #[arg(short = 'n', long, env = "SKALD_LIMIT", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,

    /// Those too that were replayed or discarded before
    #[arg(long, env = "SKALD_AGAIN")]
    pub again: bool,
}

/// `skald dlq discard`
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("which").args(["filter", "since", "at", "everything"]).required(true).multiple(true))]
pub struct DlqDiscard {
    #[command(flatten)]
    pub letters: Letters,

    #[command(flatten)]
    pub chosen: Chosen,

    #[command(flatten)]
    pub pick: Pick,

    /// All letters
    #[arg(long, env = "SKALD_EVERYTHING")]
    pub everything: bool,

    /// Why, for the topic of acts
    #[arg(long, env = "SKALD_REASON", value_name = "TEXT", value_parser = parse::reason)]
    pub reason: String,

    /// Who does this, for the topic of acts
    #[arg(long, env = "SKALD_BY", value_name = "NAME")]
    pub by: Option<String>,
}

/// `skald dlq edit`
#[derive(Clone, Debug, Args)]
pub struct DlqEdit {
    /// Where it lies, as `list` tells it: partition and offset
    #[arg(value_name = "PLACE", value_parser = parse::place)]
    pub place: Place,

    #[command(flatten)]
    pub letters: Letters,

    /// Take the value from a file, `-` from standard input [default: `$EDITOR` is opened with the value]
    #[arg(long, env = "SKALD_VALUE", value_name = "FILE", conflicts_with = "set")]
    pub value: Option<PathBuf>,

    /// A field of the value and what it becomes: `data.total=12`; JSON, else text. May be given several times
    #[arg(long, env = "SKALD_SET_FIELD", value_name = "PATH=VALUE", value_delimiter = '\n', value_parser = parse::pair)]
    pub set: Vec<(String, String)>,

    /// Another key; the record goes to the partition that the key belongs to
    #[arg(long, env = "SKALD_KEY", value_name = "TEXT")]
    pub key: Option<String>,

    /// Topology file whose schemas the changed record has to fit
    #[arg(long, env = "SKALD_FILE", value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// It may have been replayed or discarded before
    #[arg(long, env = "SKALD_AGAIN")]
    pub again: bool,

    /// Refuse what was replayed so often already
    #[arg(long, env = "SKALD_MAX_REPLAYS", value_name = "N", default_value_t = 3)]
    pub max_replays: u32,

    #[command(flatten)]
    pub spoken: Spoken,
}

pub(super) fn picked(chosen: Chosen, pick: Pick) -> Picked {
    Picked { filter: chosen.filter, since: chosen.since, places: pick.at, limit: pick.limit, again: pick.again }
}
