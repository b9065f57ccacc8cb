//! Turns every error of the layers below into a problem. Exhaustive on purpose: a new error must have its answer here.

use chassis::problem::{Code, Problem};

use crate::{domain::Refusal, store::StoreError};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => of_refusal(refusal),
            StoreError::Fault(fault) => fault.into(),
        }
    }
}

fn of_refusal(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::NotFound => Problem::not_found(),
        Refusal::PreconditionFailed => {
            Problem::new(Code::PreconditionFailed, "the order has changed since you read it; read it again")
        }
        Refusal::KeyReused => Problem::new(
            Code::IdempotencyKeyReused,
            "a request with this `Idempotency-Key` and another body has created an order already; choose another key",
        ),
        Refusal::WrongState { .. } => Problem::new(Code::WrongState, refusal.to_string()),
    }
}
