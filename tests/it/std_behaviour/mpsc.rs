use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sync::mpsc::{
    self, Receiver, RecvError, RecvTimeoutError, SendError, Sender, SyncSender, TryRecvError,
    TrySendError, channel, sync_channel,
};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_mins(1);

/// A sender of either sort.
trait Sends<T> {
    fn send(&self, message: T) -> Result<(), SendError<T>>;
}

impl<T> Sends<T> for Sender<T> {
    fn send(&self, message: T) -> Result<(), SendError<T>> {
        Sender::send(self, message)
    }
}

impl<T> Sends<T> for SyncSender<T> {
    fn send(&self, message: T) -> Result<(), SendError<T>> {
        SyncSender::send(self, message)
    }
}

/// Runs a test with an unbounded channel, with bounded ones, and with one without capacity.
fn with_each(
    test: impl Fn(&(dyn Fn(u32) -> Result<(), SendError<u32>> + Sync), &mut dyn FnMut() -> Receiver<u32>),
) {
    let run = |sender: Box<dyn Sends<u32> + Sync>, receiver| {
        let mut receiver = Some(receiver);
        test(&|message| sender.send(message), &mut || receiver.take().unwrap());
    };
    let (sender, receiver) = channel();
    run(Box::new(sender), receiver);
    for bound in [0, 1, 3] {
        let (sender, receiver) = sync_channel(bound);
        run(Box::new(sender), receiver);
    }
}

#[test]
fn messages_come_in_the_order_in_which_they_were_sent() {
    with_each(|send, receiver| {
        let receiver = receiver();
        thread::scope(|scope| {
            scope.spawn(|| (0..100).for_each(|number| send(number).unwrap()));
            for number in 0..100 {
                assert_eq!(receiver.recv(), Ok(number));
            }
        });
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn a_receiver_that_is_gone_gives_messages_back() {
    with_each(|send, receiver| {
        drop(receiver());
        assert_eq!(send(1), Err(SendError(1)));
    });
    let (sender, receiver) = sync_channel(0);
    drop(receiver);
    assert_eq!(sender.try_send(1), Err(TrySendError::Disconnected(1)));
}

/// The receiver is dropped while a sender waits for it.
#[test]
fn a_sender_that_waits_is_woken_by_the_receivers_end() {
    for bound in [0, 1] {
        let (sender, receiver) = sync_channel(bound);
        (0..bound).for_each(|_| sender.send(0).unwrap());
        thread::scope(|scope| {
            let waits = scope.spawn(|| sender.send(1));
            scope.spawn(move || {
                thread::sleep(SHORT);
                drop(receiver);
            });
            assert_eq!(waits.join().unwrap(), Err(SendError(1)));
        });
    }
}

#[test]
fn what_was_sent_is_received_when_all_senders_are_gone() {
    let (sender, receiver) = channel();
    let other = sender.clone();
    sender.send(1).unwrap();
    drop(sender);
    other.send(2).unwrap();
    drop(other);
    assert_eq!((receiver.recv(), receiver.try_recv()), (Ok(1), Ok(2)));
    assert_eq!(receiver.recv(), Err(RecvError));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Disconnected));
    assert_eq!(receiver.iter().next(), None);
}

/// The last sender is dropped while the receiver waits.
#[test]
fn a_receiver_that_waits_is_woken_by_the_last_senders_end() {
    let (sender, receiver) = channel::<u8>();
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(SHORT);
            drop(sender);
        });
        assert_eq!(receiver.recv(), Err(RecvError));
    });
    let (sender, receiver) = sync_channel::<u8>(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(SHORT);
            drop(sender);
        });
        assert_eq!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    });
}

#[test]
fn iterators_end_with_the_senders() {
    with_each(|send, receiver| {
        let receiver = receiver();
        thread::scope(|scope| {
            scope.spawn(|| (0..5).for_each(|number| send(number).unwrap()));
            assert_eq!(receiver.iter().take(2).collect::<Vec<_>>(), [0, 1]);
            let mut left = Vec::new();
            for number in &receiver {
                left.push(number);
                if number == 4 {
                    break;
                }
            }
            assert_eq!(left, [2, 3, 4]);
        });
        assert_eq!(receiver.try_iter().count(), 0);
    });
    let (sender, receiver) = channel();
    (0..3).for_each(|number| sender.send(number).unwrap());
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    (0..3).for_each(|number| sender.send(number).unwrap());
    drop(sender);
    let mut messages = receiver.into_iter();
    assert_eq!(messages.by_ref().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(messages.next(), None);
}

#[test]
fn a_bound_is_kept() {
    let (sender, receiver) = sync_channel(2);
    assert_eq!((sender.try_send(1), sender.try_send(2)), (Ok(()), Ok(())));
    assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(sender.try_send(3), Ok(()));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [2, 3]);
}

