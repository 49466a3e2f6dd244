//! Which of a model's outputs holds the logits.
use super::{
    View, Wanted,
    candidate::{Candidate, candidate},
    sign,
    way::{depth, joined, last, made_from, yields},
};
use crate::{
    Error,
    proto::ValueInfoProto,
    shape::{self, Dim},
};

/// Outputs that are looked at: a hostile file could have any number.
const MAX_OUTPUTS: usize = 64;

/// Outputs that an error lists.
const MAX_LISTED: usize = 20;

/// The output with the logits.
pub(super) struct Choice<'a> {
    pub output: &'a str,
    pub classes: u64,
    /// Why that one.
    pub reason: String,
    pub assumptions: Vec<String>,
    /// Other outputs of as many classes that are made from it without layers and without a decision.
    pub derived: Vec<&'a str>,
}

/// Chooses as [`inspect`](super::inspect) says; `images` is the first axis of the input.
pub(super) fn choose<'a>(
    view: &View<'a>,
    images: Option<&Dim>,
    wanted: &Wanted,
) -> Result<Choice<'a>, Error> {
    let outputs = || view.graph.output.iter().take(MAX_OUTPUTS);
    let chosen = |candidate: &Candidate<'a>, reason: &str| Choice {
        output: candidate.output,
        classes: candidate.classes,
        reason: reason.into(),
        assumptions: match candidate.distance {
            true => vec![format!(
                "output `{}` is made of lengths of differences, and its largest value is taken for the class: if the nearest class is \
                 meant, export them negated",
                candidate.output.escape_debug()
            )],
            false => vec![],
        },
        derived: vec![],
    };
    let refused = |output: &ValueInfoProto, reason: String| {
        Error::Interface(format!(
            "output `{}` is not logits [batch, classes]: {reason}; the outputs are {}",
            output.name.escape_debug(),
            list(view)
        ))
    };
    if let Some(name) = &wanted.output {
        let output = view.graph.output.iter().find(|output| output.name == *name);
        let output = output.ok_or_else(|| {
            Error::Interface(format!(
                "the model has no output `{}`; its outputs are {}",
                name.escape_debug(),
                list(view)
            ))
        })?;
        let candidate = candidate(view, output, images).map_err(|why| refused(output, why))?;
        return Ok(chosen(&candidate, "chosen by name"));
    }
    let tried: Vec<_> = outputs()
        .map(|output| candidate(view, output, images))
        .collect();
    if let ([Err(why)], Some(output)) = (tried.as_slice(), outputs().next()) {
        return Err(refused(output, why.clone()));
    }
    let mut candidates: Vec<Candidate<'a>> = Vec::new();
    let called = outputs().position(|output| output.name == "logits");
    let unlike = called.and_then(|index| tried.get(index)?.as_ref().err().cloned());
    for candidate in tried.into_iter().flatten() {
        // Logits and their softmax are one choice, and the logits are the better output.
        let twin = candidates
            .iter_mut()
            .find(|known| known.logits == candidate.logits);
        match twin {
            Some(known) => {
                let answered = known.answered || candidate.answered;
                if known.soft && !candidate.soft {
                    *known = candidate;
                }
                known.answered = answered;
            }
            None => candidates.push(candidate),
        }
    }
    let all: Vec<&Candidate<'a>> = candidates.iter().collect();
    if let (true, Some(why), Some(index)) = (all.is_empty(), &unlike, called)
        && let Some(output) = view.graph.output.get(index)
    {
        return Err(refused(output, why.clone()));
    }
    if all.is_empty() {
        return Err(Error::Interface(format!(
            "the model has no output `logits`, and no other float32 output of shape [batch, classes]; the outputs are {}",
            list(view)
        )));
    }
    let named = all.iter().find(|candidate| candidate.output == "logits");
    let (best, reason) = match named {
        Some(logits) => (*logits, "called `logits`".to_owned()),
        None => narrow(view, &all, wanted)?,
    };
    let others: Vec<&Candidate<'a>> = all
        .iter()
        .copied()
        .filter(|other| other.output != best.output)
        .collect();
    let mut choice = chosen(best, &reason);
    if !best.answered {
        let derived = made_from(view, best, &others);
        choice.derived = derived.iter().map(|other| other.output).collect();
    }
    let others: Vec<String> = others
        .iter()
        .map(|other| format!("`{}`", other.output.escape_debug()))
        .collect();
    if let Some(why) = unlike {
        choice.assumptions.push(format!(
            "the logits are not taken from output `logits`: {why}"
        ));
    }
    if others.is_empty() && best.rank == 0 && !best.distance {
        choice.assumptions.push(format!(
            "output `{}` is taken for the logits, since there is no other of shape [batch, classes]: its name is that of something else",
            best.output.escape_debug()
        ));
    }
    if !others.is_empty() && named.is_none() {
        choice.assumptions.push(format!(
            "the logits are taken from output `{}` ({reason}), not from {}; `output` on the card chooses another",
            best.output.escape_debug(),
            others.join(", ")
        ));
    }
    Ok(choice)
}

