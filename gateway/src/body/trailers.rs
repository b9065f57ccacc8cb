//! The trailers of a message: fields that follow its body (RFC 9110, section 6.5). Knows no protocols.

use std::{cell::RefCell, rc::Rc};

use actix_http::header::HeaderMap;

/// The trailers of one message, handed from whoever reads them to whoever writes them. Clones are handles to the same
/// ones. Empty until the body has ended, and where it has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trailers(Rc<RefCell<HeaderMap>>);

impl Trailers {
    /// Stores the trailers that were read.
    pub(crate) fn set(&self, fields: HeaderMap) {
        *self.0.borrow_mut() = fields;
    }

    /// Takes the trailers out.
    pub(crate) fn take(&self) -> HeaderMap {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}
