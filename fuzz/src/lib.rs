//! What the fuzz targets share: a proxy that answers by the fuzzer's bytes, and a life to play
//! before it. The targets stand in `fuzz_targets/`, one file each.

mod host;
mod life;

pub use self::host::FuzzHost;
pub use self::life::play;
