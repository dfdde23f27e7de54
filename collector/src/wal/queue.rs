//! The way into the WAL: room is reserved first, so that whatever is sequenced will be written; then the order of
//! submission is the order in the log.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::admission::{Admission, Class, Verdict};
use super::codec::BLOCK;
use super::commit::{Pending, cost};
use super::error::{ReserveError, RollError};
use super::options::WalOptions;
use super::position::WalPosition;

/// Admitted and submitted frames, and the room for more.
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    room_changed: Notify,
    client_permits: Arc<Semaphore>,
    internal_permits: Arc<Semaphore>,
    max_frame_bytes: usize,
    commit_bytes_max: u64,
}

struct State {
    admission: Admission,
    items: VecDeque<Item>,
    closed: bool,
}

enum Item {
    Frame(Entry),
    Roll(RollRequest),
}

/// Someone who wants the current file closed.
pub(super) struct RollRequest {
    pub(super) reply: oneshot::Sender<Result<WalPosition, RollError>>,
    _permit: OwnedSemaphorePermit,
}

/// A frame and the room for it.
pub(super) struct Entry {
    pub(super) pending: Pending,
    pub(super) reservation: Reservation,
}

/// What the writer is to do next.
pub(super) enum Work {
    Commit { entries: Vec<Entry>, in_next_file: bool },
    Roll(RollRequest),
}

/// Room for one frame, given back when dropped. Submit it before asking for the next: whoever holds one while waiting
/// for another can wait for ever.
#[must_use = "room that is not used is given back at once"]
pub struct Reservation {
    queue: Arc<Queue>,
    cost: u64,
    payload_bytes: usize,
    _permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// The largest payload that it may be submitted with.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.queue
            .change_room(|admission| admission.written_or_dropped(self.cost));
    }
}

impl Queue {
    pub(super) fn new(options: &WalOptions, admission: Admission, file_room: u64) -> Arc<Self> {
        let internal = admission.limits.max_cost;
        // All that may be outstanding fits in one fresh file, so that closing the current one early is always safe.
        let client = (2 * options.commit_bytes_max as u64)
            .max(internal)
            .min(file_room.saturating_sub(internal + admission.limits.reserve));
        let permits = |bytes: u64| {
            let blocks = usize::try_from(bytes / u64::from(BLOCK)).unwrap_or(Semaphore::MAX_PERMITS);
            Arc::new(Semaphore::new(blocks.min(Semaphore::MAX_PERMITS)))
        };
        Arc::new(Self {
            state: Mutex::new(State {
                admission,
                items: VecDeque::new(),
                closed: false,
            }),
            arrived: Condvar::new(),
            room_changed: Notify::new(),
            client_permits: permits(client),
            internal_permits: permits(internal),
            max_frame_bytes: options.max_frame_bytes,
            commit_bytes_max: options.commit_bytes_max as u64,
        })
    }

    pub(super) async fn reserve(
        self: &Arc<Self>,
        payload_bytes: usize,
        class: Class,
    ) -> Result<Reservation, ReserveError> {
        if payload_bytes > self.max_frame_bytes {
            return Err(ReserveError::TooLarge {
                bytes: payload_bytes,
                bytes_max: self.max_frame_bytes,
            });
        }
        let cost = cost(payload_bytes);
        let permits = match class {
            Class::Client => &self.client_permits,
            Class::Internal => &self.internal_permits,
        };
        let blocks = u32::try_from(cost / u64::from(BLOCK)).unwrap_or(u32::MAX);
        let permit = Arc::clone(permits).acquire_many_owned(blocks).await;
        let permit = permit.map_err(|_| ReserveError::Closed)?;
        loop {
            let changed = self.room_changed.notified();
            match self.admit(cost, class)? {
                Verdict::Admitted => break,
                Verdict::NoSpace => return Err(ReserveError::NoSpace),
                Verdict::Wait => changed.await,
            }
        }
        Ok(Reservation {
            queue: Arc::clone(self),
            cost,
            payload_bytes,
            _permit: permit,
        })
    }

    fn admit(&self, cost: u64, class: Class) -> Result<Verdict, ReserveError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(ReserveError::Closed);
        }
        Ok(state.admission.admit(cost, class))
    }

    /// What is submitted after the end is dropped: nobody acknowledges it.
    pub(super) fn submit(&self, entry: Entry) {
        self.push(Item::Frame(entry));
    }

    pub(super) async fn roll(&self) -> Result<WalPosition, RollError> {
        let permit = Arc::clone(&self.internal_permits).acquire_owned().await;
        let _permit = permit.map_err(|_| RollError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.push(Item::Roll(RollRequest { reply, _permit }));
        answer.await.unwrap_or(Err(RollError::Closed))
    }

    fn push(&self, item: Item) {
        let mut state = self.state.lock();
        if state.closed {
            // A reservation takes the lock when it is dropped.
            drop(state);
            drop(item);
            return;
        }
        state.items.push_back(item);
        drop(state);
        self.arrived.notify_one();
    }

    /// Waits for work: everything that has gathered and fits in one commit of the current file, or else of the next.
    /// `None` once the queue is closed and empty.
    pub(super) fn gather(&self, file_room: u64, next_file_room: u64) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            match state.items.pop_front() {
                Some(Item::Roll(request)) => return Some(Work::Roll(request)),
                Some(Item::Frame(first)) => {
                    let in_next_file = first.pending.frame_bytes() > file_room;
                    let room = if in_next_file { next_file_room } else { file_room };
                    let entries = state.take_while_it_fits(first, room.min(self.commit_bytes_max));
                    return Some(Work::Commit { entries, in_next_file });
                }
                None if state.closed => return None,
                None => self.arrived.wait(&mut state),
            }
        }
    }

    /// Changes the account of room, and lets those who wait for some look again.
    pub(super) fn change_room(&self, change: impl FnOnce(&mut Admission)) {
        change(&mut self.state.lock().admission);
        self.room_changed.notify_waiters();
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Admission) -> T) -> T {
        look(&self.state.lock().admission)
    }

    /// Nothing more gets in; what is in is still written.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.client_permits.close();
        self.internal_permits.close();
        self.room_changed.notify_waiters();
        self.arrived.notify_all();
    }

    /// Nothing more gets in, and what is in is forgotten.
    pub(super) fn abandon(&self) {
        self.close();
        let abandoned = std::mem::take(&mut self.state.lock().items);
        drop(abandoned);
    }
}

impl State {
    fn take_while_it_fits(&mut self, first: Entry, bytes_max: u64) -> Vec<Entry> {
        let mut bytes = first.pending.frame_bytes();
        let mut entries = vec![first];
        while let Some(Item::Frame(next)) = self.items.front()
            && bytes + next.pending.frame_bytes() <= bytes_max
            && let Some(Item::Frame(next)) = self.items.pop_front()
        {
            bytes += next.pending.frame_bytes();
            entries.push(next);
        }
        entries
    }
}
