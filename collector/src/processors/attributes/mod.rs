//! `attributes`: changes the attributes of spans, log records and data points.

mod matching;
mod options;

use std::sync::Arc;

use spanmesh_otlp::Signal;
use spanmesh_otlp::rewrite::{Attributes, Fate, Rewriter, edit_items};

use self::matching::{Matcher, Origin};
use self::options::Options;
use crate::actions::Actions;
use crate::config::{Problems, Section};
use crate::pipeline::{
    BuildContext, Payload, Processed, Processor, ProcessorConfig, ProcessorFactory, Stage,
};

/// Makes `attributes` processors.
#[derive(Debug)]
pub struct Factory;

struct AttributesProcessor {
    actions: Actions,
    include: Option<Matcher>,
    exclude: Option<Matcher>,
}

// === impl Factory ===

impl ProcessorFactory for Factory {
    fn kind(&self) -> &'static str {
        "attributes"
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ProcessorConfig>, Problems> {
        let options: Options = section.read()?;
        if options.actions.is_empty() {
            let message = "expected at least one action in \"actions\", but found none";
            return Err(section.problem(message).into());
        }
        Ok(Box::new(options))
    }
}

// === impl Options ===

impl ProcessorConfig for Options {
    fn check_signal(&self, signal: Signal) -> Result<(), String> {
        for (name, matcher) in [("include", &self.include), ("exclude", &self.exclude)] {
            if let Some(matcher) = matcher {
                let checked = matcher.check_signal(signal);
                checked.map_err(|error| format!("\"{name}\": {error}"))?;
            }
        }
        Ok(())
    }

    fn build(&self, _context: &BuildContext, _signal: Signal) -> Stage {
        Stage::Process(Arc::new(AttributesProcessor {
            actions: self.actions.clone(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
        }))
    }
}

// === impl AttributesProcessor ===

impl Processor for AttributesProcessor {
    fn process(&self, payload: Payload) -> Processed {
        let signal = payload.signal();
        let mut rewriter = Rewriter::new(payload.bytes());
        let mut attributes = Attributes::default();
        let mut included = Origin::new(self.include.as_ref());
        let mut excluded = Origin::new(self.exclude.as_ref());
        edit_items(signal, &mut rewriter, |item, rewriter| {
            // Most of what is not included is known before its attributes are read.
            if included.matches(signal, item) == Some(false) {
                return Fate::Stay;
            }
            attributes.read(rewriter.request(), item.range(), item.attributes_field);
            let is_included = self
                .include
                .as_ref()
                .is_none_or(|matcher| matcher.matches_attributes(&attributes));
            let is_excluded = excluded.matches(signal, item) == Some(true)
                && self
                    .exclude
                    .as_ref()
                    .is_some_and(|matcher| matcher.matches_attributes(&attributes));
            if is_included && !is_excluded {
                self.actions.apply(&mut attributes, payload.client());
                attributes.write(item.attributes_field, rewriter);
            }
            Fate::Stay
        });
        let changed = rewriter.finish();
        let items = payload.items();
        Processed::whole(match changed {
            Some(bytes) => payload.rewritten(bytes, items),
            None => payload,
        })
    }
}

#[cfg(test)]
mod tests;
