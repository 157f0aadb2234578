//! What a component is to the rest of the collector.
//!
//! Each kind has a factory, which knows the component's name and reads its options; a configuration,
//! which is valid once it exists; and the running component itself.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spanmesh_otlp::Signal;
use spanmesh_otlp::response::PartialSuccess;

use super::accounts::Accounts;
use super::auth::{Authenticator, Authenticators};
use super::grouping::Grouping;
use super::intake::Intakes;
use super::limiter::MemoryLimits;
use super::options::{Batching, DeliveryOptions};
use super::payload::Payload;
use super::ports::Ports;
use super::readiness::Readiness;
use super::status::Status;
use super::storage::StorageOptions;
use crate::config::{Former, Problems, Section};
use crate::telemetry::Registry;

/// A future behind a pointer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a component could not start, as one sentence that names the component and the address or file
/// that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError(pub String);

/// What components get when they start.
#[derive(Clone, Debug, Default)]
pub struct BuildContext {
    /// The component's name in the configuration.
    pub id: String,
    /// Where its metrics go.
    pub registry: Registry,
    /// What keeps the collector from being ready.
    pub readiness: Readiness,
    /// The ports that it opens.
    pub ports: Ports,
    /// The accounts of destinations.
    pub accounts: Accounts,
    /// What runs, and how it is.
    pub status: Status,
}

/// What receivers get when they start.
#[derive(Clone, Debug)]
pub struct ReceiverContext {
    /// The receiver's name in the configuration.
    pub id: String,
    /// Where its metrics go.
    pub registry: Registry,
    /// The ports that it opens.
    pub ports: Ports,
    /// Where its payloads go.
    pub intakes: Intakes,
}

// --- Receivers ---

/// Makes receivers of one kind.
pub trait ReceiverFactory: Sync {
    /// Its name in configurations.
    fn kind(&self) -> &'static str;

    /// Former names of options, which work with a warning.
    fn former_options(&self) -> &'static [Former] {
        &[]
    }

    /// Reads the options.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    fn configure(&self, options: &Section<'_>) -> Result<Box<dyn ReceiverConfig>, Problems>;
}

/// A receiver that is configured.
pub trait ReceiverConfig: Send {
    /// Takes the authentication extensions that it names from all that there are.
    ///
    /// # Errors
    /// One that is not there or does not fit, as a sentence.
    fn authenticate(&mut self, all: &Authenticators) -> Result<(), String> {
        let _ = all;
        Ok(())
    }

    /// Opens its ports, and takes nothing from them yet.
    ///
    /// # Errors
    /// A port that cannot be opened.
    fn bind(
        self: Box<Self>,
        context: ReceiverContext,
    ) -> BoxFuture<'static, Result<Box<dyn BoundReceiver>, StartError>>;
}

/// A receiver that has its ports.
pub trait BoundReceiver: Send {
    /// Starts to receive.
    fn start(self: Box<Self>) -> Box<dyn Receiver>;
}

/// A running receiver.
pub trait Receiver: Send {
    /// Where it listens, by transport.
    fn addresses(&self) -> Vec<(&'static str, SocketAddr)>;

    /// Another configuration says the same of it: if that one runs, it goes on and keeps its `ports`.
    fn keep(&self, ports: &Ports);

    /// That configuration runs: the files that it names are read again.
    fn reread(&self);

    /// Accepts nothing more, and returns when what was begun is answered or given up.
    fn stop(self: Box<Self>) -> BoxFuture<'static, ()>;

    /// The same, when a successor accepts from the same ports: whoever has just connected is served.
    fn leave(self: Box<Self>) -> BoxFuture<'static, ()>;
}

// --- Processors ---

/// Makes processors of one kind.
pub trait ProcessorFactory: Sync {
    /// Its name in configurations.
    fn kind(&self) -> &'static str;

