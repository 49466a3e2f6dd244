//! A model with everything that is decided about it before it is run: the one place for predictions, gradients and certificates.
use buckler_onnx::{
    Card, ChannelOrder, Error, ImageInput, Interface, MAX_ACTIVATION_BYTES, Model, Origin, Reading,
    Wanted, activation_bytes, classifier_graph, fix_batch, fix_image_size, inspect,
};
use ort::session::Session;

use super::{LoadOptions, adapt, assumptions, form::Form, look};
use crate::{
    RuntimeError,
    engine::Lane,
    session::{self, Graph},
};

/// Values of the images of one batch: 512 MiB.
const MAX_INPUT_VALUES: usize = 1 << 27;

/// Nodes of a graph: with many more a session takes minutes to open, and its gradient graph has three times as many.
const MAX_NODES: usize = 1 << 15;

/// Outputs made from the logits that are looked at.
const MAX_DERIVED: usize = 4;

/// A model as it is run.
pub(super) struct Opened {
    pub card: Option<Card>,
    /// With sizes and batch as they are run, and all of its own outputs.
    pub whole: Model,
    /// From the image to logits `[batch, classes]`.
    pub runs: Model,
    /// Whether that differs from what the file holds.
    pub changed: bool,
    pub interface: Interface,
    pub form: Form,
    pub origin: Origin,
    /// The size of a batch that cannot be freed.
    pub fixed: Option<usize>,
    /// Whether a row's answer depends on the others of its batch.
    pub alone: bool,
    /// Rows that are run together at most, as far as memory is concerned.
    pub max_batch: usize,
    /// Open on the graph that is run, for the first who needs it.
    pub session: Option<Session>,
    pub class_names: Vec<String>,
    /// What was decided and assumed, one sentence each.
    pub assumptions: Vec<String>,
}

/// Decides everything about a model; `card` is the one beside it, which yields to the one inside it.
pub(super) fn open(
    model: &Model,
    card: Option<Card>,
    options: &LoadOptions,
) -> Result<Opened, RuntimeError> {
    open_at(model, card, options, false)
}

