use axum::http::Version;

use super::*;
use crate::metrics::Metrics;

const LIMITS: Limits = Limits {
    requests: 2,
    waiting: 8,
    bytes: 100,
    connection_bytes: 100,
    stall: Duration::from_secs(10),
    rate: 10,
};

struct Client {
    table: Table,
    metrics: Arc<Metrics>,
}

impl Client {
    fn new() -> Self {
        Self {
            table: Table::default(),
            metrics: Arc::new(Metrics::new().unwrap()),
        }
    }

    fn request(&mut self) -> u64 {
        let connection = Arc::new(Connection::new(Arc::clone(&self.metrics)));
        let id = self.table.insert(connection, Arc::default(), true);
        self.table.arrive(id, &LIMITS);
        id
    }

    fn arrived(&mut self, id: u64, bytes: usize) -> Result<(), Full> {
        self.table.arrived(id, (bytes, bytes), None, &LIMITS)
    }

    fn entry(&mut self, id: u64) -> &mut Entry {
        self.table.entries.get_mut(&id).unwrap()
    }
}

#[test]
fn bytes_are_taken_from_who_makes_no_progress_or_holds_most_and_else_refused() {
    let mut client = Client::new();
    let [first, second, third] = [(); 3].map(|()| client.request());
    client.arrived(first, 60).unwrap();
    client.arrived(second, 40).unwrap();
    // As much as any other.
    assert_eq!(client.arrived(third, 60), Err(Full::Bytes(100)));
    client.entry(first).due -= STILL;
    client.arrived(third, 50).unwrap();
    assert_eq!(client.table.used.bytes, 90);
    let given_up = Arc::clone(&client.entry(first).given_up);
    assert_eq!(given_up.cut(), Some(Cut::Crowded));
    // What is worked on is not given up.
    client.table.work(second, None, &LIMITS).unwrap();
    client.entry(second).due -= 5 * STILL;
    assert_eq!(client.arrived(third, 20), Err(Full::Bytes(100)));
    // Who holds less takes it from who holds most.
    let modest = client.request();
    client.arrived(modest, 20).unwrap();
    assert_eq!(client.entry(third).given_up.cut(), Some(Cut::Crowded));
    for id in [first, second, third, modest] {
        client.table.remove(id);
    }
    assert_eq!(
        (client.table.used.bytes, client.table.used.requests),
        (0, 0)
    );
}

#[test]
fn a_further_request_takes_the_room_of_a_connection_that_has_more_of_them() {
    let mut client = Client::new();
    let [greedy, modest] = [(); 2].map(|()| Arc::new(Connection::new(Arc::clone(&client.metrics))));
    let mut ask = |connection: &Arc<Connection>| {
        connection.begin(Version::HTTP_2);
        let table = &mut client.table;
        let admitted = table.admit(connection, &LIMITS);
        let counted = admitted.is_ok();
        let id = table.insert(Arc::clone(connection), Arc::default(), counted);
        table.arrive(id, &LIMITS);
        admitted
    };
    for _ in 0..LIMITS.waiting {
        ask(&greedy).unwrap();
    }
    let full = Err(Full::Requests(LIMITS.requests));
    assert_eq!(ask(&greedy), full);
    ask(&modest).unwrap();
    ask(&modest).unwrap();
    assert_eq!(ask(&greedy), full);
    assert_eq!(client.table.counted, LIMITS.waiting);
}

#[test]
fn a_body_is_given_up_once_it_is_too_far_behind_however_fast_it_came_before() {
    let mut client = Client::new();
    let id = client.request();
    let after = |client: &mut Client, seconds| {
        client
            .table
            .sweep(Instant::now() + Duration::from_secs(seconds));
        client.entry(id).given_up.cut()
    };
    for _ in 0..9 {
        client.arrived(id, 10).unwrap();
        assert_eq!(after(&mut client, 9), None);
    }
    assert_eq!(after(&mut client, 11), Some(Cut::Stalled));
}

#[test]
fn an_answer_frees_its_place_once_it_is_whole_and_counts_until_it_is_sent() {
    let mut client = Client::new();
    let [whole, stream, third] = [(); 3].map(|()| client.request());
    for id in [whole, stream] {
        client.table.work(id, None, &LIMITS).unwrap();
    }
    let full = Err(Full::Requests(2));
    assert_eq!(client.table.work(third, None, &LIMITS), full);
    client.table.send(stream, None, &LIMITS);
    assert_eq!(client.table.work(third, None, &LIMITS), full);
    client.table.send(whole, Some(1000), &LIMITS);
    assert_eq!(client.table.used.bytes, 1000);
    client.table.work(third, None, &LIMITS).unwrap();
    client.table.remove(whole);
    assert_eq!(client.table.used.bytes, 0);
}
