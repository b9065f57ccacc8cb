//! What an order is and who may see it: types that exist only if they are valid, and pure rules over them. Knows no HTTP,
//! no database, no actor and no clock.

mod change;
mod event;
mod key;
mod list;
mod order;
mod rules;
mod text;

pub(crate) use change::{Change, StatusChange, Written};
pub(crate) use event::{Event, EventId};
pub(crate) use key::IdempotencyKey;
pub(crate) use list::{Filter, OrderPage, PageRequest, Position};
pub(crate) use order::{NewOrder, Order, OrderId, Status};
pub(crate) use rules::Refusal;
pub(crate) use text::{Address, Item};