/// As [`open`], of a model whose file has `left_open` the batch that is fixed here.
fn open_at(
    model: &Model,
    card: Option<Card>,
    options: &LoadOptions,
    left_open: bool,
) -> Result<Opened, RuntimeError> {
    let nodes = model.graph().node.len();
    if nodes > MAX_NODES {
        return Err(RuntimeError::Unsupported {
            what: "graph",
            expected: format!("one of at most {MAX_NODES} nodes"),
            got: format!("one of {nodes}: use a smaller network"),
        });
    }
    let card_beside = card.clone();
    let (inside, beside) = (model.card()?, card);
    let differing = inside.as_ref().zip(beside.as_ref());
    let differing = differing.map(|(inside, beside)| inside.differences(beside));
    let card = inside.or(beside);
    let wanted = wanted(card.as_ref(), options);
    let by_card = |error| stated_by_card(error, card.as_ref(), options);
    let sized = fix_image_size(model, &wanted).map_err(by_card)?;
    let mut changed = sized.is_some();
    let sized = sized.unwrap_or_else(|| model.clone());
    // Before a session computes anything.
    let rows = max_rows(&sized)?;
    let by_card = |error| stated_by_card(error, card.as_ref(), options);
    let (sized, interface, image) = decided(sized, &wanted).map_err(by_card)?;
    let size = changed.then_some((image.height, image.width));

    let values = image.row.iter().product::<usize>().max(1);
    let rows = rows.min((MAX_INPUT_VALUES / values).max(1));
    let (whole, batch) = adapt::open_batch(
        sized,
        &interface.output,
        options.threads,
        left_open,
        MAX_INPUT_VALUES / values,
    );
    changed |= batch.is_some();
    let mut interface = match batch {
        Some(_) => inspect(&whole, &wanted)?,
        None => interface,
    };
    let mut form = classifier_graph(&whole, &interface)?;

    let order = channel_order(card.as_ref(), options);
    let normalization = options.normalization.as_ref().or_else(|| {
        let input = card.as_ref().map(|card| &card.input);
        input.and_then(|input| input.normalization.as_ref())
    });
    let input =
        Form::new(&image, normalization, order.unwrap_or_default()).map_err(|error| {
            match (error, &options.normalization) {
                (RuntimeError::Normalization(error), None) => {
                    RuntimeError::CardNormalization(error)
                }
                (error, _) => error,
            }
        })?;

    let fixed = interface.shape.first().and_then(buckler_onnx::Dim::known);
    let fixed = fixed.and_then(|size| usize::try_from(size).ok());
    let runs = form.as_ref().unwrap_or(&whole);
    let placement = options.placement(Lane::Predict);
    let origin = interface.origin(model, size);
    let session = session::open(&runs.to_bytes(), placement)?;
    let mut graph = Graph::bare(session, &origin.logits)?;
    let seen = match look::at(&mut graph, &input, fixed, interface.reading, rows) {
        Ok(seen) => seen,
        Err(error @ RuntimeError::Slow { .. }) => return Err(error),
        Err(error) => return one_by_one(model, card_beside, options).unwrap_or(Err(error)),
    };
    let mut session = Some(graph.into_session());
    look::check_finite(&seen, &interface)?;
    look::check_sign(&seen, &interface)?;
    if let Some(own) = own_probabilities(&whole, &interface, (&input, fixed, rows), &seen, options)
    {
        let chosen = LoadOptions {
            output: Some(own.clone()),
            ..options.clone()
        };
        let mut opened = open_at(model, card_beside, &chosen, left_open)?;
        let (own, other) = (own.escape_debug(), interface.output.escape_debug());
        opened.interface.reason = format!("its probabilities are not the softmax of `{other}`");
        opened.assumptions.push(format!(
            "output `{own}` holds probabilities that are made from output `{other}` otherwise than by a softmax: they are the model's, and \
             the logits are their logarithm; `output` on the card chooses another"
        ));
        return Ok(opened);
    }
    let quantized = !interface.sigmoid && seen.quantized();
    if interface.reading == Reading::Logits && (seen.probabilities() || quantized) {
        interface.reading = Reading::LogOfProbabilities;
        interface.sigmoid = false;
        session = None;
        form = classifier_graph(&whole, &interface)?;
    }
    changed |= form.is_some();
    let runs = form.unwrap_or_else(|| whole.clone());

    let classes = usize::try_from(interface.classes).unwrap_or(usize::MAX);
    let mut said = assumptions::List::default();
    said.overruled(&differing.unwrap_or_default());
    said.card(card.as_ref(), options, &image);
    let class_names = said.classes(card.as_ref(), classes)?;
    said.size(card.as_ref(), options, &image, size.is_some());
    said.0.extend(image.assumptions.iter().cloned());
    said.0.extend(interface.assumptions.iter().cloned());
    // Images that depend on each other are run one at a time, whatever the batch is.
    said.0
        .extend(batch.filter(|_| fixed.is_none() || !seen.depends_on_batch()));
    said.reading(&interface, &seen);
    said.seen(&interface, &seen);
    Ok(Opened {
        origin: interface.origin(model, size),
        alone: seen.depends_on_batch(),
        max_batch: options.max_batch.min(rows),
        session,
        card,
        whole,
        runs,
        changed,
        interface,
        form: input,
        fixed,
        class_names,
        assumptions: said.0,
    })
}

/// How many images a model can take at once with the memory that one run may take.
///
/// # Errors
/// When there is not enough for one, or for the batch that the file fixes.
pub(super) fn max_rows(model: &Model) -> Result<usize, RuntimeError> {
    let bytes = activation_bytes(model, 1)?.max(1);
    Ok(usize::try_from(MAX_ACTIVATION_BYTES / bytes).unwrap_or(usize::MAX))
}

impl Opened {
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// What the model is called in logs.
    pub fn name(&self, options: &LoadOptions) -> String {
        let card = || self.card.as_ref().map(|card| card.name.clone());
        options.name.clone().or_else(card).unwrap_or_default()
    }
}

