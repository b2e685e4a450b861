//! What there is to see while the engine runs: one screen on a terminal, a line now and then elsewhere.

use std::fmt::Write as _;
use std::time::Duration;

/// What is shown.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Name of the topology.
    pub topology: String,
    /// Time since the start.
    pub elapsed: Duration,
    /// Records read and committed.
    pub records_in: u64,
    /// Of them in the last second.
    pub rate: f64,
    /// Records written.
    pub records_out: u64,
    /// Records not read yet.
    pub lag: u64,
    /// Epochs committed.
    pub commits: u64,
    /// Epochs rolled back.
    pub rollbacks: u64,
    /// Mean time between two commits that the last second had, in milliseconds.
    pub commit_every_ms: Option<f64>,
    /// Records that were refused by a rule.
    pub refused: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Tasks that run, and all.
    pub tasks: (usize, usize),
    /// Per aggregate: how many of its instances are in which status.
    pub states: Vec<(String, Vec<(String, u64)>)>,
    /// Where HTTP listens, and what to ask.
    pub ask: Vec<String>,
}

/// Widest line: terminals are at least so wide, and a wrapped line would spoil the drawing.
const WIDTH: usize = 79;

impl View {
    /// The screen, line by line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("skald dev · {} · {} s · Ctrl-C ends it", self.topology, self.elapsed.as_secs()),
            String::new(),
            format!(
                "  read     {:>12}   {:>10}/s   behind {}",
                grouped(self.records_in),
                grouped(self.rate as u64),
                grouped(self.lag)
            ),
            format!(
                "  written  {:>12}   commits {}{}, rolled back {}",
                grouped(self.records_out),
                grouped(self.commits),
                self.commit_every_ms.map_or_else(String::new, |every| format!(" (every {every:.0} ms)")),
                grouped(self.rollbacks)
            ),
            format!(
                "  refused  {:>12}   dead letters {}   tasks {}/{}",
                grouped(self.refused),
                grouped(self.dead_letters),
                self.tasks.0,
                self.tasks.1
            ),
            String::new(),
        ];
        for (node, counts) in &self.states {
            let mut line = format!("  {node:<16}");
            for (status, count) in counts {
                let _ = write!(line, " {status} {} ", grouped(*count));
            }
            lines.push(line.trim_end().to_owned());
        }
        if !self.ask.is_empty() {
            lines.push(String::new());
            lines.extend(self.ask.iter().map(|line| format!("  {line}")));
        }
        lines.into_iter().map(|line| line.chars().take(WIDTH).collect()).collect()
    }

    /// The same in one line.
    pub fn line(&self) -> String {
        format!(
            "{} s: read {} ({}/s), written {}, behind {}, refused {}, dead letters {}",
            self.elapsed.as_secs(),
            grouped(self.records_in),
            grouped(self.rate as u64),
            grouped(self.records_out),
            grouped(self.lag),
            grouped(self.refused),
            grouped(self.dead_letters)
        )
    }
}

/// Draws the same place of a terminal anew each time.
#[derive(Debug, Default)]
pub struct Screen {
    drawn: usize,
}

impl Screen {
    /// The escapes and lines that replace what was drawn before.
    pub fn draw(&mut self, lines: &[String]) -> String {
        let mut out = String::new();
        if self.drawn > 0 {
            // Up to where it began; each line is cleared as it is written, what is left below is cleared at the end.
            let _ = write!(out, "\x1b[{}A\r", self.drawn);
        }
        for line in lines {
            let _ = writeln!(out, "\x1b[2K{line}");
        }
        out.push_str("\x1b[0J");
        self.drawn = lines.len();
        out
    }
}

/// A number with its thousands told apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn no_line_is_wider_than_a_terminal_and_a_redraw_goes_back_to_its_beginning() {
        let view = View {
            topology: "shop".into(),
            records_in: u64::MAX,
            records_out: u64::MAX,
            states: vec![("a".repeat(60), vec![("CONFIRMED".into(), u64::MAX), ("PENDING".into(), 3)])],
            ask: vec!["curl ".repeat(30)],
            ..View::default()
        };
        let lines = view.lines();
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        let mut screen = Screen::default();
        assert!(!screen.draw(&lines).contains("A\r"));
        assert!(screen.draw(&lines).starts_with(&format!("\x1b[{}A", lines.len())));
    }
}
