//! One answer for all who ask at the same time.
use std::time::Instant;

use axum::body::Bytes;
use tokio::sync::Mutex;

/// What was made last, and when that began.
#[derive(Default)]
pub(super) struct Shared(Mutex<Option<(Instant, Bytes)>>);

impl Shared {
    /// What is made after this is asked: by this call, or by another one that began since. One is made at a time, so that however many
    /// ask at once, no more than two are: the one under way, and the next for all who wait.
    pub async fn get<E>(&self, make: impl AsyncFnOnce() -> Result<Bytes, E>) -> Result<Bytes, E> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((begun, made)) = &*last
            && *begun >= asked
        {
            return Ok(made.clone());
        }
        let begun = Instant::now();
        let made = make().await?;
        *last = Some((begun, made.clone()));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn however_many_ask_at_once_it_is_made_twice_at_most_and_never_before_it_was_asked() {
        let (shared, made) = (Arc::new(Shared::default()), Arc::new(AtomicU64::new(0)));
        for round in 0..3 {
            let before = made.load(Ordering::SeqCst);
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let (shared, made) = (Arc::clone(&shared), Arc::clone(&made));
                    tokio::spawn(async move {
                        let make = async || {
                            let number = made.fetch_add(1, Ordering::SeqCst);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                            Ok::<_, ()>(Bytes::from(number.to_string()))
                        };
                        let answer = shared.get(make).await.unwrap();
                        std::str::from_utf8(&answer)
                            .unwrap()
                            .parse::<u64>()
                            .unwrap()
                    })
                })
                .collect();
            for task in tasks {
                assert!(
                    task.await.unwrap() >= before,
                    "an old answer in round {round}"
                );
            }
            let count = made.load(Ordering::SeqCst) - before;
            assert!((1..=2).contains(&count), "made {count} times");
        }
    }

    #[tokio::test]
    async fn a_failure_is_told_and_the_next_one_is_made_anew() {
        let shared = Shared::default();
        let failed = shared.get(async || Err::<Bytes, _>("no")).await;
        assert_eq!(failed, Err("no"));
        let made = shared.get(async || Ok::<_, ()>(Bytes::from("yes"))).await;
        assert_eq!(made, Ok(Bytes::from("yes")));
    }
}
