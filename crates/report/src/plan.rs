use buckler_attack::{AnyAttack, Attack, Parameters, Pgd};

/// The option that says how often the radius of each image was halved.
pub(crate) const HALVINGS: &str = "halvings";

/// What is to be measured, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The attacks.
    pub entries: Vec<Entry>,
    /// Balls in which the loss's rise is compared with what the gradient predicts; looked at after all attacks.
    pub linearity: Vec<Pgd>,
}

/// One attack at one radius, or at the smallest radius that breaks each image.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The attack, checked.
    pub attack: AnyAttack,
    /// Bisect each image's smallest radius, that many times; the attack's radius is then the largest tried.
    pub halvings: Option<u32>,
}

impl Entry {
    /// All that names the figure.
    pub fn parameters(&self) -> Parameters {
        let mut parameters = self.attack.parameters();
        if let Some(halvings) = self.halvings {
            let options = &mut parameters.options;
            options.insert(HALVINGS.to_owned(), halvings.into());
        }
        parameters
    }
}
