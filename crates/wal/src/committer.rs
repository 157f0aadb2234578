//! Group commit: one thread appends and syncs for everybody.

use std::fmt;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::log::{AppendError, Entry, Located, Log};
use crate::shared::Handle;

/// Appends to a log from any thread. Whoever appends while a sync is on its way waits for the next
/// one, together with all others who do.
pub struct Committer {
    /// `None` once it is closed.
    commands: Mutex<Option<Sender<Append>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    handle: Handle,
}

/// Hears of what became of an append, on the committer's thread and in the order of the log.
pub type Appended = Box<dyn FnOnce(Result<Located, AppendError>) + Send>;

struct Append {
    entry: Entry,
    appended: Appended,
}

/// How often what is done is written down: so much may be read again after an abrupt end.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(500);
/// At most so many records are appended together,
const MAX_GROUP: usize = 1024;
/// and so many bytes of payloads, unless a single one is larger.
const MAX_GROUP_BYTES: usize = 16 << 20;

// === impl Committer ===

impl Committer {
    /// Starts the thread. It tells `report` when what is done cannot be written down.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        name: &str,
        log: Log,
        report: impl Fn(&io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let handle = log.handle();
        let (commands, received) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(log, &received, &report))?;
        Ok(Self {
            commands: Mutex::new(Some(commands)),
            thread: Mutex::new(Some(thread)),
            handle,
        })
    }

    /// Appends a record; `appended` hears when it is kept, or why not.
    pub fn append(&self, entry: Entry, appended: Appended) {
        let append = Append { entry, appended };
        let sent = match &*lock(&self.commands) {
            Some(commands) => commands.send(append),
            None => Err(mpsc::SendError(append)),
        };
        if let Err(mpsc::SendError(append)) = sent {
            (append.appended)(Err(AppendError::Closed));
        }
    }

    /// The log.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Appends what waits, writes down what is done, and gives the log back to the system.
    /// Returns when the thread has ended.
    pub fn close(&self) {
        drop(lock(&self.commands).take());
        if let Some(thread) = lock(&self.thread).take() {
            // A panic has been told on the standard error output; the log is closed either way.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Committer").field(&self.handle).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks can fail half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(mut log: Log, received: &Receiver<Append>, report: &dyn Fn(&io::Error)) {
    let mut checkpoint = Instant::now() + CHECKPOINT_INTERVAL;
    loop {
        let wait = checkpoint.saturating_duration_since(Instant::now());
        match received.recv_timeout(wait) {
            Ok(first) => commit(&mut log, gather(first, received)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if Instant::now() >= checkpoint {
            if let Err(error) = log.checkpoint() {
                report(&error);
            }
            checkpoint = Instant::now() + CHECKPOINT_INTERVAL;
        }
    }
    if let Err(error) = log.close() {
        report(&error);
    }
}

/// Everybody who waits by now.
fn gather(first: Append, received: &Receiver<Append>) -> Vec<Append> {
    let mut bytes = first.entry.payload.len();
    let mut group = vec![first];
    while group.len() < MAX_GROUP && bytes < MAX_GROUP_BYTES {
        let Ok(append) = received.try_recv() else {
            break;
        };
        bytes += append.entry.payload.len();
        group.push(append);
    }
    group
}

fn commit(log: &mut Log, group: Vec<Append>) {
    let (entries, waiting): (Vec<Entry>, Vec<Appended>) = group
        .into_iter()
        .map(|append| (append.entry, append.appended))
        .unzip();
    let results = log.append(&entries);
    // Whoever hears of it must not find the payload still held here.
    drop(entries);
    for (appended, result) in waiting.into_iter().zip(results) {
        appended(result);
    }
}