/// Without capacity, each send waits until its message is received.
#[test]
fn a_rendezvous() {
    let (sender, receiver) = sync_channel(0);
    assert_eq!(sender.try_send(0), Err(TrySendError::Full(0)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    thread::scope(|scope| {
        let counts = scope.spawn(|| {
            for number in 1..=100 {
                sender.send(number).unwrap();
            }
        });
        for number in 1..100 {
            assert_eq!(receiver.recv(), Ok(number));
        }
        assert!(!counts.is_finished());
        // Attempts can also receive a message.
        loop {
            match receiver.try_recv() {
                Ok(number) => break assert_eq!(number, 100),
                Err(error) => assert_eq!(error, TryRecvError::Empty),
            }
        }
    });
    thread::scope(|scope| {
        scope.spawn(move || assert_eq!(receiver.recv(), Ok(7)));
        while sender.try_send(7).is_err() {}
    });
}

/// Attempts on one side also meet receives with a zero timeout on the other.
#[test]
fn a_rendezvous_of_attempts() {
    let (sender, receiver) = sync_channel(0);
    thread::scope(|scope| {
        scope.spawn(move || while sender.try_send(7).is_err() {});
        while receiver.recv_timeout(Duration::ZERO) != Ok(7) {}
    });
}

#[test]
fn timeouts() {
    let (sender, receiver) = channel();
    let start = Instant::now();
    assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    assert!(start.elapsed() >= SHORT);
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    sender.send(1).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Ok(1));
    sender.send(2).unwrap();
    assert_eq!(receiver.recv_timeout(LONG), Ok(2));
    thread::scope(|scope| {
        scope.spawn(|| sender.send(3));
        assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(3));
    });
}

#[test]
fn many_senders() {
    for bound in [0, 1, 100] {
        let (sender, receiver) = sync_channel(bound);
        for _ in 0..4 {
            let sender = sender.clone();
            thread::spawn(move || (0..50).for_each(|_| sender.send(1).unwrap()));
        }
        drop(sender);
        assert_eq!(receiver.into_iter().sum::<u32>(), 200);
    }
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        for _ in 0..4 {
            // By reference: a sender may be shared.
            scope.spawn(|| (0..50).for_each(|_| sender.send(1).unwrap()));
        }
        assert_eq!(receiver.iter().take(200).sum::<u32>(), 200);
    });
}

#[test]
fn messages_that_nobody_received_are_dropped_with_the_receiver() {
    let message = Arc::new(());
    let (sender, receiver) = channel();
    sender.send(Arc::clone(&message)).unwrap();
    let (bounded, bounded_receiver) = sync_channel(1);
    bounded.send(Arc::clone(&message)).unwrap();
    assert_eq!(Arc::strong_count(&message), 3);
    drop((receiver, bounded_receiver));
    assert_eq!(Arc::strong_count(&message), 1);
    let SendError(back) = sender.send(Arc::clone(&message)).unwrap_err();
    assert_eq!(Arc::strong_count(&message), 2);
    drop(back);
}

/// A message whose destructor uses the channel.
#[test]
fn a_message_may_send_when_it_is_dropped() {
    struct Last(Sender<u8>);
    impl Drop for Last {
        fn drop(&mut self) {
            let _ = self.0.send(1);
        }
    }
    let (sender, receiver) = channel();
    let (lasts, last) = channel();
    lasts.send(Last(sender)).unwrap();
    drop((lasts, last));
    assert_eq!(receiver.recv(), Ok(1));
}

/// A panicking thread poisons no channel: it hangs up.
#[test]
fn a_panic_hangs_up() {
    let (sender, receiver) = channel();
    let result = catch_unwind(AssertUnwindSafe(move || {
        sender.send(1).unwrap();
        panic!("on purpose");
    }));
    assert!(result.is_err());
    assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Err(RecvError)));
}

#[test]
fn the_types_have_names_as_in_std() {
    fn all<T>() -> (mpsc::Sender<T>, mpsc::Receiver<T>) {
        mpsc::channel()
    }
    let (_, receiver) = all::<u8>();
    let _: mpsc::Iter<'_, u8> = receiver.iter();
    let _: mpsc::TryIter<'_, u8> = receiver.try_iter();
    let _: mpsc::IntoIter<u8> = receiver.into_iter();
    let (_sender, _receiver): (mpsc::SyncSender<u8>, _) = mpsc::sync_channel(1);
}

#[test]
fn debug_texts() {
    let (sender, receiver) = channel::<u8>();
    let (bounded, _receiver) = sync_channel::<u8>(1);
    assert_eq!(format!("{sender:?}"), "Sender { .. }");
    assert_eq!(format!("{bounded:?}"), "SyncSender { .. }");
    assert_eq!(format!("{receiver:?}"), "Receiver { .. }");
    assert_eq!(format!("{:?}", receiver.iter()), "Iter { rx: Receiver { .. } }");
    assert_eq!(format!("{:?}", receiver.try_iter()), "TryIter { rx: Receiver { .. } }");
    assert_eq!(format!("{:?}", receiver.into_iter()), "IntoIter { rx: Receiver { .. } }");
}
