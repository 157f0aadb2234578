//! What stays of a receiver's intakes when the configuration changes: the entrances, which then lead
//! to other pipelines.

use std::sync::{Arc, OnceLock};

use spanmesh_otlp::Signal;
use tokio::sync::watch;

use super::super::budget::Budget;
use super::super::gate::Gate;
use super::super::hold::Hold;
use super::super::limiter::Limiter;
use super::super::route::Route;
use super::Intake;
use super::metrics::RequestMetrics;
use super::refusal::Overload;
use crate::telemetry::{Counter, Registry};

/// The pipelines behind an entrance, in one configuration.
#[derive(Debug)]
pub struct Pipelines {
    pub(super) routes: Vec<Route>,
    /// Whether any of them leads to a queue on disk.
    pub(super) stores: bool,
    /// Whether clients may have to wait for room.
    pub(super) waits: bool,
    pub(super) memory: Arc<Budget>,
    /// The strictest one of all pipelines.
    pub(super) limiter: Option<Limiter>,
    pub(super) gate: Arc<Gate>,
}

/// The intakes of a receiver, one for each signal. Clones are the same intakes. They outlive
/// configurations: see [`Self::lead_to`].
#[derive(Clone, Debug)]
pub struct Intakes {
    /// Indexed as in [`Signal::all`].
    entrances: [Arc<Entrance>; 3],
    /// The metrics of the transport that this clone is for, made on first use.
    metrics: [OnceLock<Arc<RequestMetrics>>; 3],
    /// Whose metrics they are; `None` for those that nobody reads.
    transport: Option<Transport>,
}

/// One entrance.
#[derive(Debug)]
pub(super) struct Entrance {
    way: watch::Sender<Way>,
    /// The sums over all transports and configurations.
    pub(super) accepted: Counter,
    pub(super) refused: Counter,
}

/// Where an entrance leads.
#[derive(Clone, Debug)]
enum Way {
    /// No pipeline takes the signal from this receiver.
    Nowhere,
    /// To the pipelines of the configuration that runs.
    To(Arc<Pipelines>),
    /// The receiver is not there any more; to what was behind it.
    Closed(Arc<Pipelines>),
}

#[derive(Clone, Debug)]
struct Transport {
    receiver: String,
    name: String,
    registry: Registry,
}

// === impl Pipelines ===

impl Pipelines {
    /// Payloads take these routes behind `gate`. Those in any queue take up `memory`.
    pub fn new(routes: Vec<Route>, memory: Arc<Budget>, gate: Arc<Gate>) -> Self {
        let limiters = routes.iter().filter_map(Route::limiter);
        let limiter = limiters
            .min_by_key(|limiter| limiter.limits().hard)
            .cloned();
        Self {
            stores: routes.iter().any(Route::stores),
            waits: routes.iter().any(Route::waits),
            routes,
            memory,
            limiter,
            gate,
        }
    }

    /// What a request takes up while it is being read: nothing yet.
    pub(super) fn hold(&self, metrics: &Arc<RequestMetrics>) -> Hold {
        Hold::new(&self.memory, self.limiter.as_ref(), metrics.clone())
    }

    /// Why queues have no room.
    pub(super) fn overload(&self) -> Overload {
        if self.gate.is_hurried() {
            // Nobody waits for room any more; without that there might have been some.
            Overload::Stopping
        } else {
            Overload::QueuesFull
        }
    }
}

// === impl Intakes ===

impl Intakes {
    /// Lets the entrance of a signal lead to other pipelines, or, for `None`, nowhere: no pipeline
    /// takes it any more.
    pub fn lead_to(&self, signal: Signal, pipelines: Option<Pipelines>) {
        let way = match pipelines {
            Some(pipelines) => {
                pipelines.routes.iter().for_each(Route::begin);
                Way::To(Arc::new(pipelines))
            }
            None => Way::Nowhere,
        };
        self.entrances[index(signal)].way.send_replace(way);
    }

    /// The receiver is not there any more: whoever still comes is told to try again.
    pub fn close(&self) {
        for entrance in &self.entrances {
            entrance.way.send_if_modified(|way| match way {
                Way::To(pipelines) => {
                    *way = Way::Closed(pipelines.clone());
                    true
                }
                Way::Nowhere | Way::Closed(_) => false,
            });
        }
    }

    /// The same entrances, with metrics for what comes over `transport`.
    pub fn over(&self, receiver: &str, transport: &str, registry: &Registry) -> Self {
        let over = Self {
            entrances: self.entrances.clone(),
            metrics: Default::default(),
            transport: Some(Transport {
                receiver: receiver.to_owned(),
                name: transport.to_owned(),
                registry: registry.clone(),
            }),
        };
        // What nothing has come over yet shall be there as well.
        for signal in Signal::all() {
            over.get(signal);
        }
        over
    }

    /// The entrance of a signal; `None` if no pipeline takes it from this receiver.
    pub fn get(&self, signal: Signal) -> Option<Intake> {
        let at = index(signal);
        let entrance = &self.entrances[at];
        let pipelines = match &*entrance.way.borrow() {
            Way::Nowhere => return None,
            Way::To(pipelines) | Way::Closed(pipelines) => pipelines.clone(),
        };
        let metrics = self.metrics[at].get_or_init(|| {
            let metrics = self.transport.as_ref().map(|over| {
                RequestMetrics::new(&over.receiver, &over.name, signal, &over.registry)
            });
            Arc::new(metrics.unwrap_or_default())
        });
        Some(Intake {
            signal,
            entrance: entrance.clone(),
            pipelines,
            metrics: metrics.clone(),
        })
    }

    /// How many items were accepted and refused, over all signals, transports and configurations.
    pub fn totals(&self) -> (u64, u64) {
        let sum = |counter: fn(&Entrance) -> &Counter| {
            let entrances = self.entrances.iter();
            entrances.map(|entrance| counter(entrance).get()).sum()
        };
        (sum(|one| &one.accepted), sum(|one| &one.refused))
    }
}

impl Default for Intakes {
    /// Entrances that lead nowhere yet.
    fn default() -> Self {
        Self {
            entrances: std::array::from_fn(|_| Arc::default()),
            metrics: Default::default(),
            transport: None,
        }
    }
}

// === impl Entrance ===

impl Entrance {
    /// The pipelines that come after `former`; waits for them. `None` if there are none.
    pub(super) async fn after(&self, former: &Arc<Pipelines>) -> Option<Arc<Pipelines>> {
        let mut ways = self.way.subscribe();
        let is_next = |way: &Way| match way {
            Way::To(pipelines) => !Arc::ptr_eq(pipelines, former),
            Way::Nowhere | Way::Closed(_) => true,
        };
        let way = ways.wait_for(is_next).await.ok()?;
        match &*way {
            Way::To(pipelines) => Some(pipelines.clone()),
            Way::Nowhere | Way::Closed(_) => None,
        }
    }
}

impl Default for Entrance {
    fn default() -> Self {
        Self {
            way: watch::Sender::new(Way::Nowhere),
            accepted: Counter::default(),
            refused: Counter::default(),
        }
    }
}

const fn index(signal: Signal) -> usize {
    match signal {
        Signal::Traces => 0,
        Signal::Logs => 1,
        Signal::Metrics => 2,
    }
}
