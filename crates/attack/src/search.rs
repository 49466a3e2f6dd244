//! Runs a search on every image at once.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use crate::{
    Attack, AttackError, Objective, ObjectiveKind, Observer, Outcome, Parameters, Progress,
    SampleError, Samples, Victim,
    case::Case,
    desk::{Answer, Desk, Level, Plan, Question, Standing, Stop},
    query::Queries,
};

/// An attack, written for one image. Whatever it asks goes through the case; it waits for nothing else.
pub(crate) trait Search: Attack {
    /// What the points of an image are compared by.
    fn judge(&self) -> ObjectiveKind;

    /// Rows per query at most.
    fn max_batch(&self) -> usize;

    /// How far it can come on an image.
    fn plan(&self, _case: &Case) -> Plan {
        let Parameters {
            restarts, steps, ..
        } = self.parameters();
        Plan { restarts, steps }
    }

    /// Checks that it has all it needs to attack the samples.
    fn check(&self, _samples: &Samples) -> Result<(), SampleError> {
        Ok(())
    }

    /// Searches. Ends with [`Stop::Found`] as soon as the goal is reached.
    fn search(&self, case: &mut Case) -> impl Future<Output = Result<(), Stop>> + Send;
}

/// The product of numbers of rows.
pub(crate) fn count(factors: &[usize]) -> u64 {
    let factors = factors
        .iter()
        .map(|&factor| u64::try_from(factor).unwrap_or(u64::MAX));
    factors.fold(1, u64::saturating_mul)
}

type Task<'a> = Pin<Box<dyn Future<Output = Case> + Send + 'a>>;

/// An image whose search is under way, or done.
enum Place<'a> {
    Open(Desk, Task<'a>),
    Done(Box<Case>),
}

impl Place<'_> {
    fn open(&self) -> Option<&Desk> {
        match self {
            Place::Open(desk, _) => Some(desk),
            Place::Done(_) => None,
        }
    }

    /// Lets the search go on until its next question, or its end.
    fn advance(&mut self) {
        if let Place::Open(_, task) = self
            && let Poll::Ready(case) = task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            *self = Place::Done(Box::new(case));
        }
    }
}

/// Judges the clean images and searches from all that are not broken as they are. In every round, the questions of all open
/// searches are put to the victim together; images that are done leave.
pub(crate) async fn run<S: Search, V: Victim, O: Observer>(
    search: &S,
    victim: &V,
    samples: &Samples,
    observer: &O,
) -> Result<Vec<Outcome>, AttackError> {
    samples.check(victim)?;
    search.check(samples)?;
    let queries = Queries::new(victim, search.max_batch());
    let cases = cases(search.judge(), &queries, victim, samples).await?;
    // A ball without radius holds the clean image alone, which has just been judged.
    let empty = search.threat().epsilon.value() <= 0.0;
    let mut places: Vec<Place<'_>> = cases
        .into_iter()
        .map(|mut case| {
            if empty {
                case.close();
            }
            case.expect(search.plan(&case));
            match case.is_open() {
                true => Place::Open(case.desk().clone(), Box::pin(task(search, case))),
                false => Place::Done(Box::new(case)),
            }
        })
        .collect();
    let parameters = search.parameters();
    let wants_more = |places: &[Place<'_>], asked| {
        let progress = progress(&parameters, places, asked);
        observer.observe(progress).is_continue()
    };
    let mut more = empty || wants_more(&places, None);
    places.iter_mut().for_each(Place::advance);
    while places.iter().any(|place| place.open().is_some()) {
        if more {
            let desks: Vec<Desk> = places.iter().filter_map(Place::open).cloned().collect();
            let asked = round(&queries, &desks).await?;
            if asked.is_none() {
                return Err(AttackError::Stalled(search.name()));
            }
            places.iter_mut().for_each(Place::advance);
            more = wants_more(&places, asked);
        } else {
            let open = places.iter().filter_map(Place::open);
            open.for_each(|desk| desk.answer(Answer::Stopped));
            places.iter_mut().for_each(Place::advance);
        }
    }
    let outcomes = places.into_iter().filter_map(|place| match place {
        Place::Done(case) => Some(case.into_outcome()),
        Place::Open(..) => None,
    });
    Ok(outcomes.collect())
}

async fn cases<V: Victim>(
    judge: ObjectiveKind,
    queries: &Queries<'_, V>,
    victim: &V,
    samples: &Samples,
) -> Result<Vec<Case>, AttackError> {
    let origins = samples.flat();
    let points: Vec<&[f32]> = origins.iter().map(Vec::as_slice).collect();
    let logits = queries.logits(&points).await?;
    let wanted = samples
        .goals()
        .into_iter()
        .zip(samples.labels.iter().copied());
    origins
        .into_iter()
        .zip(logits)
        .zip(samples.ids.iter().zip(wanted))
        .map(|((origin, logits), (&id, wanted))| {
            Case::new(id, wanted, judge, victim.input(), origin, logits)
        })
        .collect()
}

