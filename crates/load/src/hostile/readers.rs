//! Clients that ask for large answers on HTTP/1.1 and never read.
use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use super::field::Field;

/// Bytes of the client's buffer for what comes, as few as the system allows.
const RECEIVE_BUFFER: u32 = 2048;

/// After this the client asks once more: that it cannot is how a client that never reads learns that the connection is closed.
const ONCE_MORE: Duration = Duration::from_millis(500);

/// What a client sends.
#[derive(Clone)]
pub(super) struct Questions {
    /// All at once: requests whose answers fill the buffers between server and client.
    pub pipelined: Bytes,
    /// Then one more, again and again.
    pub one: Bytes,
}

/// Asks and never reads, again on a new connection when the server has closed one.
pub(super) async fn never_read(field: Arc<Field>, questions: Questions) {
    while !field.is_over() {
        if let Some(stream) = field.connect(Some(RECEIVE_BUFFER)).await {
            let closed = until_closed(stream, &questions);
            field.connections.hold(field.limit, closed).await;
        }
        field.pause().await;
    }
}

async fn until_closed(mut stream: TcpStream, questions: &Questions) {
    let mut next = &questions.pipelined;
    while stream.write_all(next).await.is_ok() {
        sleep(ONCE_MORE).await;
        next = &questions.one;
    }
}
