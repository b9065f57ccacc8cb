//! Gathers queued changes into batches that are bounded in number and in bytes. Knows no change.
//!
//! Group commit: an `fsync` takes milliseconds and costs about the same for one change as for a hundred. So whatever
//! arrives while one batch is being made durable forms the next one, and its size follows the load by itself: one change
//! at a time when little happens, full batches under pressure. No timer waits for more.

use std::collections::VecDeque;

/// How large a batch may become.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Maximum number of changes.
    pub changes_max: usize,
    /// Maximum size of all changes together. A single change that is larger forms a batch of its own.
    pub bytes_max: usize,
}

impl BatchLimits {
    /// Takes the next batch from the front of the queue: always one change, and more while they fit. Empty only if the
    /// queue is.
    pub fn take<T>(self, queue: &mut VecDeque<T>, bytes_of: impl Fn(&T) -> usize) -> Vec<T> {
        let mut bytes: usize = 0;
        let fitting = queue.iter().take(self.changes_max).enumerate().take_while(|(index, change)| {
            bytes = bytes.saturating_add(bytes_of(change));
            *index == 0 || bytes <= self.bytes_max
        });
        let count = fitting.count();
        queue.drain(..count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BatchLimits = BatchLimits { changes_max: 4, bytes_max: 100 };

    /// The sizes of all batches of a queue whose changes have these numbers of bytes.
    fn batches(bytes: &[usize]) -> Vec<usize> {
        let mut queue: VecDeque<usize> = bytes.iter().copied().collect();
        let mut sizes = Vec::new();
        while !queue.is_empty() {
            sizes.push(LIMITS.take(&mut queue, |bytes| *bytes).len());
        }
        sizes
    }

    #[test]
    fn a_batch_is_bounded_in_number_and_in_bytes_and_nothing_is_left_behind() {
        for (bytes, expected) in [
            (vec![], vec![]),
            (vec![0], vec![1]),
            (vec![1; 4], vec![4]),
            (vec![1; 9], vec![4, 4, 1]),
            (vec![50, 50, 1], vec![2, 1]),
            (vec![60, 60, 60], vec![1, 1, 1]),
            (vec![0, 101, 1], vec![1, 1, 1]),
            (vec![usize::MAX, usize::MAX], vec![1, 1]),
        ] {
            assert_eq!(batches(&bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn changes_stay_in_the_order_in_which_they_came() {
        let mut queue: VecDeque<usize> = (0..6).collect();
        assert_eq!(LIMITS.take(&mut queue, |_| 1), [0, 1, 2, 3]);
        assert_eq!(LIMITS.take(&mut queue, |_| 1), [4, 5]);
        assert_eq!(LIMITS.take(&mut queue, |_| 1), [0; 0]);
    }
}
