//! Why a client has to keep its payload.

use std::fmt;
use std::time::Duration;

use super::super::account::DropReason;

/// Why a client has to keep its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The collector does not take it at the moment.
    Overloaded {
        /// Why.
        cause: Overload,
        /// When the client should try again.
        retry_after: Duration,
    },
    /// The collector never takes it, because it is larger than the memory budget, or than every queue
    /// that it would go to.
    TooLarge,
    /// The client waited for the result, and the destination did not take the payload.
    NotDelivered {
        /// Why.
        reason: DropReason,
        /// When the client should try again; `None` if that makes no sense.
        retry_after: Option<Duration>,
    },
}

/// What is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Every queue is full.
    QueuesFull,
    /// The memory budget is used up.
    MemoryUsedUp,
    /// The disk is full or does not work.
    StorageFailed,
    /// The collector is stopping.
    Stopping,
}

/// How long a refused client should wait. Queues that are full empty themselves within seconds or
/// not at all.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

// === impl Refusal ===

impl Refusal {
    pub(in crate::pipeline) fn overloaded(cause: Overload) -> Self {
        Self::Overloaded {
            cause,
            retry_after: RETRY_AFTER,
        }
    }

    /// What is used up, if that is why.
    pub(super) fn overload(&self) -> Option<Overload> {
        match self {
            Self::Overloaded { cause, .. } => Some(*cause),
            Self::TooLarge | Self::NotDelivered { .. } => None,
        }
    }

    pub(super) fn not_delivered(reason: DropReason) -> Self {
        let retry_after = match reason {
            DropReason::QueueFull
            | DropReason::RetriesExhausted
            | DropReason::Shutdown
            | DropReason::StorageCorrupt
            | DropReason::StorageFailed
            | DropReason::Lost => Some(RETRY_AFTER),
            DropReason::Rejected
            | DropReason::Refused
            | DropReason::TooLarge
            | DropReason::Processor => None,
        };
        Self::NotDelivered {
            reason,
            retry_after,
        }
    }

    /// When the client should try again; `None` if that makes no sense.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. } => Some(*retry_after),
            Self::TooLarge => None,
            Self::NotDelivered { retry_after, .. } => *retry_after,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overloaded { cause, .. } => f.write_str(match cause {
                Overload::QueuesFull => "every queue is full, try again later",
                Overload::MemoryUsedUp => "the memory budget is used up, try again later",
                Overload::StorageFailed => "the storage on disk did not take it, try again later",
                Overload::Stopping => "the collector is stopping, try again later",
            }),
            Self::TooLarge => f.write_str(
                "the request is larger than the collector's queues or its memory budget",
            ),
            Self::NotDelivered { reason, .. } => {
                write!(f, "the destination did not take it: {}", reason.name())
            }
        }
    }
}
