use std::fmt;

use crate::{
    Attack, AttackError, Fgsm, Observer, Outcome, Parameters, Pgd, Samples, Threat, Victim,
};

/// An attack chosen at run time, ready to run. Displayed as its description.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyAttack {
    /// The fast gradient sign method.
    Fgsm(Fgsm),
    /// Projected gradient descent.
    Pgd(Pgd),
}

impl fmt::Display for AnyAttack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parameters().fmt(f)
    }
}

impl Attack for AnyAttack {
    fn name(&self) -> &'static str {
        match self {
            AnyAttack::Fgsm(attack) => attack.name(),
            AnyAttack::Pgd(attack) => attack.name(),
        }
    }

    fn threat(&self) -> Threat {
        match self {
            AnyAttack::Fgsm(attack) => attack.threat(),
            AnyAttack::Pgd(attack) => attack.threat(),
        }
    }

    fn parameters(&self) -> Parameters {
        match self {
            AnyAttack::Fgsm(attack) => attack.parameters(),
            AnyAttack::Pgd(attack) => attack.parameters(),
        }
    }

    async fn run<V: Victim, O: Observer>(
        &self,
        victim: &V,
        samples: &Samples,
        observer: &O,
    ) -> Result<Vec<Outcome>, AttackError> {
        match self {
            AnyAttack::Fgsm(attack) => attack.run(victim, samples, observer).await,
            AnyAttack::Pgd(attack) => attack.run(victim, samples, observer).await,
        }
    }
}
