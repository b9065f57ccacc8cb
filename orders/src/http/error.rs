//! Turns every error of the layers below into a problem. Exhaustive on purpose: a new error must have its answer here.

use chassis::problem::Problem;

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
    }
}
