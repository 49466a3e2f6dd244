use crate::{AttackError, Observer, Outcome, Parameters, SampleSource, Samples, Threat, Victim};

/// A search for adversarial images, written as an async function over a victim.
///
/// Everything an attack computes between two queries is cheap; every query goes through the victim, which is free to
/// merge it with those of other attacks. Dropping the future ends the attack at its current query.
pub trait Attack: Clone + Send + Sync {
    /// The name used in configurations, reports and on the command line.
    fn name(&self) -> &'static str;

    /// The perturbations it searches.
    fn threat(&self) -> Threat;

    /// All that is needed to run it again.
    fn parameters(&self) -> Parameters;

    /// The rows that one image asks the victim for at most, with or without gradient, in a model of so many classes.
    fn most_queries(&self, classes: usize) -> u64;

    /// One line that names the attack and its parameters, for cards and reports.
    fn describe(&self) -> String {
        self.parameters().to_string()
    }

    /// The attack with whatever it takes from a data set before it can run; almost all take nothing and come back as they are.
    ///
    /// `pool` are all the images at hand. What is taken depends on them, whatever their order, and on the seed.
    ///
    /// # Errors
    /// When the pool does not fit the victim or lacks what the attack needs, or the victim fails.
    fn prepare<V: Victim, S: SampleSource>(
        &self,
        _victim: &V,
        _pool: &S,
    ) -> impl Future<Output = Result<Self, AttackError>> + Send {
        std::future::ready(Ok(self.clone()))
    }

    /// Attacks every sample; one outcome each, in their order. A sample's outcome depends on its image, label, target
    /// and id alone, given the seed and a victim whose rows do not depend on each other.
    ///
    /// Images that already satisfy the goal (misclassified, or predicted as the target) cost their clean forward pass
    /// and nothing else.
    ///
    /// # Errors
    /// When the samples do not fit the victim, a clean image has no finite logits, the attack lacks what [`Attack::prepare`] would
    /// have taken, or the victim fails.
    fn run<V: Victim, O: Observer>(
        &self,
        victim: &V,
        samples: &Samples,
        observer: &O,
    ) -> impl Future<Output = Result<Vec<Outcome>, AttackError>> + Send;
}
