//! From librdkafka's messages to [`RecordRef`]s, without copying.

use crate::record::{HeaderRef, RecordRef};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Stands for a header whose name is not UTF-8; nothing of it can be read through the client.
const UNREADABLE: HeaderRef<'static> = HeaderRef { name: "\u{fffd}", value: None };

/// Headers of up to so many are borrowed without an allocation.
const INLINE: usize = 8;

/// Hands a message to `intake`.
pub(super) fn hand_over(message: &BorrowedMessage<'_>, intake: &mut dyn FnMut(RecordRef<'_>)) {
    let record = |headers| RecordRef {
        topic: message.topic(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key(),
        value: message.payload(),
        headers,
    };
    let Some(headers) = message.headers() else { return intake(record(&[])) };
    let count = headers.count();
    if count <= INLINE {
        let mut places = [UNREADABLE; INLINE];
        for (index, place) in places.iter_mut().enumerate().take(count) {
            *place = header(headers, index);
        }
        intake(record(&places[..count]));
    } else {
        let places: Vec<_> = (0..count).map(|index| header(headers, index)).collect();
        intake(record(&places));
    }
}

fn header(headers: &BorrowedHeaders, index: usize) -> HeaderRef<'_> {
    // The wrapper panics on a name that is not UTF-8, and whoever writes to the topic chooses the name.
    let read = catch_unwind(AssertUnwindSafe(|| headers.try_get(index)));
    match read {
        Ok(Some(header)) => HeaderRef { name: header.key, value: header.value },
        Ok(None) | Err(_) => UNREADABLE,
    }
}
