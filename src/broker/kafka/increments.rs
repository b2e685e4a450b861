//! Rebalances in increments, told as whole ones.
//!
//! With the consumer protocol the cluster gives and takes single partitions; the worker's loop knows an assignment as a whole. So
//! each change is told as a revocation of everything, behind which the loop has committed, and then as an assignment of everything
//! that is held now. The client is answered with the increment. The group waits for the answer to each change before the next one.
//!
//! ```text
//!  bare ──────nothing for a while──────▶ spare ──accepted──▶ told
//!  bare ──gained──▶ granted ──accepted──▶ told ──gained──▶ growing ──released──▶ granted
//!   ▲                                      └────taken────▶ shrinking ──released──┐
//!   └────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! In `bare`, `spare` and `granted` the loop has nothing, while the client may hold partitions: they are paused. What is taken then is let go
//! without asking. A shrinking that is no loss is followed by an assignment, an empty one where nothing comes in.

use super::membership::Rebalance;
use crate::record::TopicPartition;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Increments {
    /// What the client holds.
    held: Vec<TopicPartition>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Bare,
    /// Nothing came for a while after the start, and the loop is to know: the client waits for no answer.
    Spare,
    Granted(Vec<TopicPartition>),
    Told,
    Growing(Vec<TopicPartition>),
    Shrinking(Vec<TopicPartition>),
}

/// The answer to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// These are held from now on, besides the others.
    Take(Vec<TopicPartition>),
    /// These are held no more.
    Drop(Vec<TopicPartition>),
}

/// What a rebalance leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The loop loses everything.
    Revoked { lost: bool },
    /// Nobody needs to know.
    Nothing(Answer),
    /// The loop gets what [`Increments::granted`] tells.
    Granted,
}

impl Increments {
    /// A change that the client has told of.
    pub(super) fn noted(&mut self, change: Rebalance) -> Told {
        match (change, &self.state) {
            (Rebalance::Assigned(gained), State::Told) if gained.is_empty() => Told::Nothing(Answer::Take(gained)),
            (Rebalance::Assigned(gained), State::Told) => {
                self.state = State::Growing(gained);
                Told::Revoked { lost: false }
            }
            (Rebalance::Assigned(gained), _) => {
                self.state = State::Granted(gained);
                Told::Granted
            }
            (Rebalance::Revoked { partitions, lost }, State::Told) => {
                self.state = State::Shrinking(partitions);
                Told::Revoked { lost }
            }
            (Rebalance::Revoked { partitions, .. }, _) => {
                self.state = State::Bare;
                Told::Nothing(self.dropped(partitions))
            }
        }
    }

    /// Nothing has come so far: the loop is told that it has nothing.
    pub(super) fn spare(&mut self) {
        if matches!(self.state, State::Bare) && self.held.is_empty() {
            self.state = State::Spare;
        }
    }

    /// Waits for the loop to let go: the next change comes after that.
    pub(super) fn waits(&self) -> bool {
        matches!(self.state, State::Growing(_) | State::Shrinking(_))
    }

    /// What the loop is to take over, where there is an assignment that it has not accepted.
    pub(super) fn granted(&self) -> Option<Vec<TopicPartition>> {
        match &self.state {
            State::Granted(gained) => Some(self.held.iter().chain(gained).cloned().collect()),
            State::Spare => Some(Vec::new()),
            _ => None,
        }
    }

    /// The loop has let everything go.
    pub(super) fn released(&mut self) -> Option<Answer> {
        match std::mem::take(&mut self.state) {
            State::Growing(gained) => self.state = State::Granted(gained),
            State::Shrinking(partitions) => return Some(self.dropped(partitions)),
            State::Bare | State::Spare | State::Granted(_) | State::Told => {}
        }
        None
    }

    /// The loop has taken over what was granted.
    pub(super) fn accepted(&mut self) -> Option<Answer> {
        let State::Granted(gained) = std::mem::replace(&mut self.state, State::Told) else { return None };
        self.held.extend(gained.iter().cloned());
        Some(Answer::Take(gained))
    }

    /// What the client holds.
    pub(super) fn held(&self) -> &[TopicPartition] {
        &self.held
    }

    /// The member parts: what the client still waits for, so that it can be closed.
    pub(super) fn parting(&mut self) -> Option<Answer> {
        match std::mem::take(&mut self.state) {
            // Taken over by nobody: what the group believes to be here is revoked with the rest.
            State::Growing(_) | State::Granted(_) => Some(Answer::Take(Vec::new())),
            State::Shrinking(partitions) => Some(self.dropped(partitions)),
            State::Bare | State::Spare | State::Told => None,
        }
    }

