//! Where the searches on single images leave their questions, so that they can be put to the victim together.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use crate::{Objective, query::Slope};

/// What a search wants to know of some points, each a flat image.
pub(crate) enum Question {
    Logits(Vec<Vec<f32>>),
    Slopes(Vec<(Vec<f32>, Objective)>),
}

pub(crate) enum Answer {
    Logits(Vec<Vec<f32>>),
    Slopes(Vec<Slope>),
    /// Whoever watches the attack wants no more of it.
    Stopped,
}

/// Why a search ends before everything was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It reached its goal.
    Found,
    /// Whoever watches wants no more.
    Stopped,
}

/// How far a search has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Standing {
    pub restart: usize,
    pub step: usize,
    pub plan: Plan,
    pub best: Level,
}

/// How far a search can come on one image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Restarts in all, those towards each of several targets included.
    pub restarts: usize,
    /// Steps in the restart under way.
    pub steps: usize,
}

/// How far a point is from its goal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Level {
    pub loss: f32,
    /// The difference of logits that decides: from 0 on the goal is reached.
    pub margin: f32,
    /// The probability of the class to leave.
    pub confidence: f32,
}

#[derive(Default)]
struct Slot {
    question: Option<Question>,
    answer: Option<Answer>,
    standing: Standing,
}

/// The place of one search at the desk.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<Slot>>);

impl Desk {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The logits at some points.
    pub(crate) async fn logits(&self, points: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, Stop> {
        match self.ask(Question::Logits(points)).await {
            Answer::Logits(logits) => Ok(logits),
            _ => Err(Stop::Stopped),
        }
    }

    /// Logits and gradients at some points.
    pub(crate) async fn slopes(
        &self,
        points: Vec<(Vec<f32>, Objective)>,
    ) -> Result<Vec<Slope>, Stop> {
        match self.ask(Question::Slopes(points)).await {
            Answer::Slopes(slopes) => Ok(slopes),
            _ => Err(Stop::Stopped),
        }
    }

    async fn ask(&self, question: Question) -> Answer {
        self.slot().question = Some(question);
        // Nobody has to be woken: every search is looked at after every round of answers.
        poll_fn(|_| match self.slot().answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }

    pub(crate) fn take_question(&self) -> Option<Question> {
        self.slot().question.take()
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.slot().answer = Some(answer);
    }

    pub(crate) fn standing(&self) -> Standing {
        self.slot().standing
    }

    pub(crate) fn stand(&self, update: impl FnOnce(&mut Standing)) {
        update(&mut self.slot().standing);
    }
}
