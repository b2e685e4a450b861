//! The timers of an instance, by name.

use std::fmt;

/// What a timer of an instance is for. An instance has at most one of each at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// The end of an operation's try, or of the wait before the next one: step and element, by index.
    Op(usize, usize),
    /// The saga's `timeout`.
    Saga,
    /// A transition of the current state, by index.
    After(usize),
    /// A transition of all states, by index.
    Anywhere(usize),
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Op(step, item) => write!(f, "op/{step}/{item}"),
            Self::Saga => f.write_str("saga"),
            Self::After(transition) => write!(f, "after/{transition}"),
            Self::Anywhere(transition) => write!(f, "anywhere/{transition}"),
        }
    }
}

impl Timer {
    /// The timer of a name; `None` of one that was not written here.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('/');
        let kind = parts.next()?;
        let mut number = || parts.next()?.parse().ok();
        let timer = match kind {
            "op" => Self::Op(number()?, number()?),
            "saga" => Self::Saga,
            "after" => Self::After(number()?),
            "anywhere" => Self::Anywhere(number()?),
            _ => return None,
        };
        // Names have one form: what reads as a timer and is written otherwise is not ours.
        (timer.to_string() == name).then_some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::Timer;

    #[test]
    fn a_timer_is_known_by_its_name_alone() {
        let timers = [Timer::Op(3, 999), Timer::Saga, Timer::After(0), Timer::Anywhere(7)];
        for timer in timers {
            assert_eq!(Timer::parse(&timer.to_string()), Some(timer));
            assert!(!crate::node::is_delayed(timer.to_string().as_bytes()), "it is no message that is sent later");
        }
        for name in ["", "op", "op/1", "op/1/2/3", "op/+1/2", "op/01/2", "op/-1/2", "saga/", "after/x", "x"] {
            assert_eq!(Timer::parse(name), None, "{name}");
        }
    }
}
