use std::{future, io, sync::Arc};

use axum_server::accept::Accept;
use tokio::net::TcpStream;
use tower_http::add_extension::AddExtension;

use super::{Connection, stream::Stream};
use crate::app::App;

/// Gives every connection its place, and its requests their connection.
#[derive(Clone)]
pub(crate) struct Acceptor(pub Arc<App>);

impl<T> Accept<TcpStream, T> for Acceptor {
    type Stream = Stream;
    type Service = AddExtension<T, Arc<Connection>>;
    type Future = future::Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, inner: TcpStream, service: T) -> Self::Future {
        let Self(app) = self;
        let place = app.connections.enter().or_else(|| {
            // All have requests: one whose client does nothing about them gives way.
            app.in_flight.cut_a_connection();
            app.connections.enter()
        });
        future::ready(match place {
            Some(place) => {
                let connection = Arc::clone(&place.connection);
                let service = AddExtension::new(service, connection);
                Ok((Stream { inner, place }, service))
            }
            None => Err(io::Error::other(
                "as many connections as are allowed wait for answers",
            )),
        })
    }
}
