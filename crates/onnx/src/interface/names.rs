//! What the names of outputs tell.

/// Parts of names that exporters give to logits or probabilities.
const CLASS_NAMES: &[&str] = &[
    "logit", "output", "prob", "score", "class", "cls", "pred", "softmax",
];

/// Parts of names that they give to other tensors.
const OTHER_NAMES: &[&str] = &[
    "embed",
    "feat",
    "landmark",
    "heatmap",
    "reconstr",
    "offset",
    "teacher",
    "attribute",
    "varian",
    "stddev",
    "log_var",
    "logvar",
    "uncert",
    "gate",
    "capsule",
    "pool",
    "hidden",
    "aux",
    "repr",
    "latent",
    "proj",
    "box",
    "mask",
    "loss",
    "attention",
    "keypoint",
    "quality",
    "weight",
    "energ",
    "distance",
    "nll",
    "cost",
    "error",
];

/// Higher for what sounds like logits.
pub(super) fn rank(name: &str) -> u8 {
    let name = name.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    match (has(OTHER_NAMES), has(CLASS_NAMES)) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 2,
    }
}
