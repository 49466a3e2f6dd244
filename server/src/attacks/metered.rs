use buckler_attack::{Gradient, InputSpec, Objective, Victim, VictimError};
use buckler_runtime::Attacker;
use metrics::Counter;
use ndarray::{Array2, Array4};

use super::Ticket;
use crate::auth::Payment;

/// A victim whose queries are noted on the attack's ticket and counted.
pub(crate) struct Metered {
    pub victim: Attacker,
    pub ticket: Ticket,
    pub payment: Payment,
    /// All that was ever asked of the model.
    pub evaluations: Counter,
}

impl Metered {
    fn note(&self, images: &Array4<f32>) {
        let rows = images.shape().first().copied().unwrap_or(0);
        self.ticket.spend(rows);
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.payment.spend(rows);
        self.evaluations.increment(rows);
    }
}

impl Victim for Metered {
    fn input(&self) -> InputSpec {
        self.victim.input()
    }

    fn classes(&self) -> usize {
        self.victim.classes()
    }

    async fn logits(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        self.note(&images);
        self.victim.logits(images).await
    }

    async fn gradient(
        &self,
        images: Array4<f32>,
        objectives: Vec<Objective>,
    ) -> Result<Gradient, VictimError> {
        self.note(&images);
        self.victim.gradient(images, objectives).await
    }

    fn depends_on_batch(&self) -> bool {
        self.victim.depends_on_batch()
    }

    fn features(&self) -> Option<usize> {
        self.victim.features()
    }

    async fn features_of(&self, images: Array4<f32>) -> Result<Array2<f32>, VictimError> {
        self.note(&images);
        self.victim.features_of(images).await
    }
}