/// One of several candidates, with the reason.
fn narrow<'c, 'a>(
    view: &View<'a>,
    all: &[&'c Candidate<'a>],
    wanted: &Wanted,
) -> Result<(&'c Candidate<'a>, String), Error> {
    if let [only] = all {
        return Ok((only, "the only one of shape [batch, classes]".into()));
    }
    let mut left = all.to_vec();
    // Others would contradict what is known.
    if let Some(classes) = wanted.classes {
        let wide = |candidate: &&Candidate<'a>| candidate.classes == classes as u64;
        let fitting: Vec<_> = left.iter().copied().filter(wide).collect();
        match fitting.as_slice() {
            [only] => {
                let reason = format!("the only one with as many classes as are named, {classes}");
                return Ok((only, reason));
            }
            [] => (),
            _ => left = fitting,
        }
    }
    left = last(view, &left);
    // What is something else by its name or by how it is computed is not looked at where there is more.
    if left.iter().any(|candidate| candidate.rank > 0) {
        left.retain(|candidate| candidate.rank > 0);
    }
    if let [only] = left.as_slice() {
        let reason = "the other outputs lead to it, or are something else by their names".into();
        return Ok((only, reason));
    }
    if let [only] = joined(view, &left).as_slice() {
        let reason = "others of as many classes are put together in it".into();
        return Ok((only, reason));
    }
    let final_ones: Vec<_> = left
        .iter()
        .copied()
        .filter(|one| !left.iter().any(|other| yields(view, one, other)))
        .collect();
    if let [only] = final_ones.as_slice() {
        let reason = "the other outputs lead to it or are computed from it".into();
        return Ok((only, reason));
    }
    if !final_ones.is_empty() {
        left = final_ones;
    }
    let highest = left.iter().map(|candidate| candidate.rank).max();
    let named: Vec<_> = left
        .iter()
        .copied()
        .filter(|candidate| Some(candidate.rank) == highest)
        .collect();
    let negated = |candidate: &&Candidate<'a>| {
        let origin = sign::origin(view, candidate.logits);
        (origin.tensor, origin.negated)
    };
    let opposite = named.iter().map(negated).any(|(tensor, negated_there)| {
        let mut others = named.iter().map(negated);
        others.any(|other| other == (tensor, !negated_there))
    });
    let soft: Vec<_> = named.iter().filter(|candidate| candidate.soft).collect();
    if let (true, [only]) = (opposite, soft.as_slice()) {
        let reason = "it holds probabilities, and another the negation of their logits".into();
        return Ok((only, reason));
    }
    match named.as_slice() {
        // Of the two, one is right for no image.
        _ if opposite => Err(Error::AmbiguousOutput(list(view))),
        [only] => Ok((only, "by its name".into())),
        [first, others @ ..] if others.iter().all(|other| other.classes == first.classes) => {
            let depths: Vec<usize> = named.iter().map(|one| depth(view, one)).collect();
            let most = depths.iter().max();
            let deepest = named.iter().zip(&depths);
            let deepest: Vec<_> = deepest.filter(|(_, depth)| Some(*depth) == most).collect();
            let classes = first.classes;
            Ok(match deepest.as_slice() {
                // Exits on the way know less than the last one.
                [(deepest, _)] => (
                    deepest,
                    format!("behind more layers than the others with {classes} classes"),
                ),
                _ => (
                    first,
                    format!("the first of several with {classes} classes"),
                ),
            })
        }
        _ => Err(Error::AmbiguousOutput(list(view))),
    }
}

/// All outputs with their types and shapes.
fn list(view: &View<'_>) -> String {
    let outputs = view.outputs();
    let shown = outputs.iter().take(MAX_LISTED).map(|output| {
        let shape = output.shape.as_deref().map(shape::display);
        let shape = shape.unwrap_or_else(|| "of unknown shape".into());
        format!("`{}` {} {shape}", output.name.escape_debug(), output.dtype)
    });
    let more = outputs.len().saturating_sub(MAX_LISTED);
    let more = (more > 0).then(|| format!("and {more} more"));
    shown.chain(more).collect::<Vec<_>>().join(", ")
}
