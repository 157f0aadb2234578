//! What is added to finished profiles: `github.com/google/pprof/proto/profile.proto`, compressed.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use prost::Message;

use super::Failure;

/// The fields of `Profile` that are about it as a whole.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Whole {
    /// Texts that other fields name by their number.
    #[prost(string, repeated, tag = "6")]
    pub(super) string_table: Vec<String>,
    /// A regular expression: functions that are left out, with all that they call.
    #[prost(int64, tag = "7")]
    pub(super) drop_frames: i64,
    /// How long it took.
    #[prost(int64, tag = "10")]
    pub(super) duration_nanos: i64,
    /// How much there is between two samples.
    #[prost(int64, tag = "12")]
    pub(super) period: i64,
}

// === impl Whole ===

impl Whole {
    /// What a profile says of itself.
    pub(super) fn read(profile: &[u8]) -> Result<Self, Failure> {
        let mut bytes = Vec::new();
        MultiGzDecoder::new(profile)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::Failed(error.to_string()))?;
        Self::decode(bytes.as_slice()).map_err(|error| Failure::Failed(error.to_string()))
    }

    /// Adds these to a profile. What a member of a gzip file is appended to is one text with it, and
    /// protobuf that is appended to protobuf is one message with it.
    pub(super) fn append_to(&self, profile: &mut Vec<u8>) -> Result<(), Failure> {
        let mut member = GzEncoder::new(profile, Compression::default());
        let written = member.write_all(&self.encode_to_vec());
        written
            .and_then(|()| member.finish().map(drop))
            .map_err(|error| Failure::Failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_a_part_of_the_profile() {
        let first = Whole {
            string_table: vec![String::new(), "a".to_owned()],
            duration_nanos: 5,
            ..Whole::default()
        };
        let mut profile = Vec::new();
        first.append_to(&mut profile).unwrap();
        let second = Whole {
            string_table: vec!["b".to_owned()],
            drop_frames: 2,
            ..Whole::default()
        };
        second.append_to(&mut profile).unwrap();
        let whole = Whole::read(&profile).unwrap();
        assert_eq!(whole.string_table, ["", "a", "b"]);
        assert_eq!((whole.drop_frames, whole.duration_nanos), (2, 5));
        assert!(Whole::read(b"no gzip").is_err());
    }
}
