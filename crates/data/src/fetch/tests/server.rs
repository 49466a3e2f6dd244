//! A web server with one file and bad manners.
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What the server does with one request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// Sends what is asked for.
    Whole,
    /// Announces everything, sends so many bytes and hangs up.
    Cut { after: usize },
    /// Announces everything, sends so many bytes and nothing more for a while; with 0 not even an answer.
    Stall { after: usize },
    /// Sends everything, whatever range is asked for.
    IgnoreRange,
    /// Claims to send another range.
    WrongRange,
    /// Says that there is no such range.
    Unsatisfiable,
    /// Sends as much as is asked for, of something else.
    Wrong,
    /// There is no such file.
    NotFound,
}

pub(super) struct Server {
    address: SocketAddr,
    ranges: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    /// Serves `body` on a free port: one request per answer, in this order; after that it is gone.
    pub(super) fn start(body: &[u8], answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            address,
            ranges: ranges.clone(),
        };
        if answers.is_empty() {
            return server;
        }
        let body = body.to_vec();
        thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let range = read_request(&stream);
                ranges.lock().unwrap().push(range);
                let body = body.clone();
                thread::spawn(move || respond(stream, &body, range, answer));
            }
        });
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first byte that each request asked for, if it asked for a range.
    pub(super) fn ranges(&self) -> Vec<Option<usize>> {
        self.ranges.lock().unwrap().clone()
    }
}

fn read_request(stream: &TcpStream) -> Option<usize> {
    let mut range = None;
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(first) = line.strip_prefix("range: bytes=") {
            range = first.strip_suffix('-').unwrap().parse().ok();
        }
    }
    range
}

/// The other side may hang up at any time: what cannot be written is not.
fn respond(mut stream: TcpStream, body: &[u8], range: Option<usize>, answer: Answer) {
    let range = match answer {
        Answer::IgnoreRange => None,
        _ => range,
    };
    let from = range.unwrap_or(0);
    let all = &body[from..];
    let status = match (answer, range) {
        (Answer::Stall { after: 0 }, _) => {
            thread::sleep(Duration::from_secs(2));
            return;
        }
        (Answer::NotFound, _) => "404 Not Found".to_owned(),
        (Answer::Unsatisfiable, _) => "416 Range Not Satisfiable".to_owned(),
        (Answer::WrongRange, _) => "206 Partial Content\r\nContent-Range: bytes 7-9/10".to_owned(),
        (_, None) => "200 OK".to_owned(),
        (_, Some(from)) => {
            let (last, length) = (body.len() - 1, body.len());
            format!("206 Partial Content\r\nContent-Range: bytes {from}-{last}/{length}")
        }
    };
    let wrong: Vec<u8> = all.iter().map(|byte| byte ^ 1).collect();
    let (sent, announced) = match answer {
        Answer::Cut { after } | Answer::Stall { after } => {
            (&all[..after.min(all.len())], all.len())
        }
        Answer::Wrong => (&wrong[..], all.len()),
        Answer::NotFound | Answer::Unsatisfiable => (&[][..], 0),
        _ => (all, all.len()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {announced}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(sent);
    let _ = stream.flush();
    if let Answer::Stall { .. } = answer {
        thread::sleep(Duration::from_secs(2));
    }
}
