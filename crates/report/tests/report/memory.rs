//! No more than one block of images is held at a time.

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use buckler_attack::{AttackError, SampleSource, Samples};
use buckler_report::{Expected, images_sha256, run, verify, write};

use crate::{
    finished, open, plan, subject, timeless,
    victim::{Linear, samples},
};

/// Samples that are given out in blocks, and the most that were asked for at once.
struct Blocks {
    all: Samples,
    largest: AtomicUsize,
}

impl SampleSource for Blocks {
    fn labels(&self) -> &[usize] {
        &self.all.labels
    }

    fn ids(&self) -> &[u64] {
        &self.all.ids
    }

    fn block(&self, rows: Range<usize>) -> Result<Samples, AttackError> {
        self.largest.fetch_max(rows.len(), Ordering::SeqCst);
        Ok(self.all.range(rows))
    }
}

#[tokio::test]
async fn a_source_is_read_block_by_block_to_the_same_report() {
    let whole = tempfile::tempdir().unwrap();
    let (victim, all, report) = finished(whole.path()).await;
    let source = Blocks {
        all: all.clone(),
        largest: AtomicUsize::new(0),
    };
    assert_eq!(
        images_sha256(&source).unwrap(),
        images_sha256(&all).unwrap()
    );
    let dir = tempfile::tempdir().unwrap();
    let (subject, plan) = (subject(&all), plan());
    let folder = open(dir.path(), &all, false).unwrap();
    let again = run(
        &victim,
        &source,
        &plan,
        subject.clone(),
        None,
        Some(&folder),
        |_| (),
    );
    let again = again.await.unwrap();
    write(&folder, &again, &source, &[]).unwrap();
    assert_eq!(timeless(again), timeless(report));
    let expected = Expected {
        subject: &subject,
        plan: Ok(&plan),
        no_gradient: None,
    };
    let path = dir.path().join("report.json");
    let verification = verify(&victim, &expected, &source, &path).await.unwrap();
    assert!(verification.holds(), "{verification:?}");
    assert_eq!(source.largest.load(Ordering::SeqCst), 128);
}

#[tokio::test]
async fn an_image_that_cannot_be_read_ends_the_run_with_its_reason() {
    struct Broken(Samples);
    impl SampleSource for Broken {
        fn labels(&self) -> &[usize] {
            &self.0.labels
        }
        fn ids(&self) -> &[u64] {
            &self.0.ids
        }
        fn block(&self, rows: Range<usize>) -> Result<Samples, AttackError> {
            match rows.contains(&140) {
                true => Err(AttackError::Read("disk on fire".into())),
                false => Ok(self.0.range(rows)),
            }
        }
    }
    let source = Broken(samples(150));
    let subject = subject(&source.0);
    let result = run(
        &Linear::new(),
        &source,
        &plan(),
        subject,
        None,
        None,
        |_| (),
    )
    .await;
    let error = result.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "disk on fire");
}
