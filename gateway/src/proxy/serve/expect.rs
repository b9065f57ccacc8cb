//! `Expect: 100-continue` ends here (RFC 9110, section 10.1.1): the client is told to go on when its body is about to
//! be read, and not before; a refusal comes without it.

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

use crate::{proxy::exchange::CountedBody, runtime::worker::Worker};

type Handling = Pin<Box<dyn Future<Output = Response<CountedBody>>>>;

/// A request that is being handled already; what the server calls its request is an empty shell.
struct InProgress(Handling);

/// Handles a request that expects `100` until it reads its body. `Ok` makes the server send `100`.
///
/// # Errors
/// The final answer, where the body was never wanted.
pub(crate) async fn until_body_is_read(worker: Rc<Worker>, mut request: Request) -> Result<Request, Response<BoxBody>> {
    let wanted = Rc::new(Cell::new(false));
    let body = request.take_payload();
    if !matches!(body, Payload::None) {
        let body: BoxedPayloadStream = Box::pin(ReadSignal { body, wanted: Rc::clone(&wanted) });
        *request.payload() = Payload::from(body);
    }
    let mut handling: Handling = Box::pin(crate::proxy::forward::handle(worker, request));
    let answered = poll_fn(|cx| match handling.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending if wanted.get() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    if let Some(mut response) = answered.await {
        // Whether the client sends the body now, nobody can tell: what follows could be anything.
        response.head_mut().set_connection_type(ConnectionType::Close);
        return Err(response.map_into_boxed_body());
    }
    let shell = Request::new();
    shell.extensions_mut().insert(InProgress(handling));
    Ok(shell)
}

/// Handles a request, or goes on with one that is being handled already.
pub(crate) async fn handle(worker: Rc<Worker>, request: Request) -> Response<CountedBody> {
    let underway = request.extensions_mut().remove::<InProgress>();
    match underway {
        Some(InProgress(handling)) => handling.await,
        None => crate::proxy::forward::handle(worker, request).await,
    }
}

/// Notes that somebody waits for the body.
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
