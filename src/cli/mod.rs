//! The commands: wires the rooms together and chooses the exit code.
//!
//! Stdout is data, stderr is talk. What went wrong is said once, here, with its causes and with what to do next; rooms below
//! return errors and print nothing.

mod apply;
mod bench;
mod check;
mod cluster;
mod dev;
mod dlq;
mod eval;
mod explain;
mod files;
mod fix;
mod fleet;
mod gate;
mod graph;
mod load;
mod new;
mod online;
mod plan;
mod problem;
mod report;
mod run;
mod saga;
mod schema;
mod schemas;
mod signals;
mod test;
mod text;
mod topic;

use problem::Problem;

use crate::config::{self, Action, Exit, Settings};
use crate::telemetry::{self, LogSettings};
use std::io::Write as _;
use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match config::read(std::env::args_os()) {
        Ok(settings) => run(&settings).into(),
        Err(error) => refuse(&error).into(),
    }
}

fn run(settings: &Settings) -> Exit {
    let format = match settings.log.format {
        config::LogFormat::Text => telemetry::LogFormat::Text,
        config::LogFormat::Json => telemetry::LogFormat::Json,
    };
    let logs = LogSettings { format, filter: settings.log.filter.clone(), colour: settings.color.talk };
    if let Err(error) = telemetry::init_logs(&logs) {
        let problem = Problem::of(Exit::Usage, &error);
        problem.tell();
        return problem.exit;
    }
    let done = match &settings.action {
        Action::Check(check) => check::check(check, settings.color),
        Action::Graph(graph) => graph::graph(graph, settings.color),
        Action::Eval(eval) => eval::eval(eval, settings.color),
        Action::New(new) => new::new(new),
        Action::Schema(schema) => schema::schema(schema),
        Action::Completions(completions) => schema::completions(completions),
        Action::Explain(explain) => explain::explain(explain, settings.color),
        Action::Dlq(dlq) => dlq::dlq(dlq),
        Action::Topic(topic) => topic::topic(topic),
        Action::Saga(saga) => saga::saga(saga),
        Action::Test(test) => test::test(test, settings.color),
        Action::Plan(plan) => plan::plan(plan, settings.color),
        Action::Apply(apply) => apply::apply(apply, settings.color),
        Action::Bench(bench) => bench::bench(bench),
        Action::Run(run) => run::run(run, settings.color),
        Action::Dev(dev) => dev::dev(dev, settings.color),
    };
    done.unwrap_or_else(|problem: Problem| {
        problem.tell();
        problem.exit
    })
}

/// Help and version are answers; everything else is a wrong command line.
fn refuse(error: &config::Error) -> Exit {
    match error {
        config::Error::Flags(error) => {
            // Nowhere to write to is nothing to write about.
            let _ = error.print();
            if error.exit_code() == 0 {
                return Exit::Ok;
            }
            let told = error.to_string();
            if told.contains("--brokers") && error.kind() == clap::error::ErrorKind::MissingRequiredArgument {
                let _ = writeln!(std::io::stderr(), "\nTo try a topology without Kafka: skald dev [PATH]");
            }
        }
        config::Error::Conflict(message) => {
            let _ = writeln!(std::io::stderr(), "error: {message}");
        }
    }
    Exit::Usage
}

/// Says something beside the data.
fn talk(text: &str) {
    // Nowhere to write to is nothing to write about.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes data; a reader that has gone (`skald graph | head`) is no trouble.
fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
