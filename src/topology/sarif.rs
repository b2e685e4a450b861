//! Findings as SARIF 2.1.0, the form that code hosts and editors read findings in.

use super::diagnostic::{Diagnostic, Severity};
use super::{codes, explain};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// The findings as the log of one run of this tool. Rules are those that were broken; columns count characters. Names of
/// files become relative URIs, as they are relative to where the tool ran.
pub fn sarif(findings: &[Diagnostic], version: &str) -> Json {
    let broken: BTreeSet<&str> = findings.iter().map(|found| found.code).collect();
    let broken: Vec<&str> = broken.into_iter().collect();
    let rules: Vec<Json> = broken.iter().map(|code| rule(code)).collect();
    let results: Vec<Json> = findings
        .iter()
        .map(|found| {
            let index = broken.binary_search(&found.code).expect("every code of the findings is among the rules");
            result(found, index)
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "skald", "semanticVersion": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: &str) -> Json {
    let title = codes::title(code).unwrap_or_default();
    let mut rule = json!({
        "id": code,
        "shortDescription": { "text": title },
        "defaultConfiguration": { "level": if code.starts_with('E') { "error" } else { "warning" } },
    });
    if let Some(page) = explain::page(code) {
        let text = format!("{}\n\nHow to mend it: {}", page.why, page.mend);
        let example = |text: &str| if text.is_empty() { String::new() } else { format!("\n\n```yaml\n{text}```") };
        let (bad, good) = (example(&page.bad()), example(page.good()));
        let markdown = format!("{}{bad}\n\n**How to mend it:** {}{good}\n", page.why, page.mend);
        rule["fullDescription"] = json!({ "text": page.why });
        rule["help"] = json!({ "text": text, "markdown": markdown });
    }
    rule
}

fn result(found: &Diagnostic, index: usize) -> Json {
    let location = json!({ "uri": uri(&found.file) });
    let more = [found.cause.as_deref(), found.hint.as_deref()].into_iter().flatten();
    let text = std::iter::once(found.message.as_str()).chain(more).collect::<Vec<_>>().join("\n");
    let mut result = json!({
        "ruleId": found.code,
        "ruleIndex": index,
        "level": match found.severity() { Severity::Error => "error", Severity::Warning => "warning" },
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": location,
            "region": {
                "startLine": found.line,
                "startColumn": found.column,
                "endLine": found.end.line,
                "endColumn": found.end.column,
            },
        } }],
    });
    if let Some(fix) = &found.fix {
        result["fixes"] = json!([{
            "description": { "text": found.hint.as_deref().unwrap_or("mend it") },
            "artifactChanges": [{
                "artifactLocation": location,
                "replacements": [{
                    "deletedRegion": {
                        "startLine": fix.start.line,
                        "startColumn": fix.start.column,
                        "endLine": fix.end.line,
                        "endColumn": fix.end.column,
                    },
                    "insertedContent": { "text": fix.text },
                }],
            }],
        }]);
    }
    result
}

/// The path as a URI: absolute ones with a scheme, the others relative, what a URI cannot hold in percent.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'\\' => out.push('/'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{NoSources, load};

    #[test]
    fn every_result_names_a_rule_with_help_and_a_region() {
        let text = "skald: 1\ntopology: Shöp\nparams: { a: NO }\ncolour: red\n";
        let findings = load("dir/a b.yaml", text.as_bytes(), &[], &NoSources).findings;
        let log = sarif(&findings, "1.2.3");
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let results = run["results"].as_array().unwrap();
        assert_eq!((rules.len(), results.len()), (3, findings.len()));
        for (result, found) in results.iter().zip(&findings) {
            let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
            assert_eq!((&rule["id"], &result["ruleId"]), (&json!(found.code), &json!(found.code)));
            assert!(rule["help"]["text"].as_str().is_some_and(|help| help.len() > 40), "{rule}");
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let place = &result["locations"][0]["physicalLocation"];
            assert_eq!(place["artifactLocation"]["uri"], "dir/a%20b.yaml");
            let region = &place["region"];
            let number = |name: &str| region[name].as_u64().unwrap();
            assert!((number("startLine"), number("startColumn")) <= (number("endLine"), number("endColumn")));
            assert!(number("startLine") >= 1 && number("startColumn") >= 1);
        }
        let quoted = results.iter().find(|result| result["ruleId"] == "W101").unwrap();
        assert_eq!(quoted["level"], "warning");
        let change = &quoted["fixes"][0]["artifactChanges"][0]["replacements"][0];
        assert_eq!(change["insertedContent"]["text"], "\"NO\"");
        assert_eq!((&change["deletedRegion"]["startColumn"], &change["deletedRegion"]["endColumn"]), (&14.into(), &16.into()));
        // Colons of a name are no scheme, and an absolute path has one.
        assert_eq!(uri("./a:b%.yaml"), "a%3Ab%25.yaml");
        assert_eq!(uri("/x/y.yaml"), "file:///x/y.yaml");
    }
}
