//! The way of a payload from a receiver to its destinations.
//!
//! A receiver parses what it got into a [`Payload`] and gives it to an [`Intake`], which sends it
//! through the processors of each pipeline and reserves room in the queue of every [`Destination`]
//! before the client gets its answer. A destination batches by appending encoded payloads, hands
//! the batches to its [`Exporter`], tries again what failed for the moment, and accounts for every
//! item.

mod account;
mod accounts;
mod auth;
mod backlog;
mod batch_metrics;
mod budget;
mod client;
mod component;
mod destination;
mod extension_factory;
mod flow;
mod gate;
mod grouping;
mod hold;
mod intake;
mod limiter;
mod lookout;
mod memory;
mod options;
mod pace;
mod parcel;
mod payload;
mod ports;
mod queue;
mod readiness;
mod result;
mod retry;
mod room;
mod route;
mod spool;
mod status;
mod storage;
mod unwind;

pub use self::account::{Account, Custody, DropReason, Totals};
pub use self::accounts::Accounts;
pub use self::auth::{
    Attributes, AuthOptions, Authenticator, Authenticators, ClientAuthenticator,
    ServerAuthenticator, Unauthenticated,
};
pub use self::batch_metrics::BatchMetrics;
pub use self::budget::{Budget, Reservation};
pub use self::client::Client;
pub use self::component::{
    Batch, BoundReceiver, BoxFuture, BuildContext, ConnectorConfig, ConnectorFactory, Delivered,
    ExportError, Exporter, ExporterConfig, ExporterFactory, Extension, ExtensionConfig,
    ExtensionFactory, Passive, Processed, Processor, ProcessorConfig, ProcessorFactory, Receiver,
    ReceiverConfig, ReceiverContext, ReceiverFactory, Stage, StartError,
};
pub use self::destination::{Destination, Phase};
pub use self::extension_factory::ExtensionKind;
pub use self::flow::{Flow, FlowTotals};
pub use self::gate::Gate;
pub use self::grouping::Grouping;
pub use self::hold::Hold;
pub use self::intake::{Intake, Intakes, Overload, Pipelines, Refusal};
pub use self::limiter::{Limiter, MemoryLimits, Pressure};
pub use self::memory::{default_limit, total};
pub use self::options::{
    Batching, DeliveryOptions, FORMER_OPTIONS, QueueOptions, RetryOptions, Sizer,
};
pub use self::payload::Payload;
pub use self::ports::{BoundSocket, Ports};
pub use self::queue::Lane;
pub use self::readiness::Readiness;
pub(crate) use self::retry::random_fraction;
pub use self::route::{Route, Step};
pub use self::status::{Condition, ExporterStatus, Health, Layout, Status, WiredPipeline};
pub use self::storage::{Storage, StorageOptions};
