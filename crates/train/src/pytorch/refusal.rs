//! Why a PyTorch file is refused.

use crate::head::HeadConfig;
use crate::network::NetworkConfig;
use crate::recipe::Recipe;

/// Why a file is not of the recipe's network.
pub(super) fn refusal(
    missing: &[String],
    faults: &[String],
    left_over: &[&str],
    found: Option<&str>,
    recipe: &Recipe,
) -> String {
    let mut parts = Vec::new();
    if !faults.is_empty() {
        parts.push(listed(faults));
    }
    if !missing.is_empty() {
        let quoted: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
        parts.push(format!("missing: {}", listed(&quoted)));
    }
    if !left_over.is_empty() {
        let quoted: Vec<String> = left_over.iter().map(|name| format!("`{name}`")).collect();
        parts.push(format!("left over: {}", listed(&quoted)));
    }
    let bias = left_over.iter().copied().filter(|name| {
        let layer = name.trim_end_matches(".bias");
        ["fc", "linear", "fc3"]
            .iter()
            .any(|fc| layer == *fc || layer.ends_with(&format!(".{fc}")))
            && name.ends_with(".bias")
    });
    let mut remedy = String::new();
    if !matches!(recipe.head, HeadConfig::Linear {}) && bias.count() > 0 {
        remedy = "; the file's last layer has a bias and the recipe's hypersphere head has none: use a recipe with a linear head".to_owned();
    } else if matches!(recipe.head, HeadConfig::Linear {})
        && matches!(missing, [only] if only.ends_with(".bias"))
    {
        remedy = "; the file's last layer has no bias and the recipe's linear head has one; a recipe with a hypersphere head has none, and is right where the network was trained with normalised features and weights".to_owned();
    } else if let Some(found) = found {
        remedy = format!("; by its blocks the file is {found}");
    }
    format!(
        "it is of another network than the recipe's ({}): {}{remedy}",
        describe(&recipe.network, &recipe.head),
        parts.join("; ")
    )
}

fn describe(network: &NetworkConfig, head: &HeadConfig) -> String {
    let network = match network {
        NetworkConfig::SmallCnn { width, .. } => format!("small-cnn of width {width}"),
        NetworkConfig::PreactResnet { depth, .. } => format!("preact-resnet {depth}"),
        NetworkConfig::Resnet { depth } => format!("resnet {depth}"),
        NetworkConfig::WideResnet { depth, width } => format!("WRN-{depth}-{width}"),
    };
    format!("{network}, {head}")
}

/// The first few of them, and how many more there are.
pub(super) fn listed(all: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<&str> = all.iter().take(SHOWN).map(String::as_str).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
