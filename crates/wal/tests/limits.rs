//! Full logs, full disks, two processes, and many who append at once.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use spanmesh_wal::{AppendError, Committer, Entry, Found, Log, OpenError, Options};

/// How long a thread may take for something, on a machine that has other things to do, too.
const PATIENCE: Duration = Duration::from_secs(60);

fn options(max_bytes: u64) -> Options {
    Options {
        fsync: true,
        max_bytes,
        segment_bytes: 64 << 10,
        lock_timeout: Duration::ZERO,
    }
}

fn entry(size: usize) -> Entry {
    Entry {
        payload: Bytes::from(vec![7; size]),
        items: 1,
    }
}

fn append(log: &mut Log, size: usize) -> Result<(), AppendError> {
    let mut results = log.append(&[entry(size)]);
    results.pop().unwrap().map(|_| ())
}

/// Delivers everything, and returns how much that was.
fn deliver(log: &Log) -> usize {
    let (mut reader, end) = (log.handle().reader(), log.handle().end());
    let mut records = 0;
    while let Some(found) = reader.read(end).unwrap() {
        let Found::Record(record) = found else {
            panic!("nothing is damaged, but found {found:?}")
        };
        log.handle().done(record.from, record.to);
        records += 1;
    }
    records
}

#[test]
fn a_log_that_is_full_says_so_until_something_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(&folder.path().join("log"), options(100_000)).unwrap();
    let mut kept = 0;
    while append(&mut log, 10_000).is_ok() {
        kept += 1;
    }
    assert_eq!(kept, 9);
    assert!(matches!(
        append(&mut log, 10_000),
        Err(AppendError::Full { limit: 100_000 })
    ));
    assert!(matches!(
        append(&mut log, 100_000),
        Err(AppendError::TooLarge { .. })
    ));
    assert!(log.handle().stored_bytes() <= 100_000);
    assert_eq!(deliver(&log), kept);
    // Also the segment that is written to makes room, although it is not full.
    append(&mut log, 90_000).unwrap();
    assert_eq!(deliver(&log), 1);
}

#[test]
fn what_fits_is_taken_although_something_larger_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(&folder.path().join("log"), options(10_000)).unwrap();
    let results = log.append(&[entry(6000), entry(6000), entry(2000)]);
    let taken: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(taken, [true, false, true]);
    assert_eq!(deliver(&log), 2);
}

/// Between two checkpoints a fast stream fills many segments, all but the last of which are done.
#[test]
fn done_segments_are_written_over_without_waiting_for_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("log");
    let mut log = Log::open(&directory, options(16 << 20)).unwrap();
    // Three records fill a segment.
    for _ in 0..60 {
        append(&mut log, 20_000).unwrap();
        assert_eq!(deliver(&log), 1);
    }
    let segments = std::fs::read_dir(&directory).unwrap();
    let segments =
        segments.filter(|file| file.as_ref().unwrap().metadata().unwrap().len() > 10_000);
    assert!(segments.count() <= 4);
}

#[test]
fn a_directory_has_one_log_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("log");
    let log = Log::open(&directory, options(100_000)).unwrap();
    let second = Log::open(&directory, options(100_000));
    assert!(matches!(second, Err(OpenError::InUse(path)) if path == directory));
    drop(log);
    Log::open(&directory, options(100_000)).unwrap();
}

#[test]
fn the_one_who_waits_for_a_directory_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("log");
    let log = Log::open(&directory, options(100_000)).unwrap();
    let waiting = std::thread::spawn(move || {
        let patient = Options {
            lock_timeout: PATIENCE,
            ..options(100_000)
        };
        Log::open(&directory, patient).map(|_| ())
    });
    drop(log);
    waiting.join().unwrap().unwrap();
}

#[test]
fn those_who_wait_share_one_sync() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(&folder.path().join("log"), options(1 << 20)).unwrap();
    let committer = Committer::start("wal-test", log, |error| panic!("{error}")).unwrap();
    let (release, held) = mpsc::channel::<()>();
    let (answer, answers) = mpsc::channel();
    // The thread waits in the answer to the first, as it would wait for a slow disk.
    let (reach, reached) = mpsc::channel();
    committer.append(
        entry(10),
        Box::new(move |_| {
            reach.send(()).unwrap();
            held.recv_timeout(PATIENCE).unwrap();
        }),
    );
    reached.recv_timeout(PATIENCE).unwrap();
    for number in 0..100 {
        let answer = answer.clone();
        committer.append(
            entry(10),
            Box::new(move |result| answer.send((number, result)).unwrap()),
        );
    }
    release.send(()).unwrap();
    for expected in 0..100 {
        let (number, result) = answers.recv_timeout(PATIENCE).unwrap();
        assert_eq!(number, expected);
        assert_eq!(result.unwrap().from.records, expected + 1);
    }
    assert_eq!(committer.handle().commits(), 2);
    assert_eq!(committer.handle().pending().records, 101);
    committer.close();
}

#[test]
fn closing_appends_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("log");
    let log = Log::open(&directory, options(1 << 20)).unwrap();
    let committer = Committer::start("wal-test", log, |error| panic!("{error}")).unwrap();
    let (answer, answers) = mpsc::channel();
    for _ in 0..50 {
        let answer = answer.clone();
        committer.append(
            entry(10),
            Box::new(move |result| answer.send(result.is_ok()).unwrap()),
        );
    }
    committer.close();
    assert_eq!(answers.try_iter().filter(|ok| *ok).count(), 50);
    let log = Log::open(&directory, options(1 << 20)).unwrap();
    assert_eq!(log.handle().pending().records, 50);
}

const LIMITED: &str = "WAL_TEST_IS_LIMITED";

/// The system refuses writes past a limit, as it does on a full disk. The limit is one of the
/// process, so the test runs itself again in another one; its output goes through a pipe, since the
/// limit would hold for a file, too.
#[test]
fn a_write_that_the_system_refuses_costs_nothing_that_was_kept() {
    if std::env::var_os(LIMITED).is_some() {
        return under_a_limit();
    }
    let test = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$@\"", "sh"])
        .arg(test)
        .args([
            "--exact",
            "a_write_that_the_system_refuses_costs_nothing_that_was_kept",
        ])
        .env(LIMITED, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn under_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("log");
    let mut log = Log::open(&directory, options(1 << 20)).unwrap();
    let mut kept = 0;
    while append(&mut log, 3000).is_ok() {
        kept += 1;
        assert!(kept < 100, "the limit is not there");
    }
    assert!(kept > 0);
    assert!(matches!(
        append(&mut log, 3000),
        Err(AppendError::Failed(_))
    ));
    // The next append takes away what a refused one has left; or the next process does.
    drop(log);
    let mut log = Log::open(&directory, options(1 << 20)).unwrap();
    assert!(log.cut_bytes() < 3048);
    assert!(append(&mut log, 3000).is_err());
    assert_eq!(deliver(&log), kept);
    // What is delivered makes room.
    append(&mut log, 3000).unwrap();
    assert_eq!(deliver(&log), 1);
}
