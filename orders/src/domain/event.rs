//! What has happened to orders, for other systems to follow.

use std::{fmt, str::FromStr};

use chassis::trace::TraceParent;

use super::order::{Order, Status};

/// The number of an event. Later events have higher ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventId(pub(crate) i64);

impl EventId {
    /// Before every event.
    pub(crate) const BEGINNING: Self = Self(0);
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = text.parse().ok().filter(|id| *id >= 0);
        id.map(Self).ok_or("must be the id of an event, or 0 for the beginning")
    }
}

/// An order was created, or its status has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: EventId,
    /// The order after that.
    pub(crate) order: Order,
    /// The trace of the request for it; `None` where it was made before traces were kept.
    pub(crate) trace: Option<TraceParent>,
}

impl Event {
    /// What has happened, for consumers to choose by.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.order.status {
            Status::Pending => "order.created",
            Status::Confirmed => "order.confirmed",
            Status::Shipped => "order.shipped",
            Status::Delivered => "order.delivered",
            Status::Cancelled => "order.cancelled",
        }
    }
}
