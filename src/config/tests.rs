//! The command line, from text to settings.

use super::*;
use clap::CommandFactory;
use std::path::Path;

fn settings(line: &str) -> Result<Settings, String> {
    let arguments = std::iter::once("skald").chain(line.split(' ').filter(|word| !word.is_empty()));
    let flags = Flags::try_parse_from(arguments).map_err(|error| error.to_string())?;
    resolve(flags, Colors { out: false, talk: false }).map_err(|error| error.to_string())
}

fn run_of(line: &str) -> Run {
    match settings(line).unwrap().action {
        Action::Run(run) => *run,
        other => panic!("{other:?}"),
    }
}

fn dev_of(line: &str) -> Dev {
    match settings(line).unwrap().action {
        Action::Dev(dev) => *dev,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_definition_of_flags_is_sound() {
    Flags::command().debug_assert();
}

#[test]
fn every_flag_has_its_environment_twin() {
    let mut root = Flags::command();
    root.build();
    let commands = std::iter::once(&root).chain(root.get_subcommands().filter(|command| command.get_name() != "help"));
    let mut seen = 0;
    for command in commands {
        for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
            let Some(long) = arg.get_long().filter(|long| !matches!(*long, "help" | "version")) else { continue };
            let twin = format!("SKALD_{}", long.to_uppercase().replace('-', "_"));
            let env = arg.get_env().map(|name| name.to_string_lossy().into_owned());
            assert_eq!(env.as_deref(), Some(twin.as_str()), "--{long} of `{}`", command.get_name());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn the_page_of_flags_is_what_the_definition_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/flags.md");
    let page = flags_page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), page, "run `UPDATE=1 cargo test --lib config`");
}

#[test]
fn what_is_not_given_has_its_default() {
    let run = run_of("run a.yaml -b localhost:9092");
    assert_eq!(run.cluster.brokers.as_str(), "localhost:9092");
    assert_eq!(run.state_dir, Path::new(".skald"));
    assert_eq!(run.listen, Listen::At("127.0.0.1:7070".parse().unwrap()));
    assert_eq!(run.group.session_timeout, Duration::from_secs(10));
    assert_eq!(run.group.commit_interval, Duration::from_millis(100));
    assert_eq!(run.group.protocol, GroupProtocol::Classic);
    assert_eq!(run_of("run a.yaml -b k:1 --group-protocol consumer").group.protocol, GroupProtocol::Consumer);
    assert!(run.threads >= 1 && run.worker.is_none() && !run.stay && !run.create_topics);

    let dev = dev_of("dev");
    assert_eq!((dev.rate, dev.seed, dev.duration, dev.path), (Some(200), 1, None, None));
    assert_eq!(dev_of("dev --rate 0").rate, None);
}

#[test]
fn what_is_given_is_taken() {
    let run = run_of(
        "run a.yaml b -b k1:9092,k2:9093 --threads 3 --worker-id w-1 --state-dir /tmp/s --create-topics --stay --listen off \
         --set params.rate=0.5 --set params.name=x=y -X client.rack=a -X sasl.password=a=b --session-timeout 6s",
    );
    assert_eq!(run.paths.len(), 2);
    assert_eq!(run.cluster.brokers.as_str(), "k1:9092,k2:9093");
    assert_eq!((run.threads, run.worker.as_deref(), run.listen), (3, Some("w-1"), Listen::Off));
    assert_eq!(run.params[1], Param { name: "name".into(), value: "x=y".into() });
    assert_eq!(run.cluster.properties[1], Property { key: "sasl.password".into(), value: "a=b".into() });
    assert_eq!(run.group.session_timeout, Duration::from_secs(6));
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_write() {
    for (line, expected) in [
        ("run a.yaml", "--brokers"),
        ("run -b k:1", "PATH"),
        ("run a.yaml -b kafka", "has no port"),
        ("run a.yaml -b http://kafka:9092", "without a scheme"),
        ("run a.yaml -b :9092", "has no host"),
        ("run a.yaml -b k:0", "is no port"),
        ("run a.yaml -b k:99999", "is no port"),
        ("run a.yaml -b k:1 --threads 0", "0 is not in 1..=256"),
        ("run a.yaml -b k:1 --worker-id ../x", "letters, digits"),
        ("run a.yaml -b k:1 --worker-id a.b", "letters, digits"),
        ("run a.yaml -b k:1 --listen 7070", "127.0.0.1:7070"),
        ("run a.yaml -b k:1 --set x=1", "only params can be set"),
        ("run a.yaml -b k:1 --set params.1x=1", "no name of a param"),
        ("run a.yaml -b k:1 -X nothing", "key=value"),
        ("run a.yaml -b k:1 --session-timeout 10", "a number with a unit"),
        ("run a.yaml -b k:1 --session-timeout 1ms", "must lie between"),
        ("run a.yaml -b k:1 --session-timeout 90s", "must not be shorter than --session-timeout"),
        ("run a.yaml -b k:1 --commit-interval 20s", "must be longer than --commit-interval"),
        ("run a.yaml -b k:1 --guarantee at-most-once", "exactly_once, at_least_once"),
        ("run a.yaml -b k:1 --group-protocol eager", "classic, consumer"),
        ("run a.yaml -b k:1 --group-protocol consumer --stay", "no place is kept"),
        ("run a.yaml -b k:1 --group-protocol consumer --guarantee at_least_once", "must know the session"),
        ("dev --duration 1ms", "must lie between"),
        ("dev --rate -1", "unexpected argument"),
        ("check", "PATH"),
        ("check a.yaml --log =!", "invalid"),
        ("fly", "unrecognized subcommand"),
    ] {
        let error = settings(line).expect_err(line);
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn a_secret_property_is_in_no_debug_text_and_no_message() {
    let run = run_of("run a.yaml -b k:1 -X sasl.password=canary");
    assert!(!format!("{run:?}").contains("canary"));
    let error = settings("run a.yaml -b k:1 -X sasl.pass/word=canary").unwrap_err();
    // Clap repeats what stood on the command line, which the user has before them; our own words do not.
    assert!(error.contains("letters, digits and dots"), "{error}");
}
