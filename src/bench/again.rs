//! A worker that starts again, with its states and without, and what they take.

use super::document::{Restored, Run};
use super::error::Result;
use super::job::Job;
use super::load::Input;
use super::outputs::Sizes;
use super::run::Bench;
use super::stand::Stand;
use super::subject;
use std::time::Duration;

/// The moment itself is what is wanted, so the cluster is asked often.
const CLOSE_LOOK: Duration = Duration::from_millis(5);

impl Bench<'_> {
    /// Starts the worker once more with its states and once without, each time with a record that waits for it.
    pub(super) fn start_again(&mut self, stand: &mut Stand, run: &mut Run, input: &mut Input) -> Result<()> {
        run.restart_s = Some(self.start_with_a_record(stand, input)?.0.as_secs_f64());
        stand.fresh += 1;
        let (ready, restored) = self.start_with_a_record(stand, input)?;
        if let Some((records, seconds)) = restored {
            run.restored = Some(Restored { records, seconds, ready_s: ready.as_secs_f64() });
        }
        Ok(())
    }

    fn start_with_a_record(&mut self, stand: &Stand, input: &mut Input) -> Result<(Duration, Option<(u64, f64)>)> {
        input.fill(stand.job, 1, &*self.clock, &mut |_| Ok(()))?;
        self.watcher.begin(&format!("{}: {} starts again", stand.job, stand.subject), input.sent);
        let begun = self.clock.mono();
        let mut worker = self.launch.worker(stand)?;
        self.wait_for(stand, &mut worker, input.sent, CLOSE_LOOK)?;
        let took = self.clock.mono().saturating_sub(begun);
        let restored = subject::restored(&worker);
        worker.stop(&*self.clock)?;
        Ok((took, restored))
    }

    /// What the worker's states and all its records take on the cluster.
    pub(super) fn weigh(&mut self, stand: &Stand, run: &mut Run, input: &Input) -> Result<()> {
        let (mut states, mut all) = (Sizes::default(), Sizes::default());
        for topic in self.place.topics_of(stand)? {
            let is_state = ["changelog", "snapshots"].iter().any(|end| topic.ends_with(end));
            if is_state {
                states.add(&self.place.kafka, &topic)?;
            } else if stand.job == Job::Saga {
                all.add(&self.place.kafka, &topic)?;
            }
        }
        let per_record = |bytes: u64| bytes as f64 / input.sent.max(1) as f64;
        run.state_bytes_per_record = Some(per_record(states.last));
        run.log_bytes_per_record = (stand.job == Job::Saga).then(|| per_record(states.all + all.all));
        Ok(())
    }
}
