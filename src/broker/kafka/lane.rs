//! The lane: one OS thread that makes every blocking client call of a worker thread, one at a time.
//!
//! ```text
//!  Idle ──submit──▶ Busy ──reply──▶ Idle
//!                    └──abandon──▶ Abandoned ──submit(Rebuild)──▶ Busy (on a new thread)
//! ```
//! An abandoned thread keeps its producer until its call returns, and drops both then; nobody hears of it any more.

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
}

impl Lane {
    pub(super) fn start(properties: &Arc<Properties>, settings: &TransactionSettings) -> Result<Self> {
        let (ops, replies) = thread(properties, settings)?;
        Ok(Self { properties: properties.clone(), settings: settings.clone(), ops, replies, state: State::Idle })
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
                match thread(&self.properties, &self.settings) {
                    Ok((ops, replies)) => (self.ops, self.replies) = (ops, replies),
                    // The old ends are closed by then; the answer tells that the lane has died.
                    Err(error) => tracing::error!("{error}"),
                }
            }
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
            Ok(reply) => reply,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Reply {
                took: Duration::ZERO,
                transport_trouble: true,
                result: Err(Error::new(ErrorClass::Fatal, "waiting for the lane", "its thread has ended")),
            },
        };
        self.state = State::Idle;
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
