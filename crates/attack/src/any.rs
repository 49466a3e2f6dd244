use std::fmt;

use crate::{
    Apgd, Attack, AttackError, AutoAttack, CarliniWagner, DeepFool, Epsilon, Fab, FeatureAttack,
    Fgsm, Mim, MultiTargeted, Observer, Outcome, Parameters, Pgd, SampleSource, Samples, Spsa,
    Square, Threat, Victim,
};

/// An attack chosen at run time, ready to run. Displayed as its description.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyAttack {
    /// The fast gradient sign method.
    Fgsm(Fgsm),
    /// Projected gradient descent.
    Pgd(Pgd),
    /// The momentum iterative method.
    Mim(Mim),
    /// Auto-PGD.
    Apgd(Apgd),
    /// The fast adaptive boundary attack.
    Fab(Fab),
    /// Random squares.
    Square(Square),
    /// Carlini and Wagner's.
    CarliniWagner(CarliniWagner),
    /// DeepFool.
    DeepFool(DeepFool),
    /// Projected gradient descent towards every other class.
    MultiTargeted(MultiTargeted),
    /// Features drawn towards those of other classes; to be prepared before it runs.
    Feature(FeatureAttack),
    /// Estimated gradients.
    Spsa(Spsa),
    /// Several of these.
    AutoAttack(AutoAttack),
}

/// The same expression for whichever attack it is.
macro_rules! each {
    ($attack:expr, $name:ident => $result:expr) => {
        match $attack {
            AnyAttack::Fgsm($name) => $result,
            AnyAttack::Pgd($name) => $result,
            AnyAttack::Mim($name) => $result,
            AnyAttack::Apgd($name) => $result,
            AnyAttack::Fab($name) => $result,
            AnyAttack::Square($name) => $result,
            AnyAttack::CarliniWagner($name) => $result,
            AnyAttack::DeepFool($name) => $result,
            AnyAttack::MultiTargeted($name) => $result,
            AnyAttack::Feature($name) => $result,
            AnyAttack::Spsa($name) => $result,
            AnyAttack::AutoAttack($name) => $result,
        }
    };
}

impl AnyAttack {
    /// The same attack in a ball of another radius. A step length that was given stays, one that follows from the radius
    /// follows.
    pub fn with_epsilon(mut self, epsilon: Epsilon) -> Self {
        let threat = match &mut self {
            AnyAttack::MultiTargeted(attack) => &mut attack.pgd.threat,
            AnyAttack::Fgsm(attack) => &mut attack.threat,
            AnyAttack::Pgd(attack) => &mut attack.threat,
            AnyAttack::Mim(attack) => &mut attack.threat,
            AnyAttack::Apgd(attack) => &mut attack.threat,
            AnyAttack::Fab(attack) => &mut attack.threat,
            AnyAttack::Square(attack) => &mut attack.threat,
            AnyAttack::CarliniWagner(attack) => &mut attack.threat,
            AnyAttack::DeepFool(attack) => &mut attack.threat,
            AnyAttack::Spsa(attack) => &mut attack.threat,
            AnyAttack::Feature(attack) => &mut attack.threat,
            AnyAttack::AutoAttack(attack) => &mut attack.threat,
        };
        threat.epsilon = epsilon;
        self
    }
}

impl fmt::Display for AnyAttack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parameters().fmt(f)
    }
}

impl Attack for AnyAttack {
    fn name(&self) -> &'static str {
        each!(self, attack => attack.name())
    }

    fn threat(&self) -> Threat {
        each!(self, attack => attack.threat())
    }

    fn parameters(&self) -> Parameters {
        each!(self, attack => attack.parameters())
    }

    fn most_queries(&self, classes: usize) -> u64 {
        each!(self, attack => attack.most_queries(classes))
    }

    async fn prepare<V: Victim, S: SampleSource>(
        &self,
        victim: &V,
        pool: &S,
    ) -> Result<Self, AttackError> {
        match self {
            AnyAttack::Feature(attack) => attack.prepare(victim, pool).await.map(Self::Feature),
            attack => Ok(attack.clone()),
        }
    }

    async fn run<V: Victim, O: Observer>(
        &self,
        victim: &V,
        samples: &Samples,
        observer: &O,
    ) -> Result<Vec<Outcome>, AttackError> {
        each!(self, attack => attack.run(victim, samples, observer).await)
    }
}