    fn dropped(&mut self, mut partitions: Vec<TopicPartition>) -> Answer {
        // The client refuses as a whole what names a partition that it does not hold.
        partitions.retain(|one| self.held.contains(one));
        self.held.retain(|one| !partitions.contains(one));
        Answer::Drop(partitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(numbers: &[i32]) -> Vec<TopicPartition> {
        numbers.iter().map(|number| TopicPartition::new("in", *number)).collect()
    }

    fn gained(numbers: &[i32]) -> Rebalance {
        Rebalance::Assigned(parts(numbers))
    }

    fn taken(numbers: &[i32], lost: bool) -> Rebalance {
        Rebalance::Revoked { partitions: parts(numbers), lost }
    }

    /// A member that was told of these.
    fn told(numbers: &[i32]) -> Increments {
        let mut increments = Increments::default();
        assert_eq!(increments.noted(gained(numbers)), Told::Granted);
        assert_eq!(increments.granted(), Some(parts(numbers)));
        assert_eq!(increments.accepted(), Some(Answer::Take(parts(numbers))));
        assert_eq!((increments.granted(), increments.waits()), (None, false));
        increments
    }

    #[test]
    fn what_comes_in_is_told_as_a_revocation_and_an_assignment_of_everything() {
        let mut increments = told(&[0, 1]);
        assert_eq!(increments.noted(gained(&[2])), Told::Revoked { lost: false });
        assert!(increments.waits() && increments.granted().is_none());
        assert_eq!(increments.released(), None, "the client is answered when it is taken over");
        assert_eq!(increments.granted(), Some(parts(&[0, 1, 2])));
        assert_eq!(increments.accepted(), Some(Answer::Take(parts(&[2]))));
        assert_eq!(increments.held(), parts(&[0, 1, 2]));
    }

    #[test]
    fn what_goes_is_let_go_after_the_loop_has_and_the_rest_comes_back() {
        for (next, rest) in [(&[][..], &[0, 2][..]), (&[5], &[0, 2, 5])] {
            let mut increments = told(&[0, 1, 2]);
            assert_eq!(increments.noted(taken(&[1], false)), Told::Revoked { lost: false });
            assert_eq!(increments.released(), Some(Answer::Drop(parts(&[1]))));
            assert_eq!(increments.held(), parts(&[0, 2]));
            assert!(increments.granted().is_none() && !increments.waits());
            assert_eq!(increments.noted(gained(next)), Told::Granted);
            assert_eq!(increments.granted(), Some(parts(rest)));
            assert_eq!(increments.accepted(), Some(Answer::Take(parts(next))));
        }
    }

    #[test]
    fn an_assignment_that_changes_nothing_disturbs_nobody() {
        let mut increments = told(&[0]);
        assert_eq!(increments.noted(gained(&[])), Told::Nothing(Answer::Take(Vec::new())));
        assert!(!increments.waits() && increments.granted().is_none());
        // It is told of nothing where it knows of nothing: then it knows that it has nothing to do.
        told(&[]);
    }

    #[test]
    fn what_is_lost_is_told_as_lost_and_let_go_at_once_where_the_loop_has_nothing() {
        let mut increments = told(&[0, 1]);
        assert_eq!(increments.noted(taken(&[0, 1], true)), Told::Revoked { lost: true });
        assert_eq!(increments.released(), Some(Answer::Drop(parts(&[0, 1]))));
        assert_eq!(increments.held(), []);

        let mut increments = told(&[0, 1]);
        increments.noted(taken(&[0], false));
        increments.released();
        assert_eq!(increments.noted(taken(&[1], true)), Told::Nothing(Answer::Drop(parts(&[1]))));
        assert_eq!(increments.held(), []);
        assert_eq!(increments.noted(gained(&[3])), Told::Granted);
        assert_eq!(increments.granted(), Some(parts(&[3])));
    }

    #[test]
    fn a_member_that_gets_nothing_is_told_so_and_owes_no_answer() {
        let mut increments = Increments::default();
        increments.spare();
        assert_eq!(increments.granted(), Some(Vec::new()));
        assert_eq!(increments.accepted(), None);
        assert_eq!(increments.noted(gained(&[4])), Told::Revoked { lost: false });
        assert_eq!(increments.released(), None);
        assert_eq!(increments.granted(), Some(parts(&[4])));
        // What holds something is none, even where the loop has nothing at the moment.
        let mut increments = told(&[0, 1]);
        increments.noted(taken(&[1], false));
        increments.released();
        increments.spare();
        assert_eq!(increments.granted(), None);
    }

    #[test]
    fn a_member_that_parts_owes_the_client_no_answer() {
        assert_eq!(Increments::default().parting(), None);
        assert_eq!(told(&[0]).parting(), None);
        let mut increments = told(&[0]);
        increments.noted(gained(&[1]));
        assert_eq!(increments.parting(), Some(Answer::Take(Vec::new())));
        let mut increments = told(&[0, 1]);
        increments.noted(taken(&[1], false));
        assert_eq!(increments.parting(), Some(Answer::Drop(parts(&[1]))));
    }
}
