//! From the text of one flag to a checked value.

use crate::record::{Millis, Offset, Partition, parse_duration};
use crate::registry::Auth;
use crate::saga::Status;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Addresses of brokers, checked for their form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers(String);

impl Brokers {
    /// `host:port`, several separated by commas.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Brokers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where HTTP listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Here; port 0 takes a free one.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

/// An override of a param: its name, and its value as YAML text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Name.
    pub name: String,
    /// Value, read by the rules of the file.
    pub value: String,
}

/// A property for librdkafka. Its value may be a secret: it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// Name.
    pub key: String,
    /// Value.
    pub value: String,
}

impl std::fmt::Debug for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=…", self.key)
    }
}

/// A moment from which on something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long before now.
    Ago(Duration),
    /// This one, in milliseconds since the epoch.
    At(Millis),
}

/// Where a record lies in its topic: partition and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Partition.
    pub partition: Partition,
    /// Offset.
    pub offset: Offset,
}

pub(super) fn since(text: &str) -> Result<Since, String> {
    let moment = || text.parse::<jiff::Timestamp>().ok().map(|at| Since::At(at.as_millisecond()));
    let ago = || time(text).ok().map(Since::Ago);
    ago().or_else(moment).ok_or_else(|| "write a time `30m`, `2h`, `7d` or a moment `2026-11-21T08:00:00Z`".into())
}

pub(super) fn place(text: &str) -> Result<Place, String> {
    let numbers = text.split_once(':').and_then(|(partition, offset)| {
        let place = Place { partition: partition.parse().ok()?, offset: offset.parse().ok()? };
        (place.partition >= 0 && place.offset >= 0).then_some(place)
    });
    numbers.ok_or_else(|| "write partition and offset: `3:1742`".into())
}

/// Letters in a second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write `50/s`, `600/m` or `1000/h`".into()),
    };
    let number: u32 = number.parse().map_err(|_| "write a whole number with its time: `50/s`".to_owned())?;
    if number == 0 { Err("at that rate it never ends".into()) } else { Ok(f64::from(number) / seconds) }
}

pub(super) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("say why".into()) } else { Ok(text.to_owned()) }
}

pub(super) fn brokers(text: &str) -> Result<Brokers, String> {
    for address in text.split(',') {
        let (host, port) =
            address.trim().rsplit_once(':').ok_or_else(|| format!("`{address}` has no port: write `host:9092`"))?;
        if host.contains("://") || host.contains('/') {
            return Err(format!("`{address}` is no address: write `host:9092`, without a scheme"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-[]:".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(format!("`{address}` has no host: write `host:9092`"));
        }
        port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{port}` is no port"))?;
    }
    Ok(Brokers(text.split(',').map(str::trim).collect::<Vec<_>>().join(",")))
}

pub(super) fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen::Off);
    }
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map(Listen::At).map_err(|_| "write `127.0.0.1:7070`, `[::1]:7070` or `off`".into())
}

pub(super) fn param(text: &str) -> Result<Param, String> {
    let (name, value) = text.split_once('=').ok_or("write `params.name=value`")?;
    let name = name.trim().strip_prefix("params.").ok_or("only params can be set: write `params.name=value`")?;
    let ident = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(ident) {
        return Err(format!("`{name}` is no name of a param"));
    }
    Ok(Param { name: name.into(), value: value.into() })
}

/// A name with its value.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write `name=value`")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Who asks a schema registry: told, or in a file.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// These.
    Given(Auth),
    /// Those in the file.
    File(PathBuf),
}

pub(super) fn property(text: &str) -> Result<Property, String> {
    // The value may be a secret, so no message repeats it.
    let (key, value) = text.split_once('=').ok_or("write `key=value`")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if key.is_empty() || !key.chars().all(plain) {
        return Err("the name of a property has letters, digits and dots only".into());
    }
    Ok(Property { key: key.into(), value: value.into() })
}

/// Who asks a schema registry.
pub(super) fn credentials(text: &str) -> Result<Credentials, String> {
    // It is a secret: no message repeats it.
    let wrong = "write `basic:USER:PASSWORD`, `bearer:TOKEN` or `file:PATH`";
    match text.trim_end().split_once(':').ok_or(wrong)? {
        ("basic", rest) => {
            let (user, password) = rest.split_once(':').ok_or(wrong)?;
            Ok(Credentials::Given(Auth::Basic { user: user.into(), password: password.into() }))
        }
        ("bearer", token) if !token.is_empty() => Ok(Credentials::Given(Auth::Bearer(token.into()))),
        ("file", path) if !path.is_empty() => Ok(Credentials::File(path.into())),
        _ => Err(wrong.into()),
    }
}

/// Reads credentials from the text of a file.
pub fn credentials_of(text: &str) -> Result<Auth, String> {
    match credentials(text)? {
        Credentials::Given(auth) => Ok(auth),
        Credentials::File(_) => Err("a file of credentials does not name another one".into()),
    }
}

/// Worker ids become part of client ids, transactional ids and paths.
pub(super) fn worker_id(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        return Err("write 1 to 64 letters, digits, `-` and `_`".into());
    }
    Ok(text.into())
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .and_then(|time| Duration::try_from(time).ok())
        .ok_or_else(|| "write a number with a unit: `100ms`, `30s`, `5m`, `1h30m`".into())
}

pub(super) fn filter(text: &str) -> Result<String, String> {
    text.parse::<tracing_subscriber::filter::EnvFilter>().map_err(|error| error.to_string())?;
    Ok(text.into())
}

/// The status of an instance of a saga.
pub(super) fn status(text: &str) -> Result<Status, String> {
    Status::from_name(text).ok_or_else(|| {
        let all: Vec<&str> = Status::ALL.iter().map(|status| status.name()).collect();
        format!("one of {} is wanted", all.join(", "))
    })
}
