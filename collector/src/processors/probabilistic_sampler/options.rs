//! The options of the `probabilistic_sampler` processor.

use serde::Deserialize;
use spanmesh_sampling::Precision;

/// The options.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "RawOptions")]
pub(super) struct Options {
    pub(super) mode: Mode,
    /// How much is kept, 0 to 100.
    pub(super) percentage: f32,
    pub(super) hash_seed: u32,
    pub(super) fail_closed: bool,
    pub(super) precision: Precision,
    pub(super) attribute_source: AttributeSource,
    pub(super) from_attribute: Option<String>,
    pub(super) sampling_priority: Option<String>,
}

/// How the decision is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    /// By a hash of the trace id or an attribute.
    #[default]
    HashSeed,
    /// So much of what comes, whatever came before.
    Proportional,
    /// So much of everything, earlier sampling included.
    Equalizing,
}

/// Where log records have their randomness from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum AttributeSource {
    #[default]
    #[serde(rename = "traceID")]
    TraceId,
    #[serde(rename = "record")]
    Record,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct RawOptions {
    mode: Option<Mode>,
    sampling_percentage: f32,
    hash_seed: u32,
    fail_closed: bool,
    sampling_precision: u8,
    attribute_source: AttributeSource,
    from_attribute: String,
    sampling_priority: String,
}

/// The least probability of OTEP 235, 2^-56, in percent.
const MIN_PERCENTAGE: f32 = 100.0 / (1_u64 << 56) as f32;

// === impl Options ===

impl TryFrom<RawOptions> for Options {
    type Error = String;

    fn try_from(raw: RawOptions) -> Result<Self, String> {
        let percentage = raw.sampling_percentage;
        let is_percentage = percentage == 0.0 || percentage >= MIN_PERCENTAGE;
        if !is_percentage || percentage.is_infinite() {
            return Err(format!(
                "expected \"sampling_percentage\" to be 0, or at least {MIN_PERCENTAGE:e}, but \
                 found {percentage}"
            ));
        }
        let Some(precision) = Precision::new(raw.sampling_precision) else {
            return Err(format!(
                "expected \"sampling_precision\" to be 1 to 14, but found {}",
                raw.sampling_precision
            ));
        };
        let name = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            mode: raw.mode.unwrap_or_default(),
            percentage: percentage.min(100.0),
            hash_seed: raw.hash_seed,
            fail_closed: raw.fail_closed,
            precision,
            attribute_source: raw.attribute_source,
            from_attribute: name(raw.from_attribute),
            sampling_priority: name(raw.sampling_priority),
        })
    }
}

// === impl RawOptions ===

impl Default for RawOptions {
    fn default() -> Self {
        Self {
            mode: None,
            sampling_percentage: 0.0,
            hash_seed: 0,
            fail_closed: true,
            sampling_precision: 4,
            attribute_source: AttributeSource::TraceId,
            from_attribute: String::new(),
            sampling_priority: String::new(),
        }
    }
}
