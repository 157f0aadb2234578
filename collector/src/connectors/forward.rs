//! `forward`: the end of some pipelines and the beginning of others, which get what comes as it is.

use std::sync::Arc;

use serde::Deserialize;
use spanmesh_otlp::Signal;

use crate::config::{Problems, Section};
use crate::pipeline::{
    BuildContext, ConnectorConfig, ConnectorFactory, Payload, Processed, Processor,
};

/// Makes `forward` connectors.
#[derive(Debug)]
pub struct Factory;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {}

struct Forward;

impl ConnectorFactory for Factory {
    fn kind(&self) -> &'static str {
        "forward"
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ConnectorConfig>, Problems> {
        let options: Options = section.read()?;
        Ok(Box::new(options))
    }
}

impl ConnectorConfig for Options {
    fn connects(&self, from: Signal, to: Signal) -> bool {
        from == to
    }

    fn build(&self, _context: &BuildContext) -> Arc<dyn Processor> {
        Arc::new(Forward)
    }
}

impl Processor for Forward {
    fn process(&self, payload: Payload) -> Processed {
        Processed::whole(payload)
    }
}
