//! The built binary from outside: help, exit codes, findings, a run of `dev` with its self-check.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

#[path = "cli/util.rs"]
mod util;

use std::time::Duration;
use util::{Folder, json_lines, skald};

const GOOD: &str = "\
skald: 1
topology: counts
topics:
  clicks:
    partitions: 2
    key: data.page
    types:
      page.clicked.v1: click.json
aggregates:
  pages:
    from: clicks
    initial: { clicks: 0 }
    evolve:
      page.clicked.v1:
        set: { clicks: =state.clicks + 1 }
";
const CLICK: &str =
    r#"{ "type": "object", "required": ["page"], "properties": { "page": { "type": "string", "minLength": 1 } } }"#;

fn good() -> Folder {
    Folder::new(&[("counts.yaml", GOOD), ("click.json", CLICK)])
}

#[test]
fn help_and_version_are_answers() {
    for (arguments, part) in [
        (&["--help"][..], "skald dev"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["run", "--help"], "--state-dir"),
        (&["dev", "--help"], "SKALD_RATE"),
    ] {
        let run = skald(&Folder::new(&[]), arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.err);
        assert!(run.out.contains(part), "{arguments:?}: {}", run.out);
    }
}

#[test]
fn every_kind_of_failure_has_its_exit_code_and_says_what_to_do() {
    let folder = Folder::new(&[
        ("counts.yaml", GOOD),
        ("click.json", CLICK),
        ("bad.yaml", "skald: 1\ntopologie: x\n"),
        ("empty/x.txt", ""),
    ]);
    for (arguments, code, said) in [
        (&["fly"][..], 2, "unrecognized subcommand"),
        (&["check"], 2, "PATH"),
        (&["run", "counts.yaml"], 2, "skald dev"),
        (&["run", "counts.yaml", "-b", "kafka"], 2, "has no port"),
        (&["run", "counts.yaml", "-b", "127.0.0.1:1", "-X", "enable.idempotence=false"], 2, "it is the engine's"),
        (&["run", "counts.yaml", "-b", "127.0.0.1:1", "-X", "no.such=1"], 2, "no.such"),
        (&["dev", "--log", "=!"], 2, "filter"),
        (&["check", "bad.yaml"], 3, "2 errors"),
        (&["run", "bad.yaml", "-b", "127.0.0.1:1"], 3, "nothing was started"),
        (&["dev", "bad.yaml"], 3, "nothing was started"),
        (&["check", "nothing.yaml"], 5, "nothing.yaml"),
        (&["check", "empty"], 5, "begin with `skald: 1`"),
        (&["run", "counts.yaml", "-b", "127.0.0.1:1"], 6, "skald dev"),
    ] {
        let run = skald(&folder, arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}{}", run.out, run.err);
        assert!(run.err.contains(said), "{arguments:?}: {}", run.err);
    }
}

#[test]
fn a_good_file_has_no_findings() {
    let folder = good();
    let run = skald(&folder, &["check", "counts.yaml", "--deny-warnings"]);
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{}", run.err);
    assert!(run.err.contains("1 file checked, no findings"));
    let run = skald(&folder, &["check", ".", "-o", "json"]);
    assert_eq!((run.code, run.out.trim()), (0, "[]"), "{}", run.err);
}

#[test]
fn findings_are_data_with_their_place() {
    let broken = GOOD.replace("=state.clicks + 1", "=state.clics + 1").replace("from: clicks", "from: klicks");
    let folder = Folder::new(&[("counts.yaml", &broken), ("click.json", CLICK), ("other.yaml", "a: 1\n")]);
    let run = skald(&folder, &["check", ".", "-o", "json"]);
    assert_eq!(run.code, 3, "{}", run.err);
    let findings: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let found = |code: &str| findings.as_array().unwrap().iter().find(|found| found["code"] == code).cloned();
    let topic = found("E202").unwrap_or_else(|| panic!("{findings:#}"));
    assert_eq!((&topic["severity"], &topic["line"], &topic["column"]), (&"error".into(), &11.into(), &11.into()), "{topic}");
    assert!(topic["file"].as_str().unwrap().ends_with("counts.yaml"));
    assert!(topic["hint"].as_str().unwrap().contains("clicks"));
    for field in ["code", "severity", "file", "line", "column", "message", "hint"] {
        assert!(topic.get(field).is_some(), "{field}");
    }
    let run = skald(&folder, &["check", "counts.yaml"]);
    assert!(run.out.contains("counts.yaml:11:11"), "{}", run.out);
}

