//! A write-ahead log whose files hold anything: it opens, what is read back does not end in a panic,
//! and what is appended then is read back.
//!
//! The first byte says where the rest is parted into a cursor and two segments, of which the first
//! begins with a record that is whole, so that damage behind one is tried, too.
#![no_main]

use std::fs;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use spanmesh_wal::{Entry, Found, Log, Mark, Options};

/// Behind everything.
const END: Mark = Mark {
    records: u64::MAX,
    items: 0,
    bytes: 0,
};

fuzz_target!(|input: &[u8]| {
    let Some((&parting, rest)) = input.split_first() else {
        return;
    };
    // Files in memory, where the system has them, are several times faster.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.expect("a folder for temporary files");
    let directory = folder.path().join("log");
    let mut log = Log::open(&directory, options()).expect("a new log");
    let entry = |payload: &'static [u8]| Entry {
        payload: payload.into(),
        items: 1,
    };
    assert!(log.append(&[entry(b"before")])[0].is_ok());
    drop(log);

    let (cursor, segments) = rest.split_at(rest.len() * usize::from(parting & 15) / 30);
    let (first, second) = segments.split_at(segments.len() * usize::from(parting >> 4) / 15);
    if !cursor.is_empty() {
        fs::write(directory.join("cursor"), cursor).expect("a cursor");
    }
    for file in fs::read_dir(&directory).expect("the folder") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|suffix| suffix == "segment") {
            let mut bytes = fs::read(&path).expect("a segment");
            bytes.extend_from_slice(first);
            fs::write(&path, bytes).expect("a segment");
        }
    }
    let name = "00000000000000000005-0000000000000001.segment";
    fs::write(directory.join(name), second).expect("a segment");

    let mut log = Log::open(&directory, options()).expect("whatever is in it");
    let mut reader = log.handle().reader();
    let mut payloads = Vec::new();
    while let Some(found) = reader.read(END).expect("files that are there") {
        match found {
            Found::Record(record) => payloads.push(record.payload),
            Found::Damaged { from, to } => log.handle().done(from, to),
        }
    }
    // Checksums do not appear by chance.
    assert!(payloads.iter().all(|payload| **payload == *b"before"));
    assert!(log.append(&[entry(b"after")])[0].is_ok());
    let Some(Found::Record(record)) = reader.read(END).expect("files that are there") else {
        panic!("what was appended is not there")
    };
    assert_eq!(*record.payload, *b"after");
    log.close().expect("a log that can be closed");
});

fn options() -> Options {
    Options {
        fsync: false,
        max_bytes: 1 << 20,
        segment_bytes: 1 << 10,
        lock_timeout: Duration::ZERO,
    }
}
