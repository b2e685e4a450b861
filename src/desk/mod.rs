//! The operator's desk: what became of the instances of sagas, and what is to become of them.
//!
//! [`View`] reads what is kept of an instance, for the desk and for HTTP alike; [`Filter`] is a condition on it; [`Timeline`]
//! draws what an instance went through. [`Desk`] finds all that in the cluster: instances in the changelogs of their sagas,
//! timelines in the histories, and puts acts into the inboxes. It needs no worker: what it shows is committed, and an act waits in
//! its inbox until the owner of the instance comes to it.
//!
//! Left to others: what an act does (`saga`), how a terminal or a browser is served (`cli`, `api`).

mod error;
mod filter;
mod open;
mod timeline;
mod view;

#[cfg(test)]
mod tests;

pub use error::{Error, Result};
pub use filter::{Filter, Wanted};
pub use open::{Desk, Listed, Remains};
pub use timeline::{Entry, Timeline};
pub use view::View;
