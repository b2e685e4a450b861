//! The shop that comes with the engine: `topologies/shop` with its schemas, compiled in.

use crate::topology::Sources;
use std::io;

/// Name of the file, for messages.
pub const FILE: &str = "topologies/shop/shop.yaml";
/// Its text.
pub const TEXT: &str = include_str!("../../topologies/shop/shop.yaml");

macro_rules! schemas {
    ($($path:literal,)*) => {
        /// Schemas by the names that the file gives them.
        const SCHEMAS: &[(&str, &str)] =
            &[$((concat!("../../schemas/", $path), include_str!(concat!("../../schemas/", $path))),)*];
    };
}

schemas! {
    "inventory/answered.v1.json",
    "inventory/failed.v1.json",
    "inventory/released.v1.json",
    "inventory/requested.v1.json",
    "inventory/reserved.v1.json",
    "inventory/taken.v1.json",
    "notification/requested.v1.json",
    "order/cancel.v1.json",
    "order/cancelled.v1.json",
    "order/confirmed.v1.json",
    "order/create.v1.json",
    "order/created.v1.json",
    "payment/confirmed.v1.json",
    "payment/failed.v1.json",
    "payment/refunded.v1.json",
    "payment/voided.v1.json",
    "stock/answered.v1.json",
    "stock/receive.v1.json",
    "stock/received.v1.json",
    "stock/release.v1.json",
    "stock/released.v1.json",
    "stock/reserve.v1.json",
    "stock/reserved.v1.json",
    "stock/take.v1.json",
    "stock/taken.v1.json",
}

/// The files that the sample names.
#[derive(Clone, Copy, Debug)]
pub struct SampleSources;

impl Sources for SampleSources {
    fn schema(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        let (_, text) = SCHEMAS.iter().find(|(name, _)| *name == path).ok_or(io::ErrorKind::NotFound)?;
        if text.len() > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(text.as_bytes().to_vec())
    }

    fn secret(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}
