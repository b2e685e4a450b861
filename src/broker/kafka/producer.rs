//! The plain idempotent producer.

use super::deliveries::ProducerSide;
use super::error::About;
use super::operator::{look, sendable};
use super::properties::Properties;
use crate::broker::{Error, ErrorClass, Producer, Result};
use crate::clock::{Clock, SystemClock};
use crate::record::Record;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use std::time::Duration;

/// Longest wait for room in the client's queue.
const ROOM_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between two looks at the deliveries.
const PAUSE: Duration = Duration::from_micros(200);

/// See the module.
pub(super) struct PlainProducer {
    client: BaseProducer<ProducerSide>,
    clock: SystemClock,
}

impl PlainProducer {
    pub(super) fn new(properties: &Properties) -> Result<Self> {
        let client = properties.idempotent().create_with_context(ProducerSide::default());
        let client = client.map_err(|error| About::new("starting a producer").error(&error))?;
        Ok(Self { client, clock: SystemClock::new() })
    }
}

impl Producer for PlainProducer {
    fn send(&mut self, record: &Record) -> Result<()> {
        let about = || {
            let what = format!("producing to `{}-{}`", record.topic, record.partition);
            About::new(what).on_topic(record.topic.clone(), "Write")
        };
        let mut headers = (!record.headers.is_empty()).then(|| OwnedHeaders::new_with_capacity(record.headers.len()));
        for header in &record.headers {
            let header = Header { key: header.name.as_str(), value: header.value.as_deref() };
            headers = headers.map(|headers| headers.insert(header));
        }
        let mut ready: BaseRecord<'_, [u8], [u8], usize> = BaseRecord {
            topic: &record.topic,
            partition: Some(record.partition),
            payload: record.value.as_deref(),
            key: record.key.as_deref(),
            timestamp: sendable(record.timestamp),
            headers,
            delivery_opaque: 0,
        };
        look(&self.client);
        let started = self.clock.mono();
        while let Err((error, back)) = self.client.send(ready) {
            if error.rdkafka_error_code() != Some(Code::QueueFull) || self.clock.mono() - started > ROOM_TIMEOUT {
                return Err(about().error(&error));
            }
            look(&self.client);
            std::thread::sleep(PAUSE);
            ready = back;
        }
        Ok(())
    }

    fn flush(&mut self, deadline: Duration) -> Result<()> {
        let started = self.clock.mono();
        loop {
            look(&self.client);
            if self.client.in_flight_count() == 0 {
                break;
            }
            if self.clock.mono() - started > deadline {
                let message = format!("{} records are not acknowledged", self.client.in_flight_count());
                return Err(Error::new(ErrorClass::Retry, "waiting for deliveries", message));
            }
            std::thread::sleep(PAUSE);
        }
        match self.client.context().take_deliveries().failed {
            None => Ok(()),
            Some(failure) => {
                let about = About::new(format!("delivering to `{}-{}`", failure.topic, failure.partition));
                Err(about.on_topic(failure.topic, "Write").code(failure.code))
            }
        }
    }
}
