//! Ids that follow from a name.

use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};

/// UUIDv5 (RFC 9562) of a name.
///
/// Every message that is written has such an id: `sha1` takes the processor's instructions for it, which `uuid`'s own does not.
pub fn uuid5(namespace: &Uuid, name: &[u8]) -> Uuid {
    let digest: [u8; 20] = Sha1::new().chain_update(namespace.as_bytes()).chain_update(name).finalize().into();
    Builder::from_sha1_bytes(*digest.first_chunk().expect("16 of 20 bytes")).into_uuid()
}
