//! Asks an upstream to switch to another protocol (RFC 9110, section 7.8), on a connection of its own. Knows nothing of
//! that protocol.

use std::{future::poll_fn, pin::Pin};

use actix_codec::Framed;
use actix_http::{
    ConnectionType, RequestHead, StatusCode, h1,
    header::{self, HeaderMap, HeaderValue},
};
use actix_service::Service;
use awc::{BoxedSocket, Connect, Connector, error::SendRequestError};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::AsyncRead,
    time::{Instant, timeout_at},
};

use super::{
    client::{Client, Outgoing, uri},
    connect,
    failure::Failure,
};
use crate::upstream::settings::TargetAddress;

/// Maximum size of the body of a refusal: 256 KiB.
const REFUSAL_BYTES_MAX: usize = 256 * 1024;

/// A connection on which the upstream switched to another protocol.
pub(crate) struct Tunnel {
    pub(crate) socket: BoxedSocket,
    /// What was received together with the 101.
    pub(crate) early: Bytes,
}

/// The answer to a request to switch the protocol.
pub(crate) enum UpgradeAnswer {
    Switched { headers: HeaderMap, tunnel: Tunnel },
    Refused { status: StatusCode, headers: HeaderMap, body: Bytes },
}

impl UpgradeAnswer {
    /// Returns its status.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Switched { .. } => StatusCode::SWITCHING_PROTOCOLS,
            Self::Refused { status, .. } => *status,
        }
    }
}

impl Client {
    /// Asks for a WebSocket on a new connection.
    ///
    /// # Errors
    /// What went wrong.
    pub(crate) async fn open_tunnel(
        &self,
        target: &TargetAddress,
        outgoing: Outgoing,
    ) -> Result<UpgradeAnswer, Failure> {
        let deadline = Instant::now() + outgoing.head_timeout;
        timeout_at(deadline, self.ask(target, outgoing)).await.map_err(|_| Failure::head_timeout())?
    }

    async fn ask(&self, target: &TargetAddress, outgoing: Outgoing) -> Result<UpgradeAnswer, Failure> {
        let mut head = RequestHead::default();
        let host = outgoing.host_at(target);
        head.method = outgoing.method;
        head.uri = uri(target, outgoing.path_and_query)?;
        head.headers = outgoing.headers;
        head.headers.insert(header::HOST, host);
        head.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        head.set_connection_type(ConnectionType::Upgrade);
        let connector =
            Connector::new().connector(connect::connector(self.tls.clone())).timeout(self.connect_timeout).finish();
        let connecting = connector.call(Connect { uri: head.uri.clone(), addr: None });
        let connection = connecting.await.map_err(|error| Failure::from_awc(&SendRequestError::Connect(error)))?;
        let (answer, framed) = connection.open_tunnel(head).await.map_err(|error| Failure::from_awc(&error))?;
        let (status, headers) = (answer.status, answer.headers().clone());
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let parts = framed.into_map_io(|io| Box::new(io) as BoxedSocket).into_parts();
            return Ok(UpgradeAnswer::Switched {
                headers,
                tunnel: Tunnel { socket: parts.io, early: parts.read_buf.freeze() },
            });
        }
        let body = match framed.codec_ref().message_type() {
            h1::MessageType::None => Bytes::new(),
            h1::MessageType::Payload | h1::MessageType::Stream => {
                refusal(framed.into_map_codec(h1::ClientCodec::into_payload_codec)).await?
            }
        };
        Ok(UpgradeAnswer::Refused { status, headers, body })
    }
}

/// Reads the whole body of a refusal.
async fn refusal<Io: AsyncRead + Unpin>(mut framed: Framed<Io, h1::ClientPayloadCodec>) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    while let Some(Some(chunk)) = poll_fn(|cx| Pin::new(&mut framed).next_item(cx))
        .await
        .transpose()
        .map_err(|error| Failure::invalid(&error.to_string()))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > REFUSAL_BYTES_MAX {
            return Err(Failure::invalid("the refusal of a WebSocket is too large"));
        }
    }
    Ok(body.freeze())
}
