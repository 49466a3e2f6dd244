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
    "capsule",
    "hidden",
    "aux",
    "repr",
    "latent",
    "loss",
    "attention",
    "keypoint",
    "quality",
    "energ",
    "distance",
    "nll",
];

/// The same, as whole words: as parts of words they are common.
const OTHER_WORDS: &[&str] = &[
    "bbox",
    "bboxes",
    "box",
    "boxes",
    "cost",
    "costs",
    "error",
    "errors",
    "gap",
    "gate",
    "gates",
    "mask",
    "masks",
    "pool",
    "pooled",
    "pooler",
    "pooling",
    "proj",
    "projected",
    "projection",
    "projections",
    "sigma",
    "std",
    "var",
    "weight",
    "weights",
];

/// Higher for what sounds like logits.
pub(super) fn rank(name: &str) -> u8 {
    let name = name.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let mut words = name.split(|c: char| !c.is_ascii_alphabetic());
    let other = has(OTHER_NAMES) || words.any(|word| OTHER_WORDS.contains(&word));
    match (other, has(CLASS_NAMES)) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_things_are_told_from_names_that_only_look_like_them() {
        for name in [
            "pooler_output",
            "pred_boxes",
            "bbox",
            "projection",
            "attn_weights",
            "std",
            "kd_loss",
            "output_gate",
        ] {
            assert_eq!(rank(name), 0, "{name}");
        }
        for name in [
            "aggregated_logits",
            "weighted_scores",
            "output",
            "softmax_1",
            "classes",
        ] {
            assert_eq!(rank(name), 2, "{name}");
        }
        for name in ["z", "472", "inboxed", "standard"] {
            assert_eq!(rank(name), 1, "{name}");
        }
    }
}
