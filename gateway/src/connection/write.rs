//! Writes an answer to a stream without the dispatcher of actix-http: for a request that it cannot read, and after
//! an upgrade. Knows no requests.

use std::{fmt, future::poll_fn, io, pin::Pin, time::Duration};

use actix_codec::Encoder;
use actix_http::{
    Response,
    body::{BodySize, MessageBody},
    h1::{Codec, Message},
};
use bytes::BytesMut;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::timeout,
};

/// Maximum time for writing one chunk: 30 s.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes an answer, and returns its body. With a codec of its own: after an upgrade that of the server would label a
/// stream as chunked, but not write chunks.
///
/// # Errors
/// The connection or the body breaks.
pub(crate) async fn respond<Io, B>(io: &mut Io, response: Response<B>, is_head: bool) -> io::Result<Pin<Box<B>>>
where
    Io: AsyncWrite + Unpin,
    B: MessageBody,
    B::Error: fmt::Display,
{
    let mut body = None;
    let response = response.map_body(|_, taken| body = Some(Box::pin(taken)));
    let mut body = body.ok_or_else(|| io::Error::other("an answer without a body"))?;
    let mut codec = Codec::default();
    let mut bytes = BytesMut::new();
    let size = body.size();
    codec.encode(Message::Item((response, size)), &mut bytes)?;
    write(io, &mut bytes).await?;
    if is_head || matches!(size, BodySize::None | BodySize::Sized(0)) {
        return Ok(body);
    }
    while let Some(chunk) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        codec.encode(Message::Chunk(Some(chunk.map_err(|error| io::Error::other(error.to_string()))?)), &mut bytes)?;
        write(io, &mut bytes).await?;
    }
    codec.encode(Message::Chunk(None), &mut bytes)?;
    write(io, &mut bytes).await?;
    Ok(body)
}

async fn write<Io: AsyncWrite + Unpin>(io: &mut Io, bytes: &mut BytesMut) -> io::Result<()> {
    timeout(WRITE_TIMEOUT, io.write_all(&bytes.split())).await?
}
