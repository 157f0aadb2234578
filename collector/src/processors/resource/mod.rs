//! `resource`: changes the attributes of resources.

use std::sync::Arc;

use serde::Deserialize;
use spanmesh_otlp::Signal;
use spanmesh_otlp::rewrite::{Rewriter, edit_resources};

use crate::actions::Actions;
use crate::config::{Problems, Section};
use crate::pipeline::{
    BuildContext, Payload, Processed, Processor, ProcessorConfig, ProcessorFactory, Stage,
};

/// Makes `resource` processors.
#[derive(Debug)]
pub struct Factory;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    /// What is done, one after the other.
    attributes: Actions,
}

struct Resource {
    actions: Actions,
}

// === impl Factory ===

impl ProcessorFactory for Factory {
    fn kind(&self) -> &'static str {
        "resource"
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ProcessorConfig>, Problems> {
        let options: Options = section.read()?;
        if options.attributes.is_empty() {
            let message = "expected at least one action in \"attributes\", but found none";
            return Err(section.problem(message).into());
        }
        Ok(Box::new(options))
    }
}

// === impl Options ===

impl ProcessorConfig for Options {
    fn build(&self, _context: &BuildContext, _signal: Signal) -> Stage {
        Stage::Process(Arc::new(Resource {
            actions: self.attributes.clone(),
        }))
    }
}

// === impl Resource ===

impl Processor for Resource {
    fn process(&self, payload: Payload) -> Processed {
        let mut rewriter = Rewriter::new(payload.bytes());
        edit_resources(&mut rewriter, |attributes| {
            self.actions.apply(attributes, payload.client());
        });
        let changed = rewriter.finish();
        let items = payload.items();
        Processed::whole(match changed {
            Some(bytes) => payload.rewritten(bytes, items),
            None => payload,
        })
    }
}