    /// Reads the options.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    fn configure(&self, options: &Section<'_>) -> Result<Box<dyn ProcessorConfig>, Problems>;
}

/// A processor that is configured. Every pipeline that uses it builds its own.
pub trait ProcessorConfig: Send {
    /// Whether it can work on a signal.
    ///
    /// # Errors
    /// Why it cannot, as a part of a sentence: `it samples traces and logs only`.
    fn check_signal(&self, signal: Signal) -> Result<(), String> {
        let _ = signal;
        Ok(())
    }

    /// Builds it for one pipeline of a signal that it can work on.
    fn build(&self, context: &BuildContext, signal: Signal) -> Stage;
}

/// What a processor does to its pipeline.
#[derive(Clone)]
pub enum Stage {
    /// Something happens to each payload.
    Process(Arc<dyn Processor>),
    /// The destinations send batches, and of each group batches of its own, if there are groups.
    Batch(Batching, Option<Grouping>),
    /// Requests are refused when their payloads take up so much memory.
    Limit(MemoryLimits),
}

/// A running processor.
pub trait Processor: Send + Sync {
    /// Does its work on one payload. May be repeated for the same payload, if the client tries
    /// again after a refusal.
    fn process(&self, payload: Payload) -> Processed;
}

/// What a processor made of a payload. The items of the payload are those of the result, those
/// sampled out and those dropped.
#[derive(Clone, Debug)]
pub struct Processed {
    /// What goes on; `None` if nothing is left.
    pub payload: Option<Payload>,
    /// Items left out on purpose.
    pub sampled_out: u64,
    /// Items left out for any other reason.
    pub dropped: u64,
}

// --- Connectors ---

/// Makes connectors of one kind.
pub trait ConnectorFactory: Sync {
    /// Its name in configurations.
    fn kind(&self) -> &'static str;

    /// Reads the options.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    fn configure(&self, options: &Section<'_>) -> Result<Box<dyn ConnectorConfig>, Problems>;
}

/// A connector that is configured: the end of some pipelines, and the beginning of others.
pub trait ConnectorConfig: Send {
    /// Whether it makes `to` out of `from`.
    fn connects(&self, from: Signal, to: Signal) -> bool;

    /// Builds it for one pipeline that it is the end of, and one that it is the beginning of.
    fn build(&self, context: &BuildContext) -> Arc<dyn Processor>;
}

// --- Exporters ---

/// Makes exporters of one kind.
pub trait ExporterFactory: Sync {
    /// Its name in configurations.
    fn kind(&self) -> &'static str;

    /// Older names that work with a warning.
    fn former_kinds(&self) -> &'static [&'static str] {
        &[]
    }

    /// Former names of options, which work with a warning.
    fn former_options(&self) -> &'static [Former] {
        &[]
    }

    /// Reads the options.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    fn configure(&self, options: &Section<'_>) -> Result<Box<dyn ExporterConfig>, Problems>;
}

/// An exporter that is configured.
pub trait ExporterConfig: Send {
    /// Takes the authentication extension that it names from all that there are.
    ///
    /// # Errors
    /// It is not there or does not fit, as a sentence.
    fn authenticate(&mut self, all: &Authenticators) -> Result<(), String> {
        let _ = all;
        Ok(())
    }

    /// Whether it can deliver a signal.
    ///
    /// # Errors
    /// What it lacks for that, as a part of a sentence: `the key "endpoint" is missing`.
    fn check_signal(&self, signal: Signal) -> Result<(), String> {
        let _ = signal;
        Ok(())
    }

    /// How its queue and its retries work.
    fn delivery(&self) -> DeliveryOptions;

    /// Opens what it needs. Connections are made when they are used.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    fn build(self: Box<Self>, context: &BuildContext) -> Result<Arc<dyn Exporter>, StartError>;
}

/// A running exporter.
pub trait Exporter: Send + Sync {
    /// Called once, when the collector is sure to start: its ports are open, and nothing is received
    /// yet. What must not happen if another collector runs already has its place here.
    ///
    /// # Errors
    /// Why it cannot start.
    fn start(&self) -> Result<(), StartError> {
        Ok(())
    }

