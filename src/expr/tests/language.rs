//! Results of operators and functions, as tables.

use super::*;

#[test]
fn a_first_expression_runs() {
    let data = r#"{"total": 150, "status": "open"}"#;
    assert_eq!(outcome("data.total > 100 && data.status == 'open'", data), "true");
}
