//! `skald plan`: what applying a topology would create and change, and what that means.

use super::cluster::connect;
use super::gate::{self, Reach};
use super::load::{Checked, Reading};
use super::schemas::Subjects;
use super::{Problem, out, schemas};
use crate::change::{Mark, Sheet, TopicLine};
use crate::config::{Against, Colors, Exit, OutputFormat, Plan};
use crate::runtime::Survey;
use crate::topology::plan::{Owner, PlannedTopic};

/// Shows the plan of every file; the sheets are data, so they go to stdout.
pub(super) fn plan(settings: &Plan, color: Colors) -> Result<Exit, Problem> {
    let registry = schemas::client(settings.registry.as_ref())?;
    let subjects = Subjects::of(registry.as_ref());
    let all = Reading::with(&settings.paths, &settings.params, subjects.as_ref())?.checked(color.talk)?;
    let broker = settings.cluster.as_ref().map(connect).transpose()?;
    if matches!(settings.against, Against::File(_)) && all.len() > 1 {
        return Err(Problem::new(Exit::Usage, "one file is compared with one: name one topology"));
    }
    let mut sheets = Vec::new();
    for checked in &all {
        let mut sheet = sheet(checked);
        let mut reach = Reach::unknown();
        if let Some(registry) = &registry {
            sheet.schemas = schemas::lines(&**registry, checked)?;
        }
        if let Some(broker) = &broker {
            let survey = gate::survey(broker, checked)?;
            sheet.topics = topics(checked, &survey);
            reach = Reach::of(&survey);
        }
        match (&settings.against, &broker) {
            (Against::File(file), _) => {
                let old = Reading::with(std::slice::from_ref(file), &settings.params, subjects.as_ref())?;
                let mut files = old.files;
                let old = files.pop().filter(|_| files.is_empty());
                let comparison = gate::compared(old, checked, &reach)
                    .map_err(|why| Problem::new(Exit::Findings, format!("`{}` cannot be compared: {why}", file.display())))?;
                sheet.against = Some(file.display().to_string());
                sheet.comparison = Some(comparison);
                "nothing is recorded".clone_into(&mut sheet.definition);
            }
            (Against::Cluster, Some(broker)) => {
                let applied = gate::applied_to(broker, &checked.plan.topology)?;
                let mut weighed = gate::weigh(&applied, checked, &reach);
                gate::look_after_instances(broker, &applied, checked, &mut weighed)?;
                sheet.against = weighed.against;
                sheet.comparison = weighed.comparison;
                sheet.refusal = weighed.refusal;
                sheet.records = weighed.records;
                sheet.definition = weighed.text;
            }
            (Against::Nothing | Against::Cluster, _) => "nothing is compared".clone_into(&mut sheet.definition),
        }
        sheets.push(sheet);
    }
    match settings.output {
        OutputFormat::Table => {
            let texts: Vec<String> = sheets.iter().map(|sheet| sheet.text(color.out)).collect();
            out(&texts.join("\n"));
        }
        OutputFormat::Json => {
            let list: serde_json::Value = sheets.iter().map(Sheet::json).collect();
            out(&format!("{list:#}\n"));
        }
    }
    let exit = match settings.exit_code {
        false => Exit::Ok,
        true if sheets.iter().any(Sheet::is_refused) => Exit::Failed,
        true if sheets.iter().any(Sheet::has_differences) => Exit::Differences,
        true => Exit::Ok,
    };
    Ok(exit)
}

fn sheet(checked: &Checked) -> Sheet {
    Sheet::of(&checked.file, checked.side())
}

/// The topics of a plan beside those of a cluster, those that need something first.
fn topics(checked: &Checked, survey: &Survey) -> Vec<TopicLine> {
    let mut lines = Vec::new();
    for problem in &survey.problems {
        lines.push(TopicLine {
            mark: Mark::Changed,
            name: problem.topic.to_string(),
            text: format!("expected {}, found {}", problem.expected, problem.found),
            problem: true,
            hint: Some(problem.next.clone()),
        });
    }
    for (topic, beside) in checked.plan.topics.iter().zip(&survey.topics) {
        let (name, problem) = (topic.name.to_string(), false);
        if lines.iter().any(|line| line.name == name) {
            continue;
        }
        let line = match &beside.found {
            None => TopicLine { mark: Mark::Added, text: wanted(topic, beside), hint: None, name, problem },
            Some(info) if beside.differing.is_empty() => {
                TopicLine { mark: Mark::Same, text: partitions(Some(info.partitions)), hint: None, name, problem }
            }
            Some(_) => {
                let differing: Vec<String> =
                    beside.differing.iter().map(|(setting, wanted, found)| format!("{setting}: {found} → {wanted}")).collect();
                let hint = Some(by_hand(&name, &beside.differing));
                TopicLine { mark: Mark::Changed, text: differing.join(", "), hint, name, problem }
            }
        };
        lines.push(line);
    }
    lines.sort_by_key(|line| !line.problem);
    lines
}

/// How settings of a topic that is there are set.
pub(super) fn by_hand(topic: &str, differing: &[(String, String, String)]) -> String {
    let config: Vec<String> = differing.iter().map(|(setting, wanted, _)| format!("{setting}={wanted}")).collect();
    let command = format!("kafka-configs --alter --topic {topic} --add-config {}", config.join(","));
    format!("topics that are there are not changed; by hand: `{command}`")
}

fn wanted(topic: &PlannedTopic, beside: &crate::runtime::Surveyed) -> String {
    let settings = beside.wanted.iter().map(|(name, value)| format!("{name}={value}"));
    let maker = match topic.owner {
        Owner::User => "by `apply`, or `run --create-topics`",
        Owner::Engine => "by `apply`, or at the start",
    };
    let mut parts = vec![partitions(beside.partitions)];
    parts.extend(settings);
    format!("{} ({maker})", parts.join(", "))
}

fn partitions(count: Option<u32>) -> String {
    match count {
        Some(1) => "1 partition".to_owned(),
        Some(count) => format!("{count} partitions"),
        None => "as many partitions as is the cluster's default".to_owned(),
    }
}
