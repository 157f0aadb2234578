//! The log against a model: whatever happens to the process and to its files, what was appended is
//! read again, and only what is damaged is not.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use spanmesh_wal::{Entry, Found, Located, Log, Mark, Options, Reader};

/// What happens to a log.
#[derive(Clone, Debug)]
enum Step {
    /// Records of these sizes are appended together.
    Append(Vec<usize>),
    /// So many records are read, and each becomes done if its bit is set.
    Deliver(usize, u64),
    /// What is done is written down.
    Checkpoint,
    /// The process ends without a word, and another one opens the log.
    Crash,
    /// The process closes the log, and another one opens it.
    Restart,
}

/// A record as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    payload: Vec<u8>,
    items: u64,
    done: bool,
}

/// Behind everything.
const END: Mark = Mark {
    records: u64::MAX,
    items: 0,
    bytes: 0,
};

struct World {
    directory: PathBuf,
    log: Option<Log>,
    reader: Reader,
    records: Vec<Known>,
}

fn options() -> Options {
    Options {
        // What a process leaves behind is the same; what the machine does cannot be tested here.
        fsync: false,
        max_bytes: 1 << 20,
        segment_bytes: 400,
        lock_timeout: Duration::ZERO,
    }
}

fn entry(number: usize, size: usize) -> Entry {
    let payload: Vec<u8> = (0..size).map(|at| (number * 31 + at * 7) as u8).collect();
    Entry {
        payload: payload.into(),
        items: number as u64 % 5 + 1,
    }
}

