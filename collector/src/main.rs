//! The Spanmesh collector.

fn main() {}
