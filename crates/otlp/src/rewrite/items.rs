//! Changing every item, or every resource, of a request.

use std::ops::Range;

use super::{Attributes, Placed, Rewriter, fields};
use crate::Signal;
use crate::encode::put_bytes;
use crate::view::{Metric, MetricKind, Resource, Scope};
use crate::wire::Value;

/// `resource_spans` of a request, and its siblings.
const RESOURCE_GROUP: u32 = 1;
/// `ResourceSpans.resource`, and its siblings.
const RESOURCE: u32 = 1;
/// `Resource.attributes`.
const RESOURCE_ATTRIBUTES: u32 = 1;

/// A span, a log record or a data point, and where it belongs.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The encoded message.
    pub message: &'a [u8],
    /// Where its content begins in the request.
    pub content: usize,
    /// Which field holds its attributes.
    pub attributes_field: u32,
    /// What sent it.
    pub resource: Resource<'a>,
    /// What made it.
    pub scope: Scope<'a>,
    /// The metric of a data point.
    pub metric: Option<Metric<'a>>,
}

/// What becomes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays, with the changes that were told to the rewriter.
    Stay,
    /// It goes.
    Go,
}

/// How many items below a message stayed and went.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    stayed: u64,
    gone: u64,
}

struct Walk<'a, F> {
    signal: Signal,
    resource: Resource<'a>,
    scope: Scope<'a>,
    metric: Option<Metric<'a>>,
    kind: Option<MetricKind>,
    each: F,
}

/// Asks what becomes of every item of a [checked](crate::check()) request, and returns how many
/// have gone. The item has been entered in the rewriter when it is asked about. A scope, a resource
/// or a metric all of whose items have gone goes too.
pub fn edit_items<'a>(
    signal: Signal,
    rewriter: &mut Rewriter<'a>,
    each: impl FnMut(&Item<'a>, &mut Rewriter<'a>) -> Fate,
) -> u64 {
    let mut walk = Walk {
        signal,
        resource: Resource::new(&[]),
        scope: Scope::new(&[]),
        metric: None,
        kind: None,
        each,
    };
    let whole = 0..rewriter.request().len();
    walk.descend(0, whole, rewriter).gone
}

/// Shows the attributes of every resource of a [checked](crate::check()) request to `each`, which
/// may change them, and writes the changes.
pub fn edit_resources(rewriter: &mut Rewriter<'_>, mut each: impl FnMut(&mut Attributes<'_>)) {
    let request = rewriter.request();
    for group in messages(request, 0..request.len(), RESOURCE_GROUP) {
        let parts: Vec<Placed<'_>> = messages(request, group.content(), RESOURCE).collect();
        let contents = parts
            .iter()
            .map(|part| request.get(part.content()).unwrap_or_default());
        // Should there be more than one, which no client sends, they are one message in parts.
        let resource = contents.collect::<Vec<_>>().concat();
        let mut attributes = Attributes::default();
        attributes.read(&resource, 0..resource.len(), RESOURCE_ATTRIBUTES);
        each(&mut attributes);
        let mut changed = Rewriter::new(&resource);
        attributes.write(RESOURCE_ATTRIBUTES, &mut changed);
        let Some(resource) = changed.finish() else {
            continue;
        };
        rewriter.enter(&group);
        let put = |out: &mut Vec<u8>| put_bytes(out, RESOURCE, &resource);
        match parts.split_first() {
            Some((first, others)) => {
                rewriter.replace(first.range.clone(), put);
                for other in others {
                    rewriter.remove(other.range.clone());
                }
            }
            None => rewriter.append(put),
        }
        rewriter.leave();
    }
}

// === impl Walk ===

impl<'a, F: FnMut(&Item<'a>, &mut Rewriter<'a>) -> Fate> Walk<'a, F> {
    /// Walks the message whose content stands at `content`, which leads to items through the levels
    /// of the signal from `depth` on.
    fn descend(
        &mut self,
        depth: usize,
        content: Range<usize>,
        rewriter: &mut Rewriter<'a>,
    ) -> Tally {
        let spine = self.signal.spine();
        let mut tally = Tally::default();
        let Some(level) = spine.get(depth) else {
            return tally;
        };
        let request = rewriter.request();
        for placed in fields(request, content) {
            let (true, Value::Bytes(message)) =
                (level.contains(&placed.field.number), placed.field.value)
            else {
                continue;
            };
            rewriter.enter(&placed);
            let below = if depth + 1 == spine.len() {
                self.ask(message, placed.content().start, rewriter)
            } else {
                self.remember(depth, placed.field.number, message);
                self.descend(depth + 1, placed.content(), rewriter)
            };
            if below.stayed == 0 && below.gone > 0 {
                rewriter.leave_out();
            } else {
                rewriter.leave();
            }
            tally.stayed += below.stayed;
            tally.gone += below.gone;
        }
        tally
    }

    fn remember(&mut self, depth: usize, number: u32, message: &'a [u8]) {
        match depth {
            0 => self.resource = Resource::new(message),
            1 => self.scope = Scope::new(message),
            2 => self.metric = Some(Metric::new(message)),
            _ => self.kind = MetricKind::of_field(number),
        }
    }

    fn ask(&mut self, message: &'a [u8], content: usize, rewriter: &mut Rewriter<'a>) -> Tally {
        let attributes_field = match self.signal {
            Signal::Traces => 9,
            Signal::Logs => 6,
            Signal::Metrics => self.kind.map_or(7, MetricKind::attributes_field),
        };
        let item = Item {
            message,
            content,
            attributes_field,
            resource: self.resource,
            scope: self.scope,
            metric: self.metric,
        };
        match (self.each)(&item, rewriter) {
            Fate::Stay => Tally { stayed: 1, gone: 0 },
            Fate::Go => Tally { stayed: 0, gone: 1 },
        }
    }
}

// === impl Item ===

impl Item<'_> {
    /// Where its content stands in the request.
    pub fn range(&self) -> Range<usize> {
        self.content..self.content + self.message.len()
    }
}

/// The length-delimited fields `number` of a message.
fn messages(
    request: &[u8],
    content: Range<usize>,
    number: u32,
) -> impl Iterator<Item = Placed<'_>> {
    fields(request, content).filter(move |placed| {
        placed.field.number == number && placed.field.value.as_bytes().is_some()
    })
}
