use std::time::Instant;

use buckler_attack::{
    Attack, AttackError, Evaluation, EvaluationProgress, Flag, Progress, SampleError, SampleRecord,
    SampleSource, Victim, evaluate_batch, flags, linearity, probe, smallest_eps, worst_cases,
};

use crate::{Entry, Folder, Measured, Plan, Report, ReportError, Subject, folder::Block};

/// Images that are attacked together, and lost together when the run is killed.
pub(crate) const BLOCK: usize = 128;

/// Where a run stands.
#[derive(Clone, Debug)]
pub struct RunProgress {
    /// The attack under way, from 0.
    pub entry: usize,
    /// The images.
    pub evaluation: EvaluationProgress,
}

/// Measures what the plan says. With a folder, every block of images is kept as soon as it is done, and blocks that are
/// there already are not measured again: the result is that of an uninterrupted run, times aside. No more than one block of
/// images is held at a time.
///
/// `no_gradient` is the reason why the model has no gradients, if it has none.
///
/// # Errors
/// When there are no samples, they cannot be read or do not fit the victim, the victim fails, or a file cannot be read or written.
pub async fn run<V: Victim, S: SampleSource>(
    victim: &V,
    samples: &S,
    plan: &Plan,
    subject: Subject,
    no_gradient: Option<&str>,
    folder: Option<&Folder>,
    on_progress: impl Fn(RunProgress) + Send + Sync,
) -> Result<Report, ReportError> {
    if samples.is_empty() {
        return Err(AttackError::from(SampleError::Empty).into());
    }
    let mut raised = look(victim, samples, no_gradient).await?;
    let mut evaluations = Vec::new();
    for (index, entry) in plan.entries.iter().enumerate() {
        let progress = |evaluation| {
            on_progress(RunProgress {
                entry: index,
                evaluation,
            });
        };
        let prepared = Entry {
            attack: entry.attack.prepare(victim, samples).await?,
            ..*entry
        };
        let runner = Runner {
            victim,
            samples,
            entry: &prepared,
            index,
            folder,
        };
        evaluations.push(runner.run(&progress).await?);
    }
    let mut linearities = Vec::new();
    for pgd in &plan.linearity {
        linearities.push(linearity(victim, samples, pgd).await?);
    }
    let figures: Vec<&Evaluation> = evaluations
        .iter()
        .map(|m: &Measured| &m.evaluation)
        .collect();
    raised.extend(flags(&figures, victim.classes(), no_gradient));
    let report = Report {
        images: samples.len(),
        clean_accuracy: figures.first().map_or(0.0, |first| first.clean_accuracy),
        worst_cases: worst_cases(&figures)?,
        flags: raised,
        linearity: linearities,
        seconds: evaluations.iter().map(|measured| measured.seconds).sum(),
        evaluations,
        subject,
        content_sha256: None,
    };
    report.sealed()
}

/// What the first images tell about the model.
pub(crate) async fn look<V: Victim, S: SampleSource>(
    victim: &V,
    samples: &S,
    no_gradient: Option<&str>,
) -> Result<Vec<Flag>, ReportError> {
    let first = samples.block(0..BLOCK)?;
    first.check(victim).map_err(AttackError::from)?;
    let first = first.with_prediction(victim).await?;
    match first.is_empty() {
        true => Ok(Vec::new()),
        false => Ok(probe(victim, &first, no_gradient.is_none()).await?),
    }
}

/// One attack on all images.
struct Runner<'a, V, S> {
    victim: &'a V,
    samples: &'a S,
    entry: &'a Entry,
    index: usize,
    folder: Option<&'a Folder>,
}

impl<V: Victim, S: SampleSource> Runner<'_, V, S> {
    async fn run(
        &self,
        on_progress: &(impl Fn(EvaluationProgress) + Send + Sync),
    ) -> Result<Measured, ReportError> {
        let mut records: Vec<SampleRecord> = Vec::new();
        let (mut seconds, mut adversarials) = (0.0, Vec::new());
        while records.len() < self.samples.len() {
            let start = records.len();
            let standing = EvaluationProgress::after(&records, self.samples.len());
            let watch = |progress: Progress| {
                on_progress(EvaluationProgress {
                    attack: Some(progress),
                    ..standing
                });
            };
            let block = self.block(start, &watch).await?;
            records.extend(block.records);
            seconds += block.seconds;
            adversarials.extend(block.adversarials);
            on_progress(EvaluationProgress::after(&records, self.samples.len()));
        }
        Ok(Measured {
            evaluation: Evaluation::of(self.entry.parameters(), records),
            seconds,
            adversarials,
        })
    }

    async fn block(
        &self,
        start: usize,
        watch: &(impl Fn(Progress) + Send + Sync),
    ) -> Result<Block, ReportError> {
        if let Some(folder) = self.folder
            && let Some(block) = folder.block((self.index, start), self.victim.input().values())?
        {
            return Ok(block);
        }
        let part = self.samples.block(start..start + BLOCK)?;
        let begun = Instant::now();
        let attack = &self.entry.attack;
        let evaluated = match self.entry.halvings {
            None => evaluate_batch(self.victim, &part, attack, watch).await?,
            Some(halvings) => {
                let largest = self.entry.parameters().eps;
                let attack_at = |eps| attack.clone().with_epsilon(eps);
                smallest_eps(self.victim, &part, largest, halvings, attack_at, watch).await?
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        match self.folder {
            Some(folder) => folder.keep((self.index, start), evaluated, seconds),
            None => Ok(Block {
                records: evaluated.into_iter().map(|e| e.record).collect(),
                seconds,
                adversarials: None,
            }),
        }
    }
}
