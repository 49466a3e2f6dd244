//! The parameters of the routes that take images, as their documents say them: in the query, as multipart fields and as JSON
//! members alike.
#![expect(
    dead_code,
    reason = "requests are read by name; the document alone reads these"
)]
use buckler_attack::{AttackKind, Norm, ObjectiveKind};
use utoipa::IntoParams;

/// For `POST /predict`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PredictParameters {
    /// The model; without it the server's default.
    #[param(example = "halves")]
    model: Option<String>,
    /// How many of the most probable classes are listed.
    #[param(default = 5, minimum = 0)]
    top_k: Option<u64>,
    /// The colour under transparent pixels, with or without `#`; by default that of the model's card, else black.
    #[param(example = "#ffffff", pattern = "^#?[0-9A-Fa-f]{6}$")]
    background: Option<String>,
}

/// For `POST /attack`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AttackParameters {
    /// The model; without it the server's default.
    #[param(example = "halves")]
    model: Option<String>,
    /// Which attack, `pgd` by default; `/attacks` lists what each takes.
    #[param(inline)]
    attack: Option<AttackKind>,
    /// The norm that bounds the perturbation; by default the attack's first.
    #[param(inline)]
    norm: Option<Norm>,
    /// The radius in pixel units, as a fraction or a number, or several with commas between; by default `8/255` for `linf`, `128/255`
    /// for `l2`, `12` for `l1`. JSON takes a number and a list as well.
    #[param(example = "8/255")]
    eps: Option<String>,
    /// Searches the smallest radius that fools the model, from `eps` downwards.
    #[param(default = false)]
    min_eps: Option<bool>,
    /// Steps per restart, or queries of attacks without gradients, up to the server's limit; by default the attack's own.
    #[param(minimum = 1, example = 20)]
    steps: Option<u64>,
    /// The length of a step in pixel units, over 0; by default `2.5 eps / steps`.
    #[param(example = "2/255")]
    step_size: Option<String>,
    /// Restarts at most, up to the server's limit; 1 for most attacks.
    #[param(minimum = 1, example = 1)]
    restarts: Option<u64>,
    /// The loss to climb; `cross_entropy` by default.
    #[param(inline)]
    objective: Option<ObjectiveKind>,
    /// Variants of `mim`: some of `ni`, `di` and `ti`, with commas between.
    #[param(pattern = "^(ni|di|ti)(,(ni|di|ti))*$")]
    variants: Option<String>,
    /// The seed of all that is drawn: the same seed gives the same answer.
    #[param(default = 0, minimum = 0)]
    seed: Option<u64>,
    /// The class to reach, by name or number; any other than the label where it is left out.
    target: Option<String>,
    /// The class to leave, by name or number; the predicted one where it is left out.
    label: Option<String>,
    /// Whether an attack that runs out of time is answered with what it has, or with 504.
    #[param(default = true)]
    partial: Option<bool>,
    /// Adds the clean and the adversarial image to the answer.
    #[param(inline)]
    r#return: Option<Return>,
    /// The colour under transparent pixels, with or without `#`; by default that of the model's card, else black.
    #[param(example = "#ffffff", pattern = "^#?[0-9A-Fa-f]{6}$")]
    background: Option<String>,
}

/// What else the answer holds.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
enum Return {
    Image,
}

/// The adversarial image as a file.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct Png(Vec<u8>);

/// For `POST /certify`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CertifyParameters {
    /// The model; without it the server's default.
    #[param(example = "halves")]
    model: Option<String>,
    /// The standard deviation of the noise, in pixel units.
    #[param(default = 0.25, exclusive_minimum = 0)]
    sigma: Option<f64>,
    /// Draws that choose the class.
    #[param(default = 100, minimum = 1)]
    n0: Option<u64>,
    /// Draws that bound its probability.
    #[param(default = 10000, minimum = 1)]
    n: Option<u64>,
    /// The probability with which a certificate may be wrong.
    #[param(default = 0.001, exclusive_minimum = 0, exclusive_maximum = 1)]
    alpha: Option<f64>,
    /// The seed of all that is drawn.
    #[param(default = 0, minimum = 0)]
    seed: Option<u64>,
    /// The colour under transparent pixels, with or without `#`; by default that of the model's card, else black.
    #[param(example = "#ffffff", pattern = "^#?[0-9A-Fa-f]{6}$")]
    background: Option<String>,
}
