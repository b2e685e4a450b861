//! `skald explain`: what a diagnostic means.

use super::{Problem, out};
use crate::config::{Colors, Exit, Explain};
use crate::topology::{codes, explain as pages};

/// Shows the page of a code, or lists all codes.
pub(super) fn explain(settings: &Explain, color: Colors) -> Result<Exit, Problem> {
    let Some(asked) = &settings.code else {
        for page in pages::pages() {
            out(&format!("{}  {:<7}  {}\n", page.code, page.severity().name(), page.title()));
        }
        return Ok(Exit::Ok);
    };
    let code = asked.trim().to_ascii_uppercase();
    match pages::page(&code) {
        Some(page) => {
            out(&pages::page_text(page, color.out));
            Ok(Exit::Ok)
        }
        None => {
            let problem = Problem::new(Exit::NotFound, format!("`{asked}` is no code of this build"));
            let near = crate::topology::nearest(&code, codes::all().map(|(code, _)| code));
            Err(problem.hint(match near {
                Some(near) => format!("did you mean `{near}`? `skald explain` lists all"),
                None => "`skald explain` lists all".to_owned(),
            }))
        }
    }
}
