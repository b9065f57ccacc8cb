//! Tells the loop of a connection that there is more to do, without scheduling its task while the loop runs anyway.
//!
//! Whatever is sent on a stream wakes the task of its connection, so that it is written. But the streams are polled by
//! that same task: without this, each answer would cost one more run of the loop, in which nothing is left to do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// The wake-ups of one connection.
#[derive(Debug, Default)]
pub(super) struct Wakeups {
    task: AtomicWaker,
    is_running: AtomicBool,
    is_woken: AtomicBool,
}

impl Wakeups {
    /// Runs the loop body, with a context of its own, until nothing has been woken in it: at most `times` times, after
    /// which it is scheduled again like any other task. Ends with the first result.
    pub(super) fn run<T>(
        self: &Arc<Self>,
        times: usize,
        cx: &mut Context<'_>,
        mut body: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.task.register(cx.waker());
        self.is_running.store(true, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(self));
        let mut polled = Poll::Pending;
        for _ in 0..times {
            self.is_woken.store(false, Ordering::SeqCst);
            polled = body(&mut Context::from_waker(&waker));
            if polled.is_ready() || !self.is_woken.load(Ordering::SeqCst) {
                break;
            }
        }
        // In this order: what is woken from now on schedules the task, and what was woken before is seen here.
        self.is_running.store(false, Ordering::SeqCst);
        if self.is_woken.load(Ordering::SeqCst) {
            cx.waker().wake_by_ref();
        }
        polled
    }
}

impl Wake for Wakeups {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        if !self.is_running.load(Ordering::SeqCst) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_woken_in_the_loop_is_done_in_the_loop() {
        let (task, wakeups) = (Arc::<Counted>::default(), Arc::<Wakeups>::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut cx = Context::from_waker(&waker);
        let (mut runs, mut kept) = (0, None);
        let polled: Poll<()> = wakeups.run(8, &mut cx, |cx| {
            runs += 1;
            kept = Some(cx.waker().clone());
            if runs < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((runs, task.0.load(Ordering::SeqCst)), (3, 0));
        kept.unwrap().wake();
        assert_eq!(task.0.load(Ordering::SeqCst), 1, "later, the task is scheduled");
    }

    #[test]
    fn a_loop_that_never_ends_lets_others_run() {
        let (task, wakeups) = (Arc::<Counted>::default(), Arc::<Wakeups>::default());
        let waker = Waker::from(Arc::clone(&task));
        let mut runs = 0;
        let polled: Poll<()> = wakeups.run(8, &mut Context::from_waker(&waker), |cx| {
            runs += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((runs, task.0.load(Ordering::SeqCst)), (8, 1));
    }
}
