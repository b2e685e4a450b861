//! Topology files in, findings out: `tests/topology/good` has files without errors, `tests/topology/bad` has files with what
//! is found in them written beside.

mod support;

use super::{Severity, render};
use support::{files, load_file};

#[test]
fn good_files_check_without_errors() {
    let paths = files("tests/topology/good");
    assert!(paths.len() >= 4);
    for path in paths {
        let loaded = load_file(&path);
        let errors: Vec<_> = loaded.findings.iter().filter(|found| found.severity() == Severity::Error).cloned().collect();
        assert!(errors.is_empty(), "{}", render::text(&errors, |_| Some(&loaded.text), false));
        assert!(loaded.checked.is_some());
        eprintln!("{}", render::text(&loaded.findings, |_| Some(&loaded.text), false));
    }
}

#[test]
fn samples() {
    for name in ["analytics", "order-totals", "product", "shop", "users"] {
        for path in files(&format!("topologies/{name}")) {
            let loaded = load_file(&path);
            eprintln!("{}", render::text(&loaded.findings, |_| Some(&loaded.text), false));
        }
    }
}