async fn task<S: Search>(search: &S, mut case: Case) -> Case {
    let end = search.search(&mut case).await;
    case.settle(search.threat());
    if end.is_ok() {
        case.close();
    }
    case
}

/// Puts the questions of all open searches to the victim; answers with how far the furthest of those that asked was, and
/// `None` when none did: nothing would ever wake them.
async fn round<V: Victim>(
    queries: &Queries<'_, V>,
    desks: &[Desk],
) -> Result<Option<Standing>, AttackError> {
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    let mut asked: Option<Standing> = None;
    for desk in desks {
        match desk.take_question() {
            Some(Question::Logits(points)) => forward.push((desk, points)),
            Some(Question::Slopes(points)) => backward.push((desk, points)),
            None => continue,
        }
        let standing = desk.standing();
        let further =
            |asked: &Standing| (standing.restart, standing.step) >= (asked.restart, asked.step);
        if asked.as_ref().is_none_or(further) {
            asked = Some(standing);
        }
    }
    let points: Vec<&[f32]> = forward
        .iter()
        .flat_map(|(_, points)| points.iter().map(Vec::as_slice))
        .collect();
    let mut logits = queries.logits(&points).await?.into_iter();
    for (desk, points) in &forward {
        desk.answer(Answer::Logits(logits.by_ref().take(points.len()).collect()));
    }
    let (points, objectives): (Vec<&[f32]>, Vec<Objective>) = backward
        .iter()
        .flat_map(|(_, points)| points)
        .map(|(point, objective)| (point.as_slice(), objective.clone()))
        .unzip();
    let mut slopes = queries.slopes(&points, &objectives).await?.into_iter();
    for (desk, points) in &backward {
        desk.answer(Answer::Slopes(slopes.by_ref().take(points.len()).collect()));
    }
    Ok(asked)
}

fn progress(parameters: &Parameters, places: &[Place<'_>], asked: Option<Standing>) -> Progress {
    let asked = asked.unwrap_or_else(|| Standing {
        plan: Plan {
            restarts: parameters.restarts,
            steps: parameters.steps,
        },
        ..Standing::default()
    });
    let held = places.iter().filter_map(|place| match place {
        Place::Open(desk, _) => Some(desk.standing().best),
        Place::Done(case) => case.is_held().then(|| case.desk().standing().best),
    });
    let held: Vec<Level> = held.collect();
    let best = held
        .iter()
        .copied()
        .reduce(|best, next| if next.loss > best.loss { next } else { best });
    Progress {
        step: asked.step,
        steps: asked.plan.steps,
        restart: asked.restart,
        restarts: asked.plan.restarts,
        broken: places.len() - held.len(),
        remaining: held.len(),
        best_loss: best.map(|best| best.loss),
        margin: best.map(|best| best.margin),
        confidence: best.map(|best| best.confidence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gradient, InputSpec, Norm, Threat, VictimError};
    use ndarray::{Array2, Array4};

    /// A search that waits for something that never comes.
    #[derive(Clone)]
    struct Waiting;

    fn whole() -> Threat {
        Threat {
            norm: Norm::Linf,
            epsilon: crate::Epsilon::whole(1),
        }
    }

    impl Attack for Waiting {
        fn name(&self) -> &'static str {
            "waiting"
        }

        fn threat(&self) -> Threat {
            whole()
        }

        fn parameters(&self) -> Parameters {
            Parameters::new(self.name(), whole(), 1, 0)
        }

        fn most_queries(&self, _: usize) -> u64 {
            1
        }

        async fn run<V: Victim, O: Observer>(
            &self,
            victim: &V,
            samples: &Samples,
            observer: &O,
        ) -> Result<Vec<Outcome>, AttackError> {
            run(self, victim, samples, observer).await
        }
    }

    impl Search for Waiting {
        fn judge(&self) -> ObjectiveKind {
            ObjectiveKind::Margin
        }

        fn max_batch(&self) -> usize {
            1
        }

        async fn search(&self, _: &mut Case) -> Result<(), Stop> {
            std::future::pending().await
        }
    }

    struct Constant;

    impl Victim for Constant {
        fn input(&self) -> InputSpec {
            InputSpec {
                channels: 1,
                height: 1,
                width: 1,
            }
        }

        fn classes(&self) -> usize {
            2
        }

        async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
            let rows = images.dim().0;
            Ok(Array2::from_shape_fn((rows, 2), |(_, class)| class as f32))
        }

        async fn gradient(
            &self,
            _: Array4<f32>,
            _: Vec<Objective>,
        ) -> Result<Gradient, VictimError> {
            Err(VictimError::Closed)
        }
    }

    #[tokio::test]
    async fn a_search_that_waits_for_no_answer_ends_with_an_error() {
        let samples = Samples::new(Array4::zeros((1, 1, 1, 1)), vec![1]);
        let error = Waiting.run(&Constant, &samples, &()).await.unwrap_err();
        assert!(matches!(error, AttackError::Stalled("waiting")), "{error}");
    }
}
