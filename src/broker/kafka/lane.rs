//! The lane: one OS thread that makes every blocking client call of a worker thread, one at a time.
//!
//! ```text
//!  Idle ──submit──▶ Busy ──reply──▶ Idle
//!                    ├──abandon──▶ Abandoned ──submit(Rebuild)──▶ Busy (on a new thread)
//!                    └──thread gone──▶ Ended ──submit──▶ Busy (on a new thread)
//! ```
//! An abandoned thread keeps its producer until its call returns, and drops both then; nobody hears of it any more. A thread that
//! is gone, or could not be started, shows as a fatal answer; what is asked next goes to a new one, which has no producer yet.

use super::operator::Operator;
use super::properties::Properties;
use super::spawn;
use crate::broker::{Error, ErrorClass, Op, Reply, Result, TransactionSettings, Transactions};
use crate::clock::{Clock, SystemClock};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

/// See the module.
pub(super) struct Lane {
    properties: Arc<Properties>,
    settings: TransactionSettings,
    ops: Sender<Op>,
    replies: Receiver<Reply>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Busy,
    Abandoned,
    Ended,
}

impl Lane {
    pub(super) fn start(properties: &Arc<Properties>, settings: &TransactionSettings) -> Result<Self> {
        let (ops, replies) = thread(properties, settings)?;
        Ok(Self { properties: properties.clone(), settings: settings.clone(), ops, replies, state: State::Idle })
    }

    /// Goes on with a thread of its own. Where none starts, the old ends are closed: the answer tells that the lane has died.
    fn renew(&mut self) {
        match thread(&self.properties, &self.settings) {
            Ok((ops, replies)) => (self.ops, self.replies) = (ops, replies),
            Err(error) => tracing::error!("{error}"),
        }
    }
}

fn thread(properties: &Arc<Properties>, settings: &TransactionSettings) -> Result<(Sender<Op>, Receiver<Reply>)> {
    let (ops, todo) = channel::<Op>();
    let (answer, replies) = channel();
    let (properties, settings) = (properties.clone(), settings.clone());
    let wake = settings.wake.clone();
    spawn("kafka-lane", move || {
        let clock = SystemClock::new();
        let mut operator = Operator::new(properties, settings);
        // Ends when the lane is dropped or has abandoned this thread.
        while let Ok(op) = todo.recv() {
            let started = clock.mono();
            let result = operator.execute(op);
            let reply = Reply { took: clock.mono() - started, transport_trouble: operator.take_trouble(), result };
            if answer.send(reply).is_err() {
                return;
            }
            wake();
        }
    })?;
    Ok((ops, replies))
}

impl Transactions for Lane {
    fn submit(&mut self, op: Op) {
        match self.state {
            State::Idle => {}
            State::Busy => panic!("an operation is under way already"),
            State::Abandoned => {
                assert!(matches!(op, Op::Rebuild), "an abandoned lane takes `Rebuild` only");
                self.renew();
            }
            State::Ended => self.renew(),
        }
        self.state = State::Busy;
        // A thread that is gone shows in the reply.
        let _ = self.ops.send(op);
    }

    fn reply(&mut self) -> Option<Reply> {
        if self.state != State::Busy {
            return None;
        }
        let reply = match self.replies.try_recv() {
            Ok(reply) => {
                self.state = State::Idle;
                reply
            }
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => {
                self.state = State::Ended;
                Reply {
                    took: Duration::ZERO,
                    transport_trouble: true,
                    result: Err(Error::new(ErrorClass::Fatal, "waiting for the lane", "its thread has ended")),
                }
            }
        };
        Some(reply)
    }

    fn abandon(&mut self) {
        // The thread ends by itself: its next answer finds nobody, or its next operation never comes.
        let (ops, _) = channel();
        let (_, replies) = channel();
        (self.ops, self.replies) = (ops, replies);
        self.state = State::Abandoned;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Guarantee;
    use std::sync::Arc;
    use std::sync::mpsc;

    #[test]
    fn a_lane_whose_thread_has_ended_says_so_once_and_goes_on_with_a_new_one() {
        let (rung, heard) = mpsc::channel();
        let settings = TransactionSettings {
            guarantee: Guarantee::default(),
            group: "g".into(),
            transactional_id: "g.a.00".into(),
            client_id: "g.a.00".into(),
            transaction_timeout: Duration::from_secs(10),
            max_message_bytes: 1_000_000,
            max_batch_bytes: 1_000_000,
            wake: Arc::new(move || {
                let _ = rung.send(());
            }),
        };
        // Longer than the transaction's: no producer can be made, so nothing is waited for.
        let mut properties = Properties::new("127.0.0.1:1");
        properties.set("message.timeout.ms", "20000").expect("a property");
        for next in [Op::Rebuild, Op::Begin] {
            let mut lane = Lane::start(&Arc::new(properties.clone()), &settings).expect("a lane");
            (lane.ops, lane.replies) = (channel().0, channel().1);
            lane.submit(Op::Commit);
            let error = lane.reply().expect("an answer").result.expect_err("nobody is there");
            assert_eq!((error.class, error.message.as_str()), (ErrorClass::Fatal, "its thread has ended"));
            assert!(lane.reply().is_none(), "one answer to one operation");
            lane.submit(next);
            heard.recv().expect("the new thread answers");
            let error = lane.reply().expect("an answer").result.expect_err("no producer");
            assert_ne!(error.message, "its thread has ended");
        }
    }
}
