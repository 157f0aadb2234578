//! The root context: configuration, batches, export, ticks, drain.
//!
//! A VM has one root context per configuration. While an update is under way there are two: the new
//! one takes the new requests, the old one ends its requests and sends what it holds.
//!
//! A first configuration that is wrong is accepted, since Envoy would answer 500 to every request
//! (even under FAIL_OPEN) or not start at all; traffic then passes untouched, and the log and a
//! gauge say why. A wrong update is refused, and the configuration in force stays. A mark in
//! Envoy's shared data tells the two apart: a good configuration sets it on its first tick, and not
//! before, since Envoy reads all static listeners before the first tick, and two of them may have
//! plugins of one name.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::config::{Config, Environment, Role};
use crate::export::{Budget, Envelope, Exporter};
use crate::host::{Answer, CallToken, Host};
use crate::http::Http;
use crate::overwrite::Lookout;
use crate::random::Random;
use crate::record::Common;
use crate::resource::Resource;
use crate::semconv;
use crate::stats::Stats;
use crate::stream::{Reader, Wanted};

/// Retries and stats are looked at this often, or more often where `batch.interval` is shorter.
const MAX_TICK: Duration = Duration::from_secs(1);

/// The first tick of a good configuration comes as soon as Envoy's workers and main thread run.
const FIRST_TICK: Duration = Duration::from_millis(1);

/// What all root contexts of one VM share.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The VM's random numbers.
    pub random: Random,
    /// The VM's memory for records.
    pub budget: Budget,
    /// The VM's memory for requests that are under way.
    pub kept_bytes: Budget,
}

/// One root context.
#[derive(Debug)]
pub struct Root {
    worker: Worker,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not configured.
    New,
    /// The configuration was refused; traffic passes untouched.
    Refused(Box<Stats>),
    /// In force.
    Active(Rc<Active>),
    /// Replaced; given up at this time of the monotonic clock.
    Draining(Rc<Active>, u64),
    /// Nothing is left.
    Done,
}

/// A configuration in force, with all that its requests need.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) config: Config,
    pub(crate) attributes: Reader,
    pub(crate) stats: Rc<Stats>,
    pub(crate) random: Random,
    pub(crate) exporter: RefCell<Exporter>,
    pub(crate) common: RefCell<Common>,
    pub(crate) kept_bytes: Budget,
    pub(crate) lookout: Lookout,
    /// Whether the node says that it is a gateway.
    node_is_gateway: bool,
    tick: Duration,
    /// When the open batches were last sealed, by the monotonic clock.
    flushed: Cell<u64>,
    /// The mark that says that this plugin had a good configuration, until it is set.
    mark: RefCell<Option<String>>,
}

impl Root {
    /// A root context without a configuration.
    pub fn new(worker: Worker) -> Self {
        Self {
            worker,
            state: State::New,
        }
    }

    /// Takes the configuration; `name` is the plugin's. Returns whether Envoy should go on with it.
    pub fn configure(
        &mut self,
        host: &impl Host,
        name: &str,
        document: &[u8],
        environment: &Environment,
    ) -> bool {
        let mark = format!("spanmesh.configured.{name}");
        match Config::new(host, name, document, environment) {
            Ok(config) => {
                let active = Active::new(host, config, &self.worker, mark);
                host.set_tick_period(FIRST_TICK);
                self.state = State::Active(Rc::new(active));
                true
            }
            Err(error) if host.shared_data(&mark).is_some() => {
                log::error!("configuration update refused, the old one stays: {error}");
                false
            }
            Err(error) => {
                log::error!("configuration refused, traffic passes without telemetry: {error}");
                let stats = Stats::define(host);
                stats.config_rejected.set(1);
                host.set_tick_period(MAX_TICK);
                self.state = State::Refused(Box::new(stats));
                true
            }
        }
    }

    /// What is in force.
    #[cfg(test)]
    pub(crate) fn active(&self) -> Rc<Active> {
        match &self.state {
            State::Active(active) => Rc::clone(active),
            other => panic!("{other:?}"),
        }
    }

    /// A context for a new request.
    pub fn http(&self) -> Http {
        Http::new(match &self.state {
            State::Active(active) | State::Draining(active, _) => Some(Rc::clone(active)),
            State::New | State::Refused(_) | State::Done => None,
        })
    }

