//! Connects to a target: resolves its name, opens the connection, guards it. Knows no requests.

use actix_rt::net::TcpStream;
use actix_service::{Service, fn_service};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector, Resolver};
use awc::http::Uri;

use super::guard::Guarded;

/// What the bytes to a target go through.
pub type Transport = TcpStream;

/// Opens guarded connections; awc keeps them in its pool and ends the attempt when its time is over.
pub fn connector()
-> impl Service<ConnectInfo<Uri>, Response = Connection<Uri, Guarded<Transport>>, Error = ConnectError> + Clone + 'static
{
    let tcp = Connector::new(Resolver::default()).service();
    fn_service(move |target: ConnectInfo<Uri>| {
        let connecting = tcp.call(target);
        async move {
            let (stream, target) = connecting.await?.into_parts();
            // A request and its body are written apart: without this the second waits for an acknowledgement of the first.
            stream.set_nodelay(true).map_err(ConnectError::Io)?;
            Ok(Connection::new(target, Guarded::new(stream)))
        }
    })
}
