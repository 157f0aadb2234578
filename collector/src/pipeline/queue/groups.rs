//! The lanes of groups, which batch like the lane that they belong to, each for itself.
//!
//! A group has a lane as long as something waits in it. Then the lane is free for another group, so
//! that names which clients make up do not add up.

use super::super::grouping::{Group, Grouping};
use super::super::payload::Payload;
use super::waiting::Waiting;
use super::{Lane, State};

// === impl Lane ===

impl Lane {
    /// The same entrance, behind which payloads of different groups do not share batches. Not on disk,
    /// where nothing is known of clients.
    #[must_use]
    pub fn grouped(mut self, grouping: Option<Grouping>) -> Self {
        if grouping.is_some() && self.is_stored() {
            let exporter = self.queue.name.as_str();
            tracing::warn!(
                exporter,
                "\"metadata_keys\" of \"batch\" changes nothing here: the queue is on disk"
            );
            return self;
        }
        self.grouping = grouping;
        self
    }

    /// Whether the payload's group has a lane, or can have one.
    pub(in crate::pipeline) fn has_place_for(&self, payload: &Payload) -> bool {
        let Some(grouping) = &self.grouping else {
            return true;
        };
        let group = grouping.group(payload.client());
        let state = self.queue.lock();
        let groups = &state.lanes[self.index].groups;
        let has_place = groups.len() < grouping.limit
            || groups.contains_key(&group)
            || groups.values().any(|index| state.lanes[*index].is_idle());
        drop(state);
        if !has_place && let Some(items) = self.queue.refusals.count(payload.items()) {
            let (exporter, limit) = (self.queue.name.as_str(), grouping.limit);
            tracing::warn!(
                exporter,
                items,
                limit,
                "not taken: for as many values of \"metadata_keys\" as \
                 \"metadata_cardinality_limit\" allows something waits already"
            );
        }
        has_place
    }
}

// === impl State ===

impl State {
    /// The lane of a group of those of the lane at `base`.
    pub(super) fn lane_of(&mut self, base: usize, group: Group) -> usize {
        let Self { lanes, .. } = self;
        if let Some(index) = lanes[base].groups.get(&group) {
            return *index;
        }
        let groups = lanes[base].groups.iter();
        let mut idle = groups.filter(|(_, index)| lanes[**index].is_idle());
        let index = match idle.next().map(|(former, index)| (former.clone(), *index)) {
            Some((former, index)) => {
                lanes[base].groups.remove(&former);
                index
            }
            None => {
                let of = &lanes[base];
                let mut lane = Waiting::new(of.signal, of.batching);
                lane.metrics.clone_from(&of.metrics);
                lanes.push(lane);
                lanes.len() - 1
            }
        };
        lanes[base].groups.insert(group, index);
        index
    }
}
