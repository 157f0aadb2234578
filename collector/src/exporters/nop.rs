//! `nop`: takes everything and does nothing with it.

use std::sync::Arc;

use serde::Deserialize;

use crate::config::{Problems, Section};
use crate::pipeline::{
    Batch, BoxFuture, BuildContext, Delivered, DeliveryOptions, ExportError, Exporter,
    ExporterConfig, ExporterFactory, StartError,
};

/// Makes `nop` exporters.
#[derive(Debug)]
pub struct Factory;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {}

struct Nop;

impl ExporterFactory for Factory {
    fn kind(&self) -> &'static str {
        "nop"
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ExporterConfig>, Problems> {
        let options: Options = section.read()?;
        Ok(Box::new(options))
    }
}

impl ExporterConfig for Options {
    fn delivery(&self) -> DeliveryOptions {
        DeliveryOptions::in_order(usize::MAX)
    }

    fn build(self: Box<Self>, _context: &BuildContext) -> Result<Arc<dyn Exporter>, StartError> {
        Ok(Arc::new(Nop))
    }
}

impl Exporter for Nop {
    fn export<'a>(&'a self, _batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(std::future::ready(Ok(Delivered::default())))
    }
}