    /// A tick, or a batch that is full.
    pub fn on_tick(&mut self, host: &impl Host) {
        match &self.state {
            State::Refused(stats) => stats.publish(host),
            State::Active(active) => {
                if let Some(mark) = active.mark.take() {
                    // Should it fail, a wrong update takes the telemetry away, and no more.
                    let _ = host.set_shared_data(&mark, b"1", 0);
                    host.set_tick_period(active.tick);
                }
                active.lookout.on_tick();
                active.flush_when_due(host);
                active.publish(host);
            }
            State::Draining(active, _) => {
                active.exporter.borrow_mut().flush(host);
                active.publish(host);
                self.end_drain(host);
            }
            State::New | State::Done => {}
        }
    }

    /// A collector has answered, or the call has failed.
    pub fn on_answer(&mut self, host: &impl Host, token: CallToken, answer: Answer) {
        let (State::Active(active) | State::Draining(active, _)) = &self.state else {
            return;
        };
        active.exporter.borrow_mut().answered(host, token, answer);
        self.end_drain(host);
    }

    /// The configuration is replaced, or Envoy stops. Returns whether this context is done; if it
    /// is not, [`Host::done`] follows.
    pub fn on_done(&mut self, host: &impl Host) -> bool {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Active(active) => {
                active.exporter.borrow_mut().drain(host);
                active.publish(host);
                if active.exporter.borrow().is_idle() {
                    active.stats.retire(host);
                    return true;
                }
                let drain_timeout = active.config.export.drain_timeout.as_nanos() as u64;
                self.state =
                    State::Draining(active, host.monotonic_clock().saturating_add(drain_timeout));
                false
            }
            State::Refused(stats) => {
                stats.retire(host);
                true
            }
            State::New | State::Done => true,
            draining @ State::Draining(..) => {
                self.state = draining;
                false
            }
        }
    }

    /// Ends the drain when nothing is left, or when its time is over.
    fn end_drain(&mut self, host: &impl Host) {
        let State::Draining(active, until) = &self.state else {
            return;
        };
        let mut exporter = active.exporter.borrow_mut();
        if !exporter.is_idle() && host.monotonic_clock() < *until {
            return;
        }
        exporter.abandon();
        drop(exporter);
        active.stats.retire(host);
        self.state = State::Done;
        host.done();
    }
}

impl Active {
    #[inline(never)]
    fn new(host: &impl Host, config: Config, worker: &Worker, mark: String) -> Self {
        let stats = Rc::new(Stats::define(host));
        let resource = Resource::new(host, &config);
        let envelope = Envelope::new(
            &resource.encode(),
            &crate::resource::scope(),
            semconv::SCHEMA_URL,
        );
        let exporter = Exporter::new(
            config.export.clone(),
            envelope,
            Rc::clone(&stats),
            worker.budget.clone(),
            worker.random.clone(),
        );
        let wanted = Wanted {
            logs: config.access_log.is_some(),
            decisions: config.keep.is_on(),
            peers: crate::resource::is_istio(host),
            tunnels: crate::resource::is_waypoint(host),
        };
        Self {
            attributes: Reader::new(host, wanted, &config.capture.response_headers),
            random: worker.random.clone(),
            exporter: RefCell::new(exporter),
            common: RefCell::default(),
            node_is_gateway: crate::resource::is_gateway(host),
            tick: tick(config.export.interval),
            flushed: Cell::new(host.monotonic_clock()),
            mark: RefCell::new(Some(mark)),
            kept_bytes: worker.kept_bytes.clone(),
            lookout: Lookout::default(),
            stats,
            config,
        }
    }

    /// Whether requests have two sides here, the client's and the upstream's.
    pub(crate) fn is_gateway(&self) -> bool {
        match self.config.role {
            Role::Gateway => true,
            Role::Auto => self.node_is_gateway,
            Role::Inbound | Role::Outbound => false,
        }
    }

    /// Flushes if the interval is over or a batch is full; otherwise sends what waits for a retry.
    fn flush_when_due(&self, host: &impl Host) {
        let now = host.monotonic_clock();
        let interval = self.config.export.interval.as_nanos() as u64;
        // Ticks are not exact: one that comes a little early must not cost a whole period.
        let slack = self.tick.as_nanos() as u64 / 2;
        let is_due = now.saturating_add(slack) >= self.flushed.get().saturating_add(interval);
        let mut exporter = self.exporter.borrow_mut();
        if is_due || exporter.is_full() {
            self.flushed.set(now);
            exporter.flush(host);
        } else {
            exporter.resend(host);
        }
    }

    fn publish(&self, host: &impl Host) {
        self.stats.queue_bytes.set(self.exporter.borrow().held());
        self.stats.publish(host);
    }
}

/// The interval in equal parts of at most [`MAX_TICK`].
fn tick(interval: Duration) -> Duration {
    let parts = interval.as_nanos().div_ceil(MAX_TICK.as_nanos()).max(1);
    interval / u32::try_from(parts).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
