use anyhow::Result;
use buckler_train::Recipe;

use crate::output::Output;

/// List the built-in recipes, or print one as TOML
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  buckler recipes\n  buckler recipes mnist-he > mine.toml\n  buckler train mine.toml"
)]
pub struct Args {
    /// The recipe to print
    recipe: Option<String>,
}

pub fn run(args: &Args, output: Output) -> Result<()> {
    if let Some(name) = &args.recipe {
        let recipe = Recipe::find(name)?;
        let text = recipe.to_toml()?;
        return output.print(&recipe, |_| text);
    }
    let recipes = Recipe::built_in()
        .map(Recipe::find)
        .collect::<Result<Vec<_>, _>>()?;
    output.print(&recipes, |recipes| {
        let widest = recipes.iter().map(|recipe| recipe.name.len()).max();
        let width = widest.unwrap_or(0);
        let lines = recipes
            .iter()
            .map(|recipe| format!("{:width$}  {}\n", recipe.name, recipe.description));
        lines.collect()
    })
}
