//! `skald new`: a folder with a topology to begin from.

use super::{Problem, out};
use crate::config::{Exit, New, Template};
use crate::topology::language;
use std::fs;
use std::io;
use std::path::Path;

/// Files of a template: their names and texts. `NAME` in them becomes the name of the topology.
type Files = &'static [(&'static str, &'static str)];

/// The name in the texts, as they are kept.
const PLACEHOLDER: &str = "topology: NAME";

const ORDERS: Files = &[
    ("topology.yaml", include_str!("orders/topology.yaml")),
    ("topology.test.yaml", include_str!("orders/topology.test.yaml")),
    ("schemas/order.place.v1.json", include_str!("orders/schemas/order.place.v1.json")),
    ("schemas/order.placed.v1.json", include_str!("orders/schemas/order.placed.v1.json")),
    ("schemas/order.cancel.v1.json", include_str!("orders/schemas/order.cancel.v1.json")),
    ("schemas/order.cancelled.v1.json", include_str!("orders/schemas/order.cancelled.v1.json")),
    ("schemas/mail.wanted.v1.json", include_str!("orders/schemas/mail.wanted.v1.json")),
];
const SAGA: Files = &[
    ("topology.yaml", include_str!("saga/topology.yaml")),
    ("topology.test.yaml", include_str!("saga/topology.test.yaml")),
    ("README.md", include_str!("saga/README.md")),
    ("schemas/booking.wanted.v1.json", include_str!("saga/schemas/booking.wanted.v1.json")),
    ("schemas/booking.withdrawn.v1.json", include_str!("saga/schemas/booking.withdrawn.v1.json")),
    ("schemas/booking.confirmed.v1.json", include_str!("saga/schemas/booking.confirmed.v1.json")),
    ("schemas/booking.failed.v1.json", include_str!("saga/schemas/booking.failed.v1.json")),
    ("schemas/room.v1.json", include_str!("saga/schemas/room.v1.json")),
    ("schemas/payment.charge.v1.json", include_str!("saga/schemas/payment.charge.v1.json")),
    ("schemas/payment.refund.v1.json", include_str!("saga/schemas/payment.refund.v1.json")),
];
const EMPTY: Files = &[("topology.yaml", include_str!("empty/topology.yaml"))];

/// Makes the folder. Nothing that is there is written over.
pub(super) fn new(settings: &New) -> Result<Exit, Problem> {
    let dir = settings.dir.as_path();
    let name = name_of(dir)?;
    let files = match settings.template {
        Template::Orders => ORDERS,
        Template::Saga => SAGA,
        Template::Empty => EMPTY,
    };
    vacant(dir)?;
    for (path, text) in files {
        write(dir, path, &text.replace(PLACEHOLDER, &format!("topology: {name}")))?;
    }
    write(dir, ".schema/topology.json", &format!("{:#}\n", language::schema()))?;
    let made: String = files.iter().map(|(path, _)| format!("{}\n", dir.join(path).display())).collect();
    out(&made);
    let has_scenarios = files.iter().any(|(path, _)| path.ends_with(".test.yaml"));
    let test = if has_scenarios { format!("skald test {}\n", dir.display()) } else { String::new() };
    super::talk(&format!("skald check {0}\n{test}skald dev {0}/topology.yaml\n", dir.display()));
    Ok(Exit::Ok)
}

/// The name of the topology: that of the folder, in the letters that a name may have.
fn name_of(dir: &Path) -> Result<String, Problem> {
    let last = dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let letters: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let name = letters.trim_matches('-');
    if name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Ok(name.to_owned());
    }
    Err(Problem::new(Exit::Usage, format!("`{}` gives a topology no name", dir.display()))
        .hint("the folder's name becomes the topology's: small letters, digits and `-`, a letter first"))
}

fn vacant(dir: &Path) -> Result<(), Problem> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Problem::new(Exit::Failed, format!("`{}` is not empty", dir.display()))
                .hint("name a folder that is not there yet: nothing is written over")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Problem::new(Exit::Failed, format!("`{}` cannot be read: {error}", dir.display()))),
    }
}

fn write(dir: &Path, path: &str, text: &str) -> Result<(), Problem> {
    let path = dir.join(path);
    let folder = path.parent().unwrap_or(dir);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
    written.map_err(|error| Problem::new(Exit::Failed, format!("`{}` cannot be written: {error}", path.display())))
}
