//! `stack load`: customers who sign in, browse and place orders, at a rate, against any installation.
//!
//! [`run()`] starts the customers (`customer`), each a task on this one thread. They take turns (`pace`), send requests
//! (`client`) and count what came of them (`tally`, `latencies`); `report` prints that. It knows the API only as a client
//! does, and shares no type with the services.
//!
//! The tricky part is who is measured. The next request is sent when it is due, not when an answer has come; but a customer
//! waits for the answer, so that a system that is too slow gets fewer requests than the rate says. The report says so.

mod client;
mod customer;
mod latencies;
mod pace;
mod report;
mod run;
mod settings;
mod tally;

pub use self::{
    run::run,
    settings::{Args, Settings},
};