#[test]
fn warnings_alone_are_findings_only_when_asked() {
    let warned = GOOD.replace("topics:", "params:\n  unused: 1\ntopics:");
    let folder = Folder::new(&[("counts.yaml", &warned), ("click.json", CLICK)]);
    assert_eq!(skald(&folder, &["check", "counts.yaml"]).code, 0);
    let run = skald(&folder, &["check", "counts.yaml", "--deny-warnings"]);
    assert_eq!(run.code, 3);
    assert!(run.out.contains("W201"), "{}", run.out);
}

#[test]
fn a_schema_that_was_not_looked_up_is_a_warning_and_nothing_runs_without_it() {
    let folder = good();
    let registered = GOOD.replace("click.json", "registry:clicks-value@3");
    std::fs::write(folder.path().join("counts.yaml"), &registered).unwrap();
    std::fs::write(
        folder.path().join("counts.test.yaml"),
        "skald-test: 1\ntopology: counts.yaml\ncases: [{ name: one, steps: [{ settle: true }] }]\n",
    )
    .unwrap();
    let run = skald(&folder, &["check", "counts.yaml"]);
    assert!(run.code == 0 && run.out.contains("warning[W402]: `registry:clicks-value@3` was not looked up"), "{run:?}");
    let refusal = "the schema `registry:clicks-value@3` is in a schema registry, and none is named";
    for arguments in
        [&["dev", "counts.yaml", "--duration", "1s", "--listen", "off"][..], &["plan", "counts.yaml"], &["test", "."]]
    {
        let run = skald(&folder, arguments);
        assert!(run.code != 0 && format!("{}{}", run.out, run.err).contains(refusal), "{arguments:?}: {run:?}");
    }
    let away = ["--schema-registry", "http://127.0.0.1:1"];
    let run = skald(&folder, &[&["plan", "counts.yaml"], &away[..]].concat());
    assert!(run.code == 6 && run.err.contains("the schema registry does not answer"), "{run:?}");
    let run = skald(&folder, &[&["check", "counts.yaml"], &away[..]].concat());
    assert!(
        run.code == 3
            && run.out.contains("error[E212]: `registry:clicks-value@3` cannot be read: the schema registry does not answer"),
        "{run:?}"
    );
}

