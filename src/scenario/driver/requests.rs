//! Requests that were seen, and which of them were answered: what a scenario answers for somebody who is not there.

use crate::record::Value;

#[derive(Debug, Default)]
pub(crate) struct Requests {
    seen: Vec<Request>,
}

#[derive(Debug)]
struct Request {
    /// As expectations see it.
    shown: Value,
    answered: bool,
}

impl Requests {
    /// A message was emitted: a request, the answer to one, or neither.
    pub(super) fn note(&mut self, shown: &Value) {
        if text(shown, "type").is_some_and(|kind| matches!(kind, "reply.accepted" | "reply.rejected")) {
            if let Some(cause) = text(shown, "causationId") {
                self.answered(cause);
            }
        } else if asks(shown) {
            self.seen.push(Request { shown: shown.clone(), answered: false });
        }
    }

    /// The first request of that type that fits and was not answered yet; where all were, the last one. It is answered now.
    pub(crate) fn pick(&mut self, kind: &str, mut fits: impl FnMut(&Value) -> bool) -> Option<Value> {
        let fitting = |request: &&Request| text(&request.shown, "type") == Some(kind) && fits(&request.shown);
        let fitting: Vec<&Request> = self.seen.iter().filter(fitting).collect();
        let picked = fitting.iter().find(|request| !request.answered).or(fitting.last())?.shown.clone();
        if let Some(id) = text(&picked, "id") {
            self.answered(id);
        }
        Some(picked)
    }

    /// Tries that were not answered have one id.
    fn answered(&mut self, id: &str) {
        let same = self.seen.iter_mut().filter(|request| text(&request.shown, "id") == Some(id));
        same.for_each(|request| request.answered = true);
    }
}

fn text<'v>(shown: &'v Value, field: &str) -> Option<&'v str> {
    shown.get(field).and_then(Value::as_str)
}

fn asks(shown: &Value) -> bool {
    shown.get("headers").and_then(|headers| headers.get("reply-to")).and_then(Value::as_str).is_some_and(|to| !to.is_empty())
}
