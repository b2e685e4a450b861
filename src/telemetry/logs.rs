//! Logs: to stderr, as text for people or JSON for machines.
//!
//! What goes where is a rule for whoever logs: payloads of records at trace level only, secrets never. Libraries are kept to
//! warnings unless the filter names them.

use std::io::Write;
use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Form of a line.
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`, `off`), or directives like `info,skald::runtime=debug`.
    pub filter: String,
    /// Colours, in text on a terminal.
    pub colour: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".into(), colour: false }
    }
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("log filter `{filter}`: {reason}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else has set logs up in this process.
    #[error("logs are set up already")]
    Taken,
}

/// Libraries whose own notices are about their inner workings.
const QUIET: [&str; 6] = ["fjall=warn", "lsm_tree=warn", "sfa=warn", "hyper=warn", "librdkafka=warn", "rdkafka=warn"];

/// Sets logs up for this process, once.
pub fn init_logs(settings: &LogSettings) -> Result<(), LogError> {
    let subscriber = subscriber(settings, std::io::stderr)?;
    // `log` records of libraries come along.
    tracing_subscriber::util::SubscriberInitExt::try_init(subscriber).map_err(|_| LogError::Taken)
}

fn subscriber<W>(settings: &LogSettings, writer: W) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'a> MakeWriter<'a, Writer: Write> + Send + Sync + 'static,
{
    let builder = SubscriberBuilder::default().with_env_filter(filter(&settings.filter)?).with_writer(writer);
    Ok(match settings.format {
        LogFormat::Text => Box::new(builder.with_ansi(settings.colour).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

fn filter(filter: &str) -> Result<EnvFilter, LogError> {
    let refused = |reason: String| LogError::Filter { filter: filter.into(), reason };
    if filter.trim().is_empty() {
        return Err(refused("is empty".into()));
    }
    // Of directives for one target the last one holds, so those of the filter win.
    let directives = QUIET.iter().copied().chain([filter.trim()]).collect::<Vec<_>>().join(",");
    EnvFilter::builder().parse(directives).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("one thread").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(settings: &LogSettings, log: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(settings, move || writer.clone()).expect("the filter is right");
        tracing::subscriber::with_default(subscriber, log);
        let text = lines.0.lock().expect("one thread").clone();
        String::from_utf8(text).expect("text").lines().map(Into::into).collect()
    }

    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        let log = || {
            tracing::info!(target: "skald::runtime", "ours");
            tracing::info!(target: "fjall", "theirs");
            tracing::warn!(target: "fjall::journal", "their warning");
        };
        let seen = |filter: &str| lines(&LogSettings { filter: filter.into(), ..LogSettings::default() }, log).len();
        for (filter, count) in [("info", 2), ("info,fjall=info", 3), ("warn", 1), ("off,skald=info", 2), ("error,fjall=off", 0)]
        {
            assert_eq!(seen(filter), count, "{filter}");
        }
    }

    #[test]
    fn json_lines_hold_fields_by_name() {
        let settings = LogSettings { format: LogFormat::Json, ..LogSettings::default() };
        let lines = lines(&settings, || tracing::warn!(topology = "shop", offset = 7, "halted"));
        let line: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!(
            (&line["level"], &line["message"], &line["topology"], &line["offset"]),
            (&"WARN".into(), &"halted".into(), &"shop".into(), &7.into())
        );
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused() {
        for filter in ["", "  ", "skald=loud", "a=b=c", "info,=,"] {
            let settings = LogSettings { filter: filter.into(), ..LogSettings::default() };
            assert!(matches!(subscriber(&settings, std::io::sink), Err(LogError::Filter { .. })), "{filter:?}");
        }
    }
}