#[test]
fn hostile_files_end_in_a_finding_within_seconds() {
    let bomb: String = (1..40).fold("x-a: &a0 [x]\n".into(), |text, n| text + &format!("x-{n}: &a{n} [*a{0}, *a{0}]\n", n - 1));
    let deep = format!("skald: 1\nx-a: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!("skald: 1\ntopology: {}\n", "x".repeat(1 << 20));
    for (name, text) in [("bomb.yaml", format!("skald: 1\n{bomb}")), ("deep.yaml", deep), ("long.yaml", long)] {
        let folder = Folder::new(&[(name, &text)]);
        let run = skald(&folder, &["check", name, "-o", "json"]);
        assert_eq!(run.code, 3, "{name}: {}", run.err);
        assert!(run.out.contains("E110"), "{name}: {:.300}", run.out);
    }
    let folder = Folder::new(&[]);
    std::fs::write(folder.path().join("bytes.yaml"), b"skald: 1\n\xff\xfe").unwrap();
    assert!(skald(&folder, &["check", "bytes.yaml", "-o", "json"]).out.contains("E101"));
}

#[test]
fn findings_have_a_form_for_each_who_reads_them() {
    let broken = GOOD.replace("=state.clicks + 1", "=state.clics + 1");
    let folder = Folder::new(&[("a b.yaml", &broken), ("click.json", CLICK)]);
    let run = skald(&folder, &["check", "a b.yaml", "-o", "sarif"]);
    assert_eq!(run.code, 3, "{}", run.err);
    let log: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let result = &log["runs"][0]["results"][0];
    assert_eq!((&log["version"], &result["ruleId"]), (&"2.1.0".into(), &"E307".into()), "{log:#}");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!((&place["artifactLocation"]["uri"], &place["region"]["startLine"]), (&"a%20b.yaml".into(), &15.into()));
    let run = skald(&folder, &["check", "a b.yaml", "-o", "github"]);
    assert_eq!(run.code, 3);
    assert!(run.out.starts_with("::error file=a b.yaml,line=15,col=31,"), "{}", run.out);
    assert_eq!(skald(&folder, &["check", "a b.yaml", "-o", "table"]).out, skald(&folder, &["check", "a b.yaml"]).out);
}

#[test]
fn topologies_within_pages_are_checked_where_they_stand() {
    let page = "# Clicks\n\n```yaml\nskald: 1\ntopology: Counts\n```\n\n```yaml\nnot: one\n```\n";
    let folder = Folder::new(&[("docs/page.md", page), ("counts.yaml", GOOD), ("click.json", CLICK)]);
    let run = skald(&folder, &["check", "docs"]);
    assert_eq!(run.code, 3, "{}", run.err);
    assert!(run.out.contains("docs/page.md:5:11") && run.err.contains("1 file checked: 1 error"), "{}{}", run.out, run.err);
    assert!(skald(&folder, &["check", "."]).err.contains("2 files checked"));
    // A page is nothing to run.
    assert!(skald(&folder, &["graph", "docs/page.md"]).out.is_empty());
}

#[test]
fn what_is_certain_is_mended_in_place() {
    let broken = GOOD
        .replace("topology: counts", "topology: counts # a name\nparams: { country: NO }")
        .replace("set: { clicks: =state.clicks + 1 }", "set: { clicks: =greatest(state.clicks, 1) }")
        .replace("initial: { clicks: 0 }", "initial: { clicks: 0, country: =params.country }");
    let page = format!("# Page\n\n```yaml\n{broken}```\n");
    let files = [("a.yaml", broken.as_str()), ("click.json", CLICK), ("p.md", &page), ("other.yaml", "a: NO\n")];
    let folder = Folder::new(&files);
    let show = skald(&folder, &["check", ".", "--fix", "--dry-run"]);
    assert_eq!(show.code, 3);
    for part in ["--- ./a.yaml", "-params: { country: NO }", "+params: { country: \"NO\" }", "+++ ./p.md"] {
        assert!(show.out.contains(part), "{part}: {}", show.out);
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!((read("a.yaml"), read("p.md")), (broken.clone(), page.clone()));
    let run = skald(&folder, &["check", ".", "--fix", "--deny-warnings"]);
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{}", run.err);
    assert!(run.err.contains("4 mended in 2 files"), "{}", run.err);
    let mended = broken.replace(": NO", ": \"NO\"").replace("=greatest(state.clicks, 1)", "\"=greatest(state.clicks, 1)\"");
    assert_eq!((read("a.yaml"), read("p.md")), (mended.clone(), page.replace(&broken, &mended)));
    assert_eq!(read("other.yaml"), "a: NO\n");
}

#[test]
fn codes_are_explained() {
    let folder = Folder::new(&[]);
    let run = skald(&folder, &["explain", "e113"]);
    assert_eq!(run.code, 0, "{}", run.err);
    for part in ["E113: not a duration (error)", "retention: 30\n", "bad.yaml:5:16", "How to mend it", "+     retention: 30d\n"]
    {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    let list = skald(&folder, &["explain"]);
    assert!(list.out.lines().count() > 70 && list.out.starts_with("E101  error    the file is not UTF-8\n"), "{}", list.out);
    let run = skald(&folder, &["explain", "E1O3"]);
    assert_eq!(run.code, 5);
    assert!(run.err.contains("did you mean `E103`?"), "{}", run.err);
}

#[test]
fn a_new_topology_has_no_findings_and_nothing_is_written_over() {
    for template in ["orders", "saga", "empty"] {
        let folder = Folder::new(&[]);
        let run = skald(&folder, &["new", "My_Shop", "--template", template]);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.out.starts_with("My_Shop/topology.yaml\n"), "{}", run.out);
        let text = std::fs::read_to_string(folder.path().join("My_Shop/topology.yaml")).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=.schema/topology.json\n"), "{text}");
        assert!(text.contains("\ntopology: my-shop\n"), "{text}");
        assert!(folder.path().join("My_Shop/.schema/topology.json").exists());
        let run = skald(&folder, &["check", "My_Shop", "--deny-warnings"]);
        assert_eq!((run.code, run.out.as_str()), (0, ""), "{}", run.err);
        if template != "empty" {
            let run = skald(&folder, &["test", "My_Shop", "--coverage"]);
            assert_eq!(run.code, 0, "{}{}", run.out, run.err);
            assert!(template == "orders" || run.out.contains("topology.yaml: 100 % covered"), "{}", run.out);
        }
        let again = skald(&folder, &["new", "My_Shop"]);
        assert!(again.code == 1 && again.err.contains("not empty"), "{}", again.err);
    }
    assert_eq!(skald(&Folder::new(&[]), &["new", "1"]).code, 2);
}

#[test]
fn expressions_are_tried_on_files() {
    let folder = Folder::new(&[
        ("data.json", r#"{"id":"a","total":3}"#),
        ("state.json", r#"{"sum":1}"#),
        ("event.json", r#"{"id":"1","type":"a.v1","timestamp":"2026-01-02T03:04:05Z","data":{"n":5}}"#),
    ]);
    let state = ["--data", "data.json", "--state", "state.json", "--key", "k"];
    for (expression, more, out) in [
        ("state.sum + data.total", &state[..], "4"),
        ("key + data.id", &state, "\"ka\""),
        ("data.n * params.factor", &["--event", "event.json", "--set", "params.factor=2"], "10"),
        ("string(ctx.time) + event.type", &["--event", "event.json"], "\"2026-01-02T03:04:05Za.v1\""),
        ("headers.a", &["--header", "a=b=c"], "\"b=c\""),
        ("-1 + 2", &[], "1"),
        ("{data.id}!", &["--as-template", "--data", "data.json"], "\"a!\""),
    ] {
        let arguments: Vec<&str> = ["eval", expression].iter().chain(more).copied().collect();
        let run = skald(&folder, &arguments);
        assert_eq!((run.code, run.out.trim_end()), (0, out), "{expression}: {}", run.err);
        assert!(run.err.contains("type: "), "{}", run.err);
    }
    for (expression, code, said) in [
        ("data.totl + 1", 1, "MISSING_FIELD"),
        ("data.total +", 3, "E301"),
        ("state.sum", 3, "E313"),
        ("1 / (data.total - 3)", 1, "^^^"),
    ] {
        let run = skald(&folder, &["eval", expression, "--data", "data.json"]);
        assert_eq!(run.code, code, "{expression}: {}", run.err);
        assert!(run.err.contains(said) && run.out.is_empty(), "{expression}: {}{}", run.err, run.out);
    }
    assert_eq!(skald(&folder, &["eval", "1", "--data", "none.json"]).code, 5);
    let lines =
        util::skald_reading(&folder, &["eval", "--data", "data.json"], "double = data.total * 2\n\ndouble + 1\ndata.none\n");
    assert_eq!((lines.code, lines.out.as_str()), (1, "6\n7\n"), "{}", lines.err);
}

#[test]
fn editors_and_shells_are_served() {
    let folder = Folder::new(&[]);
    let schema: serde_json::Value = serde_json::from_str(&skald(&folder, &["schema", "topology"]).out).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert_eq!(schema["additionalProperties"], false);
    for shell in ["bash", "zsh", "fish"] {
        let run = skald(&folder, &["completions", shell]);
        assert!(run.code == 0 && run.out.contains("skald") && run.out.contains("deny-warnings"), "{shell}: {}", run.err);
    }
}

#[test]
fn params_are_set_from_flags_and_environment() {
    let text = GOOD.replace("topics:", "params:\n  step: 1\ntopics:").replace("clicks: 0", "clicks: =params.step");
    let folder = Folder::new(&[("counts.yaml", &text), ("click.json", CLICK)]);
    assert_eq!(skald(&folder, &["check", "counts.yaml", "--set", "params.step=2"]).code, 0);
    assert_eq!(skald(&folder, &["check", "counts.yaml", "--set", "params.stop=2"]).code, 3);
    assert_eq!(util::skald_with(&folder, &["check", "counts.yaml"], &[("SKALD_SET", "params.stop=2")]).code, 3);
}

#[test]
fn a_plan_is_drawn() {
    let run = skald(&good(), &["graph", "counts.yaml"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.starts_with("flowchart") && run.out.contains("clicks") && run.out.contains("pages"), "{}", run.out);
    for (form, begin) in [("mermaid", "flowchart LR"), ("svg", "<svg "), ("dot", "digraph \"counts\""), ("json", "{")] {
        let run = skald(&good(), &["graph", "counts.yaml", "-o", form]);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.out.starts_with(begin) && run.out.contains("counts.pages.snapshots"), "{}", run.out);
    }
}

#[test]
fn a_plan_says_what_a_change_means() {
    let changed =
        GOOD.replace("state.clicks + 1", "state.clicks + 2").replace("topology: counts", "topology: counts\nversion: 2");
    let folder = Folder::new(&[("counts.yaml", GOOD), ("click.json", CLICK), ("changed.yaml", &changed)]);
    let run = skald(&folder, &["plan", "counts.yaml"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("Group literal `counts`: Read, Describe"), "{}", run.out);

    let run = skald(&folder, &["plan", "changed.yaml", "--against", "counts.yaml", "--exit-code"]);
    assert_eq!(run.code, 1, "a node would be rebuilt: {}{}", run.out, run.err);
    assert!(run.out.contains("  (changed.yaml:16:16)") && run.out.contains("rebuild"), "{}", run.out);
    let run = skald(&folder, &["plan", "changed.yaml", "--against", "counts.yaml", "-o", "json"]);
    let sheets: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((&sheets[0]["verdict"], &sheets[0]["nodes"][0]["name"]), (&"rebuild".into(), &"pages".into()), "{sheets:#}");

    let run = skald(&folder, &["plan", "counts.yaml", "--against", "counts.yaml", "--exit-code"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    for (arguments, code) in [
        (&["plan", "counts.yaml", "--against", "cluster"][..], 2),
        (&["plan", "counts.yaml", "-b", "127.0.0.1:1"], 6),
        (&["apply", "counts.yaml", "-b", "127.0.0.1:1"], 6),
        (&["apply", "counts.yaml"], 2),
        (&["plan", "counts.yaml", "--against", "nothing.yaml"], 5),
    ] {
        let run = skald(&folder, arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}{}", run.out, run.err);
    }
}

#[test]
fn the_sample_runs_and_nothing_is_lost_or_doubled() {
    let folder = Folder::new(&[]);
    let arguments = ["dev", "--duration", "3s", "-o", "json", "--listen", "127.0.0.1:0", "--seed", "7", "--rate", "400"];
    let run = skald(&folder, &arguments);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let last = json_lines(&run.out).pop().unwrap();
    assert_eq!((&last["lost"], &last["duplicated"]), (&0.into(), &0.into()), "{last:#}");
    for field in ["records_in", "records_out", "aggregates", "dead_letters", "rate", "cpu_us_per_record", "peak_rss_bytes"] {
        assert!(last[field].as_f64().is_some_and(|number| number > 0.0), "{field}: {last:#}");
    }
    assert!(last["records_in"].as_u64() > last["sent"].as_u64(), "the choreography goes on: {last:#}");
    assert_eq!(run.out.lines().count(), 1, "stdout is data");
}

#[test]
fn a_topology_of_ones_own_gets_traffic_from_its_schemas() {
    let run = skald(&good(), &["dev", "counts.yaml", "--duration", "1s", "-o", "json", "--listen", "off"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let last = json_lines(&run.out).pop().unwrap();
    assert!(last["aggregates"].as_u64() > Some(10), "{last:#}");
    assert_eq!((&last["lost"], &last["duplicated"], &last["dead_letters"]), (&0.into(), &0.into(), &0.into()), "{last:#}");
    assert_eq!(last["sent"], last["records_in"]);
}

#[test]
fn a_data_folder_is_taken_up_where_it_was_left() {
    let folder = Folder::new(&[]);
    let arguments = ["dev", "--duration", "1s", "-o", "json", "--listen", "off", "--data-dir", "data"];
    let first = skald(&folder, &arguments);
    let second = skald(&folder, &arguments);
    assert_eq!((first.code, second.code), (0, 0), "{}{}{}{}", first.out, first.err, second.out, second.err);
    let aggregates = |run: &util::Run| json_lines(&run.out).pop().unwrap()["aggregates"].as_u64().unwrap();
    assert!(aggregates(&second) > aggregates(&first), "{} then {}", first.out, second.out);
}

#[cfg(unix)]
#[test]
fn a_first_signal_ends_it_in_order_and_the_endpoints_answer_until_then() {
    let folder = good();
    let mut running = util::start(&folder, &["dev", "counts.yaml", "--listen", "127.0.0.1:0", "--log", "info"]);
    let address =
        running.wait_for_line("HTTP endpoints", Duration::from_secs(60)).split("address=").nth(1).unwrap().trim().to_owned();
    running.until(Duration::from_secs(60), || util::http(&address, "/readyz").0 == 200);
    running.until(Duration::from_secs(60), || util::http(&address, "/v1/aggregates/pages/k1").0 == 200);
    assert_eq!(util::http(&address, "/livez").0, 200);
    assert!(util::http(&address, "/metrics").1.contains("skald_"));
    assert!(util::http(&address, "/v1/topology").1.contains("\"pages\""));
    running.terminate();
    let run = running.wait();
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("0 lost, 0 duplicated") || run.out.contains("self-check: not possible"), "{}", run.out);
}

const SCENARIOS: &str = "\
skald-test: 1
topology: counts.yaml
cases:
  - name: a page is counted
    when: { type: page.clicked.v1, data: { page: home } }
    then:
      - state: pages
        key: home
        value: { clicks: 1 }
";

fn tested(scenarios: &str) -> Folder {
    Folder::new(&[("counts.yaml", GOOD), ("click.json", CLICK), ("counts.test.yaml", scenarios)])
}

#[test]
fn scenarios_pass_fail_and_are_refused_with_codes_of_their_own() {
    let wrong = SCENARIOS.replace("clicks: 1", "clicks: 2");
    let mistaken = SCENARIOS.replace("state: pages", "state: page");
    for (scenarios, arguments, code, said) in [
        (SCENARIOS, &["test", "."][..], 0, "a page is counted"),
        (SCENARIOS, &["test", "counts.yaml", "--coverage"], 0, "counts.yaml: 100 % covered, evolve 1/1"),
        (SCENARIOS, &["test", "counts.test.yaml", "--filter", "counted"], 0, "a page is counted"),
        (SCENARIOS, &["test", "counts.test.yaml", "--filter", "nothing like it"], 5, ""),
        (&wrong, &["test", "."], 1, "counts.test.yaml:9:26"),
        (&mistaken, &["test", "."], 3, "did you mean `pages`?"),
        (SCENARIOS, &["test", "click.json"], 5, ""),
        (SCENARIOS, &["test", ".", "--watch", "--update"], 2, ""),
    ] {
        let run = skald(&tested(scenarios), arguments);
        assert_eq!(run.code, code, "{arguments:?}: {}{}", run.out, run.err);
        assert!(run.out.contains(said), "{arguments:?}: {}", run.out);
    }
    // A topology check passes over them.
    assert_eq!(skald(&tested(&mistaken), &["check", "."]).code, 0);
}

#[test]
fn results_of_scenarios_are_written_for_programs_and_into_the_file() {
    let folder = tested(&SCENARIOS.replace("clicks: 1", "clicks: 2"));
    let run = skald(&folder, &["test", ".", "-o", "json", "--coverage", "--junit", "results.xml"]);
    let told: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.code, &told["files"][0]["cases"][0]["outcome"]), (1, &"failed".into()), "{told:#}");
    assert_eq!(told["coverage"][0]["all"]["tried"], 1);
    let junit = std::fs::read_to_string(folder.path().join("results.xml")).unwrap();
    assert!(junit.contains("tests=\"1\" failures=\"1\""), "{junit}");

    let run = skald(&folder, &["test", ".", "--update"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert_eq!(std::fs::read_to_string(folder.path().join("counts.test.yaml")).unwrap(), SCENARIOS);
}

#[cfg(unix)]
#[test]
fn watched_scenarios_run_again_when_a_file_changes() {
    let folder = tested(SCENARIOS);
    let mut running = util::start(&folder, &["test", "counts.test.yaml", "--watch"]);
    running.wait_for_line("1 passed, 0 failed", Duration::from_secs(60));
    running.wait_for_line("waiting for a change", Duration::from_secs(60));
    let path = folder.path().join("click.json");
    std::fs::write(&path, CLICK.replace("\"minLength\": 1", "\"minLength\": 9")).unwrap();
    running.wait_for_line("findings in files", Duration::from_secs(60));
    running.terminate();
    assert_eq!(running.wait().code, 0);
}
