//! `Expect: 100-continue` (RFC 9110, section 10.1.1). The client is sent 100 when its body is about to be read, and not
//! before; a refusal comes without it.
//!
//! The tricky part: actix-http asks a service of its own whether to send 100, and only then calls the one that handles the
//! request. Here the request is handled from the start, up to the point where it reads its body ([`ReadSignal`]). Then the
//! answer to actix-http is "send 100", and the handling goes on inside an empty request that carries it ([`InProgress`]).

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_http::{
    BoxedPayloadStream, ConnectionType, HttpMessage, Payload, Request, Response, body::BoxBody, error::PayloadError,
};
use bytes::Bytes;
use futures_core::Stream;

use super::super::{exchange::CountedBody, forward};
use crate::runtime::worker::Worker;

type Handling = Pin<Box<dyn Future<Output = Response<CountedBody>>>>;

/// A request that is being handled already, carried by an empty request.
struct InProgress(Handling);

/// Handles a request that expects 100 until it reads its body. `Ok` makes the server send 100.
///
/// # Errors
/// The final answer, where the body is not read.
pub(crate) async fn until_body_is_read(worker: Rc<Worker>, mut request: Request) -> Result<Request, Response<BoxBody>> {
    let wanted = Rc::new(Cell::new(false));
    let body = request.take_payload();
    if !matches!(body, Payload::None) {
        let body: BoxedPayloadStream = Box::pin(ReadSignal { body, wanted: Rc::clone(&wanted) });
        *request.payload() = Payload::from(body);
    }
    let mut handling: Handling = Box::pin(forward::handle(worker, request));
    let answered = poll_fn(|cx| match handling.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending if wanted.get() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    if let Some(mut response) = answered.await {
        // The client may or may not send its body now, so that nothing can be read after this request.
        response.head_mut().set_connection_type(ConnectionType::Close);
        return Err(response.map_into_boxed_body());
    }
    let shell = Request::new();
    shell.extensions_mut().insert(InProgress(handling));
    Ok(shell)
}

/// Handles a request, or continues with one that is being handled already.
pub(crate) async fn handle(worker: Rc<Worker>, request: Request) -> Response<CountedBody> {
    let in_progress = request.extensions_mut().remove::<InProgress>();
    match in_progress {
        Some(InProgress(handling)) => handling.await,
        None => forward::handle(worker, request).await,
    }
}

/// A body that signals when it is first polled.
struct ReadSignal {
    body: Payload,
    wanted: Rc<Cell<bool>>,
}

impl Stream for ReadSignal {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.wanted.set(true);
        Pin::new(&mut self.body).poll_next(cx)
    }
}
