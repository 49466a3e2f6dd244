//! The course of an attack that was admitted.
use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use buckler_attack::{
    AnyAttack, Attack, Epsilon, Examination, Examined, Observer, Progress, Status, examine,
};
use futures::future::try_join_all;
use ndarray::{Array4, Axis};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::{Attacked, Metered, Wanted, answer::Frame};
use crate::{deadline::Deadline, error::ApiError};

/// An attack with its place, its images and its time.
pub(crate) struct Job {
    pub frame: Frame,
    pub wanted: Wanted,
    /// `[batch, channels, height, width]`.
    pub images: Array4<f32>,
    pub victim: Metered,
    pub start: Instant,
    pub deadline: Deadline,
    /// Set when the server wants to stop: what runs is answered as it stands.
    pub hurry: Arc<AtomicBool>,
}

/// What is said of an attack once it has a place.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    pub model: String,
    pub version: String,
    pub images: usize,
    pub eps: Vec<String>,
    /// Gradient evaluations at most.
    pub cost: u64,
    /// If it takes all of them, and so do the attacks under way.
    pub predicted_seconds: f64,
}

/// Where an attack stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Seen {
    /// The radius of the attack that was observed last.
    pub eps: String,
    #[serde(flatten)]
    pub progress: Progress,
}

/// The part of the time allowed that is kept for looking at what was found again, and for the answer.
const RESERVE: u32 = 10;

impl Job {
    /// Attacks, and answers for every image and radius, image by image. The latest progress is left in `seen`.
    pub async fn run(self, seen: watch::Sender<Option<Seen>>) -> Result<Vec<Attacked>, ApiError> {
        let Deadline { at, limit } = self.deadline;
        let soft = at.checked_sub(limit / RESERVE);
        let conduct = Conduct {
            until: soft.unwrap_or(at),
            hurry: &self.hurry,
            seen: &seen,
        };
        let radii = self.wanted.attacks.iter().map(|attack| async {
            let watcher = conduct.of(attack);
            let examination = self.examination(attack);
            examine(&self.victim, &examination, &watcher).await
        });
        let examined = tokio::time::timeout_at(at.into(), try_join_all(radii)).await;
        let examined = examined.map_err(|_| ApiError::Timeout(limit))??;
        self.answers(examined)
    }

    fn examination(&self, attack: &AnyAttack) -> Examination {
        let classifier = &self.frame.entry.classifier;
        let count = self.images.shape().first().copied().unwrap_or(0);
        Examination {
            attack: attack.clone(),
            images: self.images.clone(),
            labels: self.wanted.label.map(|label| vec![label; count]),
            target: self.wanted.target,
            halvings: self.wanted.halvings,
            class_names: classifier.class_names().to_vec(),
        }
    }

    /// `examined` holds the images' answers for each radius.
    fn answers(&self, examined: Vec<Vec<Examined>>) -> Result<Vec<Attacked>, ApiError> {
        let unfinished = |one: &Examined| {
            one.report.outcome == Status::Incomplete
                || one.report.min_eps.is_some_and(|found| !found.complete)
        };
        if !self.wanted.partial && examined.iter().flatten().any(unfinished) {
            return Err(ApiError::Timeout(self.deadline.limit));
        }
        let seconds = self.start.elapsed().as_secs_f64();
        let several = self.images.len_of(Axis(0)) > 1;
        let mut radii: Vec<_> = examined.into_iter().map(Vec::into_iter).collect();
        let mut answers = Vec::new();
        for (image, clean) in self.images.outer_iter().enumerate() {
            let place = several.then_some(image);
            for one in radii.iter_mut().filter_map(Iterator::next) {
                answers.push(self.frame.around(one, clean, place, seconds)?);
            }
        }
        Ok(answers)
    }
}

/// Ends attacks when their time is up.
struct Conduct<'a> {
    until: Instant,
    hurry: &'a AtomicBool,
    seen: &'a watch::Sender<Option<Seen>>,
}

impl<'a> Conduct<'a> {
    fn of(&'a self, attack: &AnyAttack) -> Watcher<'a> {
        Watcher {
            conduct: self,
            eps: attack.threat().epsilon,
        }
    }
}

struct Watcher<'a> {
    conduct: &'a Conduct<'a>,
    eps: Epsilon,
}

impl Observer for Watcher<'_> {
    fn observe(&self, progress: Progress) -> ControlFlow<()> {
        let Conduct { until, hurry, seen } = self.conduct;
        seen.send_replace(Some(Seen {
            eps: self.eps.to_string(),
            progress,
        }));
        match hurry.load(Ordering::Relaxed) || Instant::now() >= *until {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
