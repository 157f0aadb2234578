//! `probabilistic_sampler`: keeps a part of the spans or log records, the same traces everywhere.
//!
//! Specification: OpenTelemetry "TraceState: Probability Sampling" (OTEP 235) for the modes
//! `proportional` and `equalizing`; otelcol's FNV hash for `hash_seed`. Spans carry threshold and
//! randomness in the `ot` member of their trace state, log records in the attributes
//! `sampling.threshold` and `sampling.randomness`.
//!
//! Where otelcol differs: in the mode `hash_seed` it takes an item that carries a threshold or a
//! randomness already for an error, which drops it by default. Here it is sampled, and its threshold
//! erased, because the probability of both decisions together cannot be said.
//!
//! Left out: metrics, as in otelcol.

mod carrier;
mod hash;
mod options;
mod sampler;

use std::sync::Arc;

use spanmesh_otlp::Signal;
use spanmesh_otlp::rewrite::{Attributes, Fate, Rewriter, edit_items};

use self::carrier::Carrier;
use self::options::Options;
use self::sampler::{Policy, Sampler, Verdict};
use crate::config::{Problems, Section};
use crate::pipeline::{
    BuildContext, Payload, Processed, Processor, ProcessorConfig, ProcessorFactory, Stage,
};
use crate::telemetry::Counter;

/// Makes `probabilistic_sampler` processors.
#[derive(Debug)]
pub struct Factory;

struct ProbabilisticSampler {
    sampler: Sampler,
    /// By policy, and whether it kept the item.
    decisions: [[Counter; 2]; Policy::ALL.len()],
}

// === impl Factory ===

impl ProcessorFactory for Factory {
    fn kind(&self) -> &'static str {
        "probabilistic_sampler"
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ProcessorConfig>, Problems> {
        let options: Options = section.read()?;
        Ok(Box::new(options))
    }
}

// === impl Options ===

impl ProcessorConfig for Options {
    fn check_signal(&self, signal: Signal) -> Result<(), String> {
        match signal {
            Signal::Traces | Signal::Logs => Ok(()),
            Signal::Metrics => Err("it samples traces and logs only".to_owned()),
        }
    }

    fn build(&self, context: &BuildContext, signal: Signal) -> Stage {
        let name = match signal {
            Signal::Logs => "otelcol_processor_probabilistic_sampler_count_logs_sampled",
            _ => "otelcol_processor_probabilistic_sampler_count_traces_sampled",
        };
        let counter = |policy: Policy, sampled| {
            let labels = [
                ("processor", context.id.as_str()),
                ("policy", policy.name()),
                ("sampled", sampled),
            ];
            let help = "Decisions about spans or log records, by what decided.";
            context.registry.counter(name, help, &labels)
        };
        Stage::Process(Arc::new(ProbabilisticSampler {
            sampler: Sampler::new(self),
            decisions: Policy::ALL
                .map(|policy| [counter(policy, "false"), counter(policy, "true")]),
        }))
    }
}

// === impl ProbabilisticSampler ===

impl Processor for ProbabilisticSampler {
    fn process(&self, payload: Payload) -> Processed {
        let mut rewriter = Rewriter::new(payload.bytes());
        let mut attributes = Attributes::default();
        let mut counts = [[0; 2]; Policy::ALL.len()];
        let gone = edit_items(payload.signal(), &mut rewriter, |item, rewriter| {
            attributes.read(rewriter.request(), item.range(), item.attributes_field);
            let mut carrier = Carrier::read(payload.signal(), item, &mut attributes);
            let Verdict { policy, kept } = self.sampler.decide(&mut carrier);
            counts[policy as usize][usize::from(kept)] += 1;
            if !kept {
                return Fate::Go;
            }
            carrier.write(item, rewriter);
            Fate::Stay
        });
        for (decisions, counts) in self.decisions.iter().zip(counts) {
            for (decision, count) in decisions.iter().zip(counts) {
                decision.add(count);
            }
        }
        let items = payload.items() - gone;
        let changed = rewriter.finish();
        Processed {
            payload: match changed {
                _ if items == 0 => None,
                Some(bytes) => Some(payload.rewritten(bytes, items)),
                None => Some(payload),
            },
            sampled_out: gone,
            dropped: 0,
        }
    }
}

#[cfg(test)]
mod tests;
