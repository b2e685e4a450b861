//! How a member parts from its group.

use super::super::increments::{Answer, Increments, Told};
use super::super::membership::MemberContext;
use super::increment::give;
use crate::clock::{Clock, SystemClock};
use crate::record::Text;
use crate::sync::lock;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How a member ends.
pub(super) struct Parted {
    pub(super) answer_owed: bool,
    pub(super) increments: Option<Increments>,
    pub(super) leave: bool,
    pub(super) group: Text,
    pub(super) instance: Option<Text>,
    pub(super) deadline: Duration,
}

impl Parted {
    pub(super) fn part(&mut self, consumer: Arc<BaseConsumer<MemberContext>>) {
        consumer.context().role.closing.store(true, Ordering::Release);
        if let Some(increments) = &mut self.increments {
            // A member without a name leaves by closing, whatever its parting.
            answer_all(&consumer, increments);
            return drop(consumer);
        }
        let noted = lock(&consumer.context().role.rebalances).drain(..).count() > 0;
        if (self.answer_owed || noted)
            && let Err(error) = consumer.unassign()
        {
            // The group waits for an answer that the loop did not give; the session's end gives it then.
            tracing::debug!("{error}");
        }
        if self.leave {
            consumer.unsubscribe();
            if let Some(instance) = &self.instance {
                self.wait_until_gone(&consumer, instance);
            }
        }
        drop(consumer);
    }

    /// A static member that closes stays in its group, also one whose leaving is under way: so the close waits for it.
    fn wait_until_gone(&self, consumer: &BaseConsumer<MemberContext>, instance: &str) {
        let clock = SystemClock::new();
        let prefix = format!("{instance}-");
        while clock.mono() < self.deadline && consumer.client().fatal_error().is_none() {
            // Serves the revocation, which the context answers.
            if let Some(Err(error)) = consumer.poll(Duration::from_millis(5)) {
                tracing::debug!("{error}");
            }
            // A broker names static members by their instance id and a random part.
            match consumer.fetch_group_list(Some(&self.group), Duration::from_secs(1)) {
                Ok(list) if list.groups().iter().flat_map(|group| group.members()).any(|one| one.id().starts_with(&prefix)) => {
                }
                Ok(_) => return,
                Err(error) => tracing::debug!("{error}"),
            }
        }
    }
}

/// Answers what the group waits for, so that the client can be closed.
fn answer_all(consumer: &BaseConsumer<MemberContext>, increments: &mut Increments) {
    let noted = std::mem::take(&mut *lock(&consumer.context().role.rebalances));
    let mut answers: Vec<Answer> = increments.parting().into_iter().collect();
    for change in noted {
        answers.extend(match increments.noted(change) {
            Told::Nothing(answer) => Some(answer),
            Told::Revoked { .. } | Told::Granted => increments.parting(),
        });
    }
    for answer in answers {
        if let Err(error) = give(consumer, &answer) {
            // The session's end gives it then.
            tracing::debug!("{error}");
        }
    }
}