    /// Delivers a batch. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// Why the destination did not take it, and whether another attempt makes sense.
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>>;

    /// Called once, after the last batch.
    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Encoded requests of one signal. Appended to each other they are one request.
#[derive(Clone, Debug)]
pub struct Batch {
    /// What they are.
    pub signal: Signal,
    /// The requests.
    pub frames: Vec<Bytes>,
    /// How many items they hold.
    pub items: u64,
    /// How many bytes they have.
    pub bytes: usize,
}

/// What a destination said when it took a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// How many items it refused for good.
    pub rejected: u64,
    /// What it said; often empty.
    pub message: String,
}

/// Why a destination did not take a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportError {
    /// It may take it later: overload, a time-out, a broken connection.
    Retryable {
        /// What happened.
        message: String,
        /// When, if it said so.
        after: Option<Duration>,
    },
    /// The same, but nobody was there to ask: no connection came about.
    Unreachable {
        /// What happened.
        message: String,
    },
    /// It may take parts of it: too large.
    TooLarge {
        /// What happened.
        message: String,
    },
    /// It will never take it.
    Permanent {
        /// What happened.
        message: String,
    },
}

// --- Extensions ---

/// Makes extensions of one kind.
pub trait ExtensionFactory: Sync {
    /// Its name in configurations.
    fn kind(&self) -> &'static str;

    /// Reads the options.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    fn configure(&self, options: &Section<'_>) -> Result<Box<dyn ExtensionConfig>, Problems>;
}

/// An extension that is configured.
pub trait ExtensionConfig: Send {
    /// What it can do for receivers and exporters, if it is about authentication.
    fn authenticator(&self) -> Option<Authenticator> {
        None
    }

    /// Where queues are kept that name it as their `storage`; `None` if it is not for that.
    fn storage(&self) -> Option<StorageOptions> {
        None
    }

    /// Starts it.
    fn start(
        self: Box<Self>,
        context: BuildContext,
    ) -> BoxFuture<'static, Result<Box<dyn Extension>, StartError>>;
}

/// A running extension.
pub trait Extension: Send + Sync {
    /// Where it listens, if it does.
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    /// The collector receives now.
    fn ready(&self) {}

    /// The collector is about to stop receiving.
    fn stopping(&self) {}

    /// Ends it.
    fn stop(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

// === impl Processed ===

impl Processed {
    /// Nothing was left out.
    pub fn whole(payload: Payload) -> Self {
        Self {
            payload: Some(payload),
            sampled_out: 0,
            dropped: 0,
        }
    }
}

/// An extension that runs only in what others ask of it.
#[derive(Debug)]
pub struct Passive;

// === impl Passive ===

impl Passive {
    /// Starts it: there is nothing to do.
    pub fn start() -> BoxFuture<'static, Result<Box<dyn Extension>, StartError>> {
        Box::pin(std::future::ready(Ok(Box::new(Self) as Box<dyn Extension>)))
    }
}

impl Extension for Passive {}

// === impl Batch ===

impl Batch {
    /// The frames as one request. Copies unless there is only one.
    pub fn concatenated(&self) -> Bytes {
        if let [frame] = self.frames.as_slice() {
            return frame.clone();
        }
        let mut bytes = Vec::with_capacity(self.bytes);
        for frame in &self.frames {
            bytes.extend_from_slice(frame);
        }
        bytes.into()
    }
}

// === impl Delivered ===

impl From<PartialSuccess> for Delivered {
    fn from(partial: PartialSuccess) -> Self {
        Self {
            rejected: partial.rejected,
            message: partial.message,
        }
    }
}

// === impl StartError ===

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

// === impl ExportError ===

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retryable { message, .. }
            | Self::Unreachable { message }
            | Self::TooLarge { message }
            | Self::Permanent { message } => f.write_str(message),
        }
    }
}

// === impl Stage ===

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(_) => f.write_str("Process"),
            Self::Batch(batching, grouping) => (batching, grouping).fmt(f),
            Self::Limit(limits) => limits.fmt(f),
        }
    }
}
