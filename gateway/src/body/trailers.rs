//! The trailers of a message: fields that follow its body (RFC 9110, section 6.5). Knows no protocols.

use std::{cell::RefCell, rc::Rc};

use actix_http::header::{HeaderMap, HeaderName};

/// The trailers of one message, handed from whoever reads them to whoever writes them. Clones are handles to the same
/// ones. Empty until the body has ended, and where it has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trailers(Rc<RefCell<HeaderMap>>);

impl Trailers {
    /// Stores the trailers that were read.
    pub(crate) fn set(&self, fields: HeaderMap) {
        *self.0.borrow_mut() = fields;
    }

    /// Returns a copy of those that `is_allowed` allows.
    pub(crate) fn allowed(&self, is_allowed: impl Fn(&HeaderName) -> bool) -> HeaderMap {
        let mut fields = self.0.borrow().clone();
        fields.retain(|name, _| is_allowed(name));
        fields
    }

    /// Takes the trailers out.
    pub(crate) fn take(&self) -> HeaderMap {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}
