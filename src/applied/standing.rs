//! How a file stands to what was applied.

use super::Applied;
use crate::topology::Definition;

/// How a file stands to what was applied.
///
/// ```text
///            version of the file
///   nothing applied ............ First
///   higher than all ............ Next
///   the highest, same content .. Same      other content .. Refused
///   lower, same content ........ Earlier   other content .. Refused
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Standing<'a> {
    /// Nothing was applied before.
    First,
    /// It is what was applied last.
    Same(&'a Applied),
    /// It comes after this one.
    Next(&'a Applied),
    /// It was applied, and then this one.
    Earlier(&'a Applied),
    /// It may not be applied, whatever its content means.
    Refused(String),
}

/// How a file of this version and content stands to what was applied.
pub fn standing<'a>(all: &'a [Applied], version: u32, definition: &Definition) -> Standing<'a> {
    let Some(last) = all.iter().max_by_key(|applied| applied.version) else { return Standing::First };
    let known = all.iter().find(|applied| applied.version == version);
    match known {
        Some(known) if has_content(known, definition) && known.version == last.version => Standing::Same(last),
        Some(known) if has_content(known, definition) => Standing::Earlier(last),
        Some(_) => Standing::Refused(format!(
            "another content was applied as version {version}: raise `version` to {} or more",
            last.version.saturating_add(1)
        )),
        None if version > last.version => Standing::Next(last),
        None => Standing::Refused(format!(
            "version {} was applied already and version {version} never: raise `version` to {} or more",
            last.version,
            last.version.saturating_add(1)
        )),
    }
}

/// Is it the same content? Asked anew where the hashes differ: an earlier engine may have had another form for it.
fn has_content(known: &Applied, definition: &Definition) -> bool {
    let again = || known.reload().and_then(|loaded| loaded.definition);
    known.hash == definition.hash() || again().is_some_and(|known| known.content == definition.content)
}