impl World {
    fn new(directory: &Path) -> Self {
        let log = Log::open(directory, options()).unwrap();
        let reader = log.handle().reader();
        Self {
            directory: directory.to_owned(),
            log: Some(log),
            reader,
            records: Vec::new(),
        }
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn append(&mut self, sizes: &[usize]) -> Vec<Located> {
        let first = self.records.len();
        let entries: Vec<Entry> = sizes
            .iter()
            .enumerate()
            .map(|(index, size)| entry(first + index, *size))
            .collect();
        let results = self.log().append(&entries);
        self.records.extend(entries.iter().map(|entry| Known {
            payload: entry.payload.to_vec(),
            items: entry.items,
            done: false,
        }));
        results.into_iter().map(Result::unwrap).collect()
    }

    fn deliver(&mut self, count: usize, done: u64) {
        for index in 0..count {
            let Some(found) = self.reader.read(END).unwrap() else {
                return;
            };
            let Found::Record(record) = found else {
                panic!("nothing is damaged, but found {found:?}")
            };
            let known = &mut self.records[record.from.records as usize];
            assert_eq!(known.payload, record.payload);
            assert_eq!(known.items, record.to.since(record.from).items);
            assert!(!known.done, "it is done, and was read again");
            if done >> (index % 64) & 1 == 1 {
                known.done = true;
                self.log
                    .as_ref()
                    .unwrap()
                    .handle()
                    .done(record.from, record.to);
            }
        }
    }

    fn open(&mut self) {
        let log = Log::open(&self.directory, options()).unwrap();
        self.reader = log.handle().reader();
        self.log = Some(log);
    }

    /// After a crash, what was done and not written down is to be delivered again.
    fn crash(&mut self) {
        self.log = None;
        self.open();
        let pending = self.rest();
        for number in pending {
            self.records[number].done = false;
        }
        self.reader = self.log().handle().reader();
    }

    /// The numbers of what is read up to the end, in order.
    fn rest(&mut self) -> Vec<usize> {
        let mut numbers = Vec::new();
        while let Some(found) = self.reader.read(END).unwrap() {
            let Found::Record(record) = found else {
                panic!("nothing is damaged, but found {found:?}")
            };
            let number = record.from.records as usize;
            assert_eq!(self.records[number].payload, record.payload);
            numbers.push(number);
        }
        numbers
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = fs::read_dir(&self.directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|suffix| suffix == "segment"))
            .collect();
        found.sort();
        found
    }
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![0..200_usize, Just(0), 300..900_usize], 1..6)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => sizes().prop_map(Step::Append),
        4 => (0..12_usize, any::<u64>()).prop_map(|(count, done)| Step::Deliver(count, done)),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_done_is_read_again_after_any_end(steps in prop::collection::vec(step(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(&folder.path().join("log"));
        for step in steps {
            match step {
                Step::Append(sizes) => { world.append(&sizes); }
                Step::Deliver(count, done) => world.deliver(count, done),
                Step::Checkpoint => world.log().checkpoint().unwrap(),
                Step::Crash => world.crash(),
                Step::Restart => {
                    world.log.take().unwrap().close().unwrap();
                    world.open();
                }
            }
            let undone = world.records.iter().filter(|known| !known.done);
            let (records, items) = undone.fold((0, 0), |(records, items), known| {
                (records + 1, items + known.items)
            });
            let pending = world.log().handle().pending();
            prop_assert_eq!((pending.records, pending.items), (records, items));
        }
        world.log.take().unwrap().close().unwrap();
        world.open();
        let expected: Vec<usize> = (0..world.records.len())
            .filter(|number| !world.records[*number].done)
            .collect();
        prop_assert_eq!(world.rest(), expected);
    }

    #[test]
    fn a_log_cut_at_any_byte_keeps_what_is_before(
        sizes in prop::collection::vec(sizes(), 1..5),
        keep in 0.0..1.0_f64,
        more in sizes(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(&folder.path().join("log"));
        for sizes in sizes {
            world.append(&sizes);
        }
        world.log = None;
        let last = world.segments().pop().unwrap();
        let first: usize = last.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap();
        let length = fs::metadata(&last).unwrap().len();
        let cut = (length as f64 * keep) as u64;
        OpenOptions::new().write(true).open(&last).unwrap().set_len(cut).unwrap();
        let mut end = 0;
        let whole = world.records[first..].iter().take_while(|known| {
            end += 48 + known.payload.len() as u64;
            end <= cut
        });
        let kept = first + whole.count();

        world.open();
        world.records.truncate(kept);
        prop_assert_eq!(world.rest(), (0..kept).collect::<Vec<_>>());
        // What is appended now takes the place of what was cut off.
        world.append(&more);
        prop_assert_eq!(world.rest(), (kept..world.records.len()).collect::<Vec<_>>());
        world.log = None;
        world.open();
        prop_assert_eq!(world.rest(), (0..world.records.len()).collect::<Vec<_>>());
    }

    #[test]
    fn a_flipped_bit_costs_one_record(
        sizes in prop::collection::vec(sizes(), 2..6),
        segment in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(&folder.path().join("log"));
        for sizes in sizes {
            world.append(&sizes);
        }
        world.log = None;
        let segments = world.segments();
        let path = segment.get(&segments);
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let offset = at.index(file.metadata().unwrap().len() as usize) as u64;
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        byte[0] ^= 1 << bit;
        file.write_all_at(&byte, offset).unwrap();

        world.open();
        let mut read = 0;
        let mut damaged = Vec::new();
        while let Some(found) = world.reader.read(END).unwrap() {
            match found {
                Found::Record(record) => {
                    read += 1;
                    let known = &world.records[record.from.records as usize];
                    prop_assert_eq!(&known.payload, &record.payload);
                }
                Found::Damaged { from, to } => damaged.push((from, to)),
            }
        }
        prop_assert_eq!(read, world.records.len() - 1);
        let last = world.records.len() as u64 - 1;
        if let [(from, to)] = damaged[..] {
            prop_assert_eq!(to.records, from.records + 1);
            let known = &world.records[from.records as usize];
            prop_assert_eq!(to.since(from).items, known.items);
        } else {
            // The header of the very last record: an append that never finished looks the same.
            prop_assert!(damaged.is_empty());
            prop_assert_eq!(world.log().handle().pending().records, last);
        }
        // What cannot be read can be done away with.
        for (from, to) in damaged {
            world.log().handle().done(from, to);
        }
        let pending = world.log().handle().pending();
        prop_assert_eq!(pending.records, last);
    }

    #[test]
    fn anything_at_all_can_be_opened(
        segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4),
        cursor in prop::option::of(prop::collection::vec(any::<u8>(), 0..100)),
        more in sizes(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        for (index, bytes) in segments.iter().enumerate() {
            let name = format!("{:020}-{index:016x}.segment", 10 * index);
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        if let Some(cursor) = cursor {
            fs::write(folder.path().join("cursor"), cursor).unwrap();
        }
        let mut log = Log::open(folder.path(), options()).unwrap();
        let entries: Vec<Entry> = more.iter().map(|size| entry(0, *size)).collect();
        prop_assert!(log.append(&entries).iter().all(Result::is_ok));
        let (mut reader, end) = (log.handle().reader(), log.handle().end());
        let mut payloads = Vec::new();
        while let Some(found) = reader.read(end).unwrap() {
            if let Found::Record(record) = found {
                payloads.push(record.payload);
            }
        }
        let appended: Vec<_> = entries.into_iter().map(|entry| entry.payload).collect();
        prop_assert_eq!(payloads, appended);
    }
}

#[test]
fn a_segment_that_somebody_deleted_is_missed_with_its_items() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(&folder.path().join("log"));
    for _ in 0..6 {
        world.append(&[300]);
    }
    world.log = None;
    let segments = world.segments();
    assert_eq!(segments.len(), 6);
    fs::remove_file(&segments[2]).unwrap();
    world.open();
    let mut numbers = Vec::new();
    let mut items = 0;
    while let Some(found) = world.reader.read(END).unwrap() {
        match found {
            Found::Record(record) => numbers.push(record.from.records),
            Found::Damaged { from, to } => items += to.since(from).items,
        }
    }
    assert_eq!(numbers, [0, 1, 3, 4, 5]);
    assert_eq!(items, world.records[2].items);
}

#[test]
fn segments_go_as_soon_as_they_are_done_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(&folder.path().join("log"));
    for _ in 0..6 {
        world.append(&[300]);
    }
    // All but the first, which a destination does not take, and the fourth.
    world.deliver(6, 0b11_0110);
    world.log().checkpoint().unwrap();
    let numbers = |world: &World| -> Vec<usize> {
        let names = world.segments();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap()[..20].parse();
        names.iter().map(|path| name(path).unwrap()).collect()
    };
    // The last one is being written to.
    assert_eq!(numbers(&world), [0, 3, 5]);
    world.log = None;
    world.open();
    assert_eq!(world.rest(), [0, 3]);
}

#[test]
fn what_a_client_sends_cannot_pass_for_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(&folder.path().join("log"));
    world.append(&[100]);
    // A copy of the first record, with its header, as a payload of its own.
    let copy = fs::read(&world.segments()[0]).unwrap();
    let other = folder.path().join("other");
    let mut log = Log::open(&other, options()).unwrap();
    let entry = Entry {
        payload: copy.clone().into(),
        items: 1,
    };
    assert!(log.append(std::slice::from_ref(&entry))[0].is_ok());
    drop(log);
    let segment = fs::read_dir(&other)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|suffix| suffix == "segment"))
        .unwrap();
    // The header of the one that holds the copy is damaged, so the next one is searched for.
    let file = OpenOptions::new().write(true).open(segment).unwrap();
    file.write_all_at(&[0xff], 20).unwrap();
    let log = Log::open(&other, options()).unwrap();
    assert_eq!(log.handle().reader().read(END).unwrap(), None);
    assert_eq!(log.cut_bytes(), 48 + copy.len() as u64);
}
