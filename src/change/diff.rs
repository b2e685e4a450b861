//! What differs between two pieces of content.

use super::{Difference, Mark};
use serde_json::Value as Json;

/// The differences of two values, each at the deepest place that holds all of it.
pub(super) fn differences(old: &Json, new: &Json) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(old, new, &mut Vec::new(), &mut found);
    found
}

fn walk(old: &Json, new: &Json, path: &mut Vec<String>, found: &mut Vec<Difference>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Json::Object(before), Json::Object(after)) => {
            for (key, value) in before {
                let part = key.clone();
                match after.get(key) {
                    Some(other) => within(part, path, |path| walk(value, other, path, found)),
                    None => within(part, path, |path| found.push(difference(Mark::Removed, path, Some(value), None))),
                }
            }
            for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                within(key.clone(), path, |path| found.push(difference(Mark::Added, path, None, Some(value))));
            }
        }
        (Json::Array(before), Json::Array(after)) => lists(before, after, path, found),
        _ => found.push(difference(Mark::Changed, path, Some(old), Some(new))),
    }
}

/// Lists are compared from both ends: what stands between differs.
fn lists(before: &[Json], after: &[Json], path: &mut Vec<String>, found: &mut Vec<Difference>) {
    let same = |(a, b): &(&Json, &Json)| a == b;
    let head = before.iter().zip(after).take_while(same).count();
    let tail = before[head..].iter().rev().zip(after[head..].iter().rev()).take_while(same).count();
    let (old, new) = (&before[head..before.len() - tail], &after[head..after.len() - tail]);
    for at in 0..old.len().max(new.len()) {
        within((head + at).to_string(), path, |path| match (old.get(at), new.get(at)) {
            (Some(a), Some(b)) => walk(a, b, path, found),
            (Some(a), None) => found.push(difference(Mark::Removed, path, Some(a), None)),
            (None, Some(b)) => found.push(difference(Mark::Added, path, None, Some(b))),
            (None, None) => {}
        });
    }
}

fn within<T>(part: String, path: &mut Vec<String>, work: impl FnOnce(&mut Vec<String>) -> T) -> T {
    path.push(part);
    let done = work(path);
    path.pop();
    done
}

fn difference(mark: Mark, path: &[String], old: Option<&Json>, new: Option<&Json>) -> Difference {
    Difference { mark, path: path.to_vec(), old: old.cloned(), new: new.cloned(), at: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_stand_as_deep_as_they_go() {
        for (old, new, expected) in [
            (json!({"a": 1}), json!({"a": 1}), vec![]),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 2, "d": 2}}), vec!["~a/b", "-a/c", "+a/d"]),
            (json!([1, 2, 3]), json!([1, 3]), vec!["-1"]),
            (json!([1, 3]), json!([1, 2, 3]), vec!["+1"]),
            (json!([{"x": 1}, 2]), json!([{"x": 2}, 2]), vec!["~0/x"]),
            (json!({"a": 1}), json!([1]), vec!["~"]),
            (json!([1, 1]), json!([1]), vec!["-1"]),
        ] {
            let found: Vec<String> =
                differences(&old, &new).iter().map(|one| format!("{}{}", one.mark.sign(), one.path.join("/"))).collect();
            assert_eq!(found, expected, "{old} {new}");
        }
    }
}
