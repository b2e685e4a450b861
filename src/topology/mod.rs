//! From the text of a topology file to a checked model and a plan.
//!
//! [`model`] is what a file says with everything resolved; [`plan`] is what it needs of the cluster and how it is split into
//! sub-topologies and stores. Nothing here reads a file or a variable: whoever loads a topology hands them in.

pub mod model;
pub mod pending;
pub mod plan;
