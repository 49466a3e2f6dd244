use super::*;

fn query(first: i64, rows: usize) -> (Query, oneshot::Receiver<Answer>) {
    let column = Column::Int(ArrayD::from_shape_fn(vec![rows], |at| first + at[0] as i64));
    let (reply, answer) = oneshot::channel();
    let flow = Flow {
        tenant: "".into(),
        request: first.unsigned_abs(),
    };
    (Query::new(flow, 0, vec![column], reply), answer)
}

/// The rows of the next batch, each answered with itself.
fn work(shared: &Shared, max_rows: usize) -> Vec<i64> {
    let capacity = Capacity {
        max_rows,
        cost_of_row: 1.0,
    };
    let parts = shared.next(&[capacity, capacity]).unwrap();
    let columns: Vec<_> = parts
        .iter()
        .map(|part| (&part.query.inputs[0], part.range.clone()))
        .collect();
    let Some(Column::Int(rows)) = Column::join(&columns) else {
        panic!("one column of integers")
    };
    shared.deliver(
        parts,
        &[rows.mapv(|row| row as f32)],
        Duration::from_millis(1),
    );
    rows.into_raw_vec_and_offset().0
}

fn answered(mut answer: oneshot::Receiver<Answer>) -> Vec<f32> {
    let answered = answer.try_recv().unwrap().unwrap();
    answered.outputs[0].iter().copied().collect()
}

#[test]
fn waiting_queries_share_a_batch_and_each_gets_its_own_rows() {
    let shared = Shared::new(1000);
    let (first, first_answer) = query(0, 2);
    let (second, second_answer) = query(10, 3);
    shared.push(first).unwrap();
    shared.push(second).unwrap();
    assert_eq!(work(&shared, 8), [0, 1, 10, 11, 12]);
    assert_eq!(answered(first_answer), [0.0, 1.0]);
    assert_eq!(answered(second_answer), [10.0, 11.0, 12.0]);
}

#[test]
fn a_long_query_shares_every_batch_with_short_ones() {
    let shared = Shared::new(1000);
    let (long, long_answer) = query(0, 7);
    let (short, short_answer) = query(100, 1);
    shared.push(long).unwrap();
    shared.push(short).unwrap();
    let first = work(&shared, 3);
    assert!(first.contains(&100) && first.len() == 3, "{first:?}");
    let answer = answered(short_answer);
    assert_eq!(answer, [100.0]);
    assert_eq!(work(&shared, 3).len() + work(&shared, 3).len(), 5);
    assert_eq!(answered(long_answer), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn a_batch_is_of_one_graph_and_the_other_comes_next() {
    let shared = Shared::new(1000);
    let (first, _first) = query(0, 2);
    let (mut other, _other) = query(10, 2);
    other.graph = 1;
    let (last, _last) = query(20, 1);
    for query in [first, other, last] {
        shared.push(query).unwrap();
    }
    let mut batches = [work(&shared, 8), work(&shared, 8)];
    batches.iter_mut().for_each(|batch| batch.sort());
    batches.sort();
    assert_eq!(batches, [vec![0, 1, 20], vec![10, 11]]);
}

#[test]
fn the_time_of_a_query_is_told_with_its_answer() {
    let shared = Shared::new(1000);
    let (query, mut answer) = query(0, 5);
    shared.push(query).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    for _ in 0..3 {
        work(&shared, 2);
    }
    let timing = answer.try_recv().unwrap().unwrap().timing;
    assert_eq!(timing.computed, Duration::from_millis(3));
    assert!(timing.queued >= Duration::from_millis(20), "{timing:?}");
}

#[test]
fn withdrawn_queries_are_not_run_and_do_not_fill_the_queue() {
    let shared = Shared::new(64);
    let (withdrawn, answer) = query(0, 8);
    shared.push(withdrawn).unwrap();
    drop(answer);
    let (fresh, _answer) = query(10, 2);
    shared.push(fresh).unwrap();
    assert_eq!(work(&shared, 16), [10, 11]);
    let (withdrawn, answer) = query(20, 2);
    shared.push(withdrawn).unwrap();
    drop(answer);
    let (fresh, _answer) = query(30, 1);
    shared.push(fresh).unwrap();
    assert_eq!(work(&shared, 16), [30]);
}

#[test]
fn a_full_queue_says_so_and_has_room_again_after_a_batch() {
    let shared = Shared::new(64);
    let (large, _large_answer) = query(0, 100);
    shared.push(large).unwrap();
    let (next, _answer) = query(0, 1);
    let error = shared.push(next).unwrap_err();
    assert!(
        matches!(
            error,
            VictimError::Overloaded {
                queued: 800,
                limit: 64
            }
        ),
        "{error}"
    );
    assert_eq!(work(&shared, 100).len(), 100);
    let (next, _answer) = query(0, 8);
    shared.push(next).unwrap();
}

#[test]
fn closing_answers_what_waits_and_what_comes() {
    let shared = Shared::new(1000);
    let (waiting, mut answer) = query(0, 1);
    shared.push(waiting).unwrap();
    shared.close();
    assert!(matches!(
        answer.try_recv().unwrap(),
        Err(VictimError::Closed)
    ));
    assert!(matches!(
        shared.push(query(0, 1).0),
        Err(VictimError::Closed)
    ));
    assert!(shared.next(&[]).is_none());
}

#[test]
fn a_thread_is_started_for_the_first_query_and_again_once_it_has_ended() {
    let shared = Shared::new(1000);
    let (first, first_answer) = query(0, 1);
    let (second, _second_answer) = query(10, 1);
    assert!(shared.push(first).unwrap());
    assert!(!shared.push(second).unwrap(), "it is being started");
    assert_eq!(work(&shared, 8), [0, 10]);
    assert_eq!(answered(first_answer), [0.0]);
    let capacity = Capacity {
        max_rows: 8,
        cost_of_row: 1.0,
    };
    let (third, _third_answer) = query(20, 1);
    assert!(!shared.push(third).unwrap(), "it waits for the next");
    assert_eq!(work(&shared, 8), [20]);
    assert!(shared.next_within(&[capacity], Duration::ZERO).is_none());
    shared.wait_until_idle();
    let (fourth, _fourth_answer) = query(30, 1);
    assert!(shared.push(fourth).unwrap());
    assert_eq!(work(&shared, 8), [30]);
}

#[test]
fn where_no_thread_can_be_started_those_who_wait_are_told_and_the_next_query_tries_again() {
    let shared = Shared::new(1000);
    let (first, mut answer) = query(0, 1);
    assert!(shared.push(first).unwrap());
    shared.fail_all(|| VictimError::NoFeatures);
    assert!(matches!(
        answer.try_recv().unwrap(),
        Err(VictimError::NoFeatures)
    ));
    let (second, _second_answer) = query(10, 1);
    assert!(shared.push(second).unwrap());
    assert_eq!(work(&shared, 8), [10]);
}

#[test]
fn closing_ends_the_thread_that_waits() {
    let shared = Shared::new(1000);
    let (first, _answer) = query(0, 1);
    assert!(shared.push(first).unwrap());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let capacity = Capacity {
                max_rows: 8,
                cost_of_row: 1.0,
            };
            while shared.next(&[capacity]).is_some() {}
        });
        shared.close();
        shared.wait_until_idle();
        waiting.join().unwrap();
    });
}