/// Opens a model that leaves its batch open and takes one image all the same, as traced at a batch of 1; `None` where it does not.
fn one_by_one(
    model: &Model,
    card: Option<Card>,
    options: &LoadOptions,
) -> Option<Result<Opened, RuntimeError>> {
    let single = fix_batch(model, 1)?;
    let mut opened = open_at(&single, card, options, true).ok()?;
    opened.origin.graph_sha256 = opened.interface.origin(model, None).graph_sha256;
    opened.changed = true;
    Some(Ok(opened))
}

/// Another output that the graph makes from the chosen one, of probabilities that are not its softmax.
fn own_probabilities(
    whole: &Model,
    interface: &Interface,
    (form, fixed, rows): (&Form, Option<usize>, usize),
    seen: &look::Seen,
    options: &LoadOptions,
) -> Option<String> {
    if interface.derived.is_empty() || seen.random.is_some() || seen.probabilities() {
        return None;
    }
    let bytes = whole.to_bytes();
    interface.derived.iter().take(MAX_DERIVED).find_map(|name| {
        let session = session::open(&bytes, options.placement(Lane::Predict)).ok()?;
        let mut graph = Graph::bare(session, name).ok()?;
        let other = look::at(&mut graph, form, fixed, Reading::Logits, rows).ok()?;
        let scores = !other.constant() && !other.whole_numbers();
        let own = scores && other.probabilities() && !other.is_softmax_of(seen);
        own.then(|| name.clone())
    })
}

/// What options say, and else the card.
fn wanted(card: Option<&Card>, options: &LoadOptions) -> Wanted {
    let stated = card.map(Card::wanted).unwrap_or_default();
    Wanted {
        output: options.output.clone().or(stated.output),
        size: options.size.or(stated.size),
        ..stated
    }
}

/// The output and the image. Where shapes cannot be derived here, those that the runtime derives are written into the graph.
fn decided(model: Model, wanted: &Wanted) -> Result<(Model, Interface, ImageInput), Error> {
    let decide = |model: &Model| {
        let interface = inspect(model, wanted)?;
        let image = interface.image_input(model, wanted)?;
        Ok((interface, image))
    };
    match decide(&model) {
        Ok((interface, image)) => Ok((model, interface, image)),
        Err(error @ Error::Interface(_)) => match look::with_output_shapes(&model) {
            Some(shaped) => {
                let (interface, image) = decide(&shaped)?;
                Ok((shaped, interface, image))
            }
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Says of a size or an output that does not fit where it was stated.
fn stated_by_card(error: Error, card: Option<&Card>, options: &LoadOptions) -> Error {
    let Some(card) = card else { return error };
    let input = &card.input;
    match error {
        Error::ImageSize(text) if options.size.is_none() && !stated(input).is_empty() => {
            Error::ImageSize(format!(
                "{text}; the card's `input` states {}",
                stated(input)
            ))
        }
        Error::Interface(text) if options.output.is_none() && card.output.is_some() => {
            Error::Interface(format!(
                "{text}; the card's `output` states `{}`",
                card.output.as_deref().unwrap_or_default().escape_debug()
            ))
        }
        error => error,
    }
}

/// What a card says of the size of images; 0 is nothing.
fn stated(input: &buckler_onnx::Input) -> String {
    let buckler_onnx::Input {
        channels,
        height,
        width,
        ..
    } = *input;
    let keys = [("channels", channels), ("height", height), ("width", width)];
    let keys = keys.into_iter().filter(|(_, size)| *size > 0);
    let keys: Vec<_> = keys.map(|(key, size)| format!("{key} {size}")).collect();
    keys.join(", ")
}

/// The order that options or the card state; `None` where nobody does.
pub(super) fn channel_order(card: Option<&Card>, options: &LoadOptions) -> Option<ChannelOrder> {
    options
        .channel_order
        .or(card.and_then(|card| card.input.channel_order))
}
