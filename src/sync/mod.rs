//! Locks that outlive a panic.
//!
//! A panic of one record, one request or one thread is caught where it happens and must not take the others along, so nobody
//! here is refused a lock because another holder panicked. What that asks of callers: each change under a lock is made in one
//! piece, so that what a panic leaves is whole. Left to others: what is locked, and in which order.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks for one.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for readers.
pub fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for one writer.
pub fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_panic_of_a_holder_locks_nobody_out() {
        let (one, many) = (Mutex::new(1), RwLock::new(1));
        let panics = |hold: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(hold)).is_err());
        panics(&|| {
            let _held = lock(&one);
            panic!("a holder");
        });
        panics(&|| {
            let _held = write(&many);
            panic!("a writer");
        });
        assert!(one.is_poisoned() && many.is_poisoned());
        *lock(&one) += 1;
        *write(&many) += 1;
        assert_eq!((*lock(&one), *read(&many)), (2, 2));
    }
}
