use std::{fmt, io, path::PathBuf};

use serde::Serialize;

use crate::{CardError, Model};

/// What can be wrong with an ONNX file, or stand in the way of editing or differentiating it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The bytes are no protocol buffer of an ONNX model.
    #[error(
        "not an ONNX file: {0}; give a file that an ONNX exporter wrote, complete and not compressed"
    )]
    NotOnnx(prost::DecodeError),
    /// A file of another format, by its first bytes.
    #[error("not an ONNX file, but {0}")]
    OtherFormat(&'static str),
    /// A model without a graph, which is also what an empty file decodes to.
    #[error("the model holds no graph: the file is empty, cut short or not an ONNX model")]
    NoGraph,
    /// The model does not fit into one protocol buffer.
    #[error(
        "the model takes {bytes} bytes, and one protocol buffer holds at most {limit}: use a smaller network"
    )]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
        /// The limit of the format.
        limit: usize,
    },
    /// More memory for what a file describes than for the file.
    #[error(
        "the nodes, tensors, names and numbers of the model take more than {limit} bytes of memory beyond those of the file: no network \
         has so many small parts; export the model again"
    )]
    TooManyParts {
        /// The limit in bytes.
        limit: usize,
    },
    /// More of something than any network has.
    #[error(
        "{whose} has {count} {what}; at most {limit} are possible: export the model again, or use a smaller network"
    )]
    TooMany {
        /// What has it, with its name.
        whose: String,
        /// What it has.
        what: &'static str,
        /// How many.
        count: u64,
        /// The limit.
        limit: u64,
    },
    /// Functions that the model defines for itself and that no runtime could put in place.
    #[error(
        "{0}; export the model with its functions inlined (Python: `onnx.inliner.inline_local_functions`)"
    )]
    Functions(String),
    /// The tensors of one run take too much memory.
    #[error(
        "one run of the model takes at least {bytes} bytes of memory, with node `{node}` ({operator}), whose output has the shape {shape}; at \
         most {limit} are possible: use smaller images, a smaller fixed batch or a smaller network"
    )]
    Memory {
        /// The node's name, or its first output where it has none.
        node: String,
        /// The node's operator.
        operator: String,
        /// The shape of its output.
        shape: String,
        /// The memory of all tensors at that node, in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A tensor is as large as the pixels of an image say.
    #[error(
        "the values of the image decide how large the output of node `{node}` ({operator}) is, so that its memory has no bound; export the \
         model with sizes that depend on shapes alone"
    )]
    DataDependent {
        /// The node's name, or its first output where it has none.
        node: String,
        /// The node's operator.
        operator: String,
    },
    /// A loop makes a tensor another size in each step.
    #[error(
        "a loop carries tensor `{tensor}` of shape {before} into a step and of shape {after} out of it, so that its memory has no bound; export \
         the model with tensors that keep their shapes"
    )]
    Grows {
        /// The loop's output.
        tensor: String,
        /// Before the first step.
        before: String,
        /// After it.
        after: String,
    },
    /// A stored tensor contradicts itself.
    #[error(
        "tensor `{name}`: {reason}; the file is damaged or its exporter is wrong: export the model again"
    )]
    Tensor {
        /// The tensor.
        name: String,
        /// What contradicts.
        reason: String,
    },
    /// A stored tensor whose elements lie in another file, where there are bytes alone and no directory.
    #[error(
        "tensor `{name}` is stored outside the model, in `{location}`, which bytes alone do not lead to; read the model from its \
         file, beside which the other one lies, or save it in one file (Python: \
         `onnx.save(onnx.load(\"model.onnx\"), \"single.onnx\", save_as_external_data=False)`)"
    )]
    External {
        /// The tensor.
        name: String,
        /// The other file, as the model states it.
        location: String,
    },
    /// A stored tensor whose elements cannot be taken from the file in which the model says they are.
    #[error("tensor `{name}`, stored in `{location}`: {reason}")]
    ExternalData {
        /// The tensor.
        name: String,
        /// The file, as the model states it.
        location: String,
        /// What stands in the way, and what would help.
        reason: String,
    },
    /// An attribute of a node contradicts itself.
    #[error(
        "attribute `{attribute}` of node `{node}` ({operator}) {reason}; the file is damaged or its exporter is wrong: export the \
         model again"
    )]
    Attribute {
        /// The attribute.
        attribute: String,
        /// The node's name, or its first output where it has none.
        node: String,
        /// The node's operator.
        operator: String,
        /// What contradicts.
        reason: String,
    },
    /// Two things define one tensor.
    #[error(
        "tensor `{name}` is defined more than once; every tensor of an ONNX graph has exactly one definition"
    )]
    Duplicate {
        /// The tensor.
        name: String,
    },
    /// A tensor is read that nothing defines.
    #[error("{reader} reads tensor `{tensor}`, which no node, input or initializer defines")]
    Missing {
        /// The node or graph output that reads it.
        reader: String,
        /// The tensor.
        tensor: String,
    },
    /// The nodes depend on each other in a circle.
    #[error(
        "the graph has a cycle through node `{node}` ({operator}); an ONNX graph must be acyclic"
    )]
    Cycle {
        /// A node on the cycle, or behind it.
        node: String,
        /// Its operator.
        operator: String,
    },
    /// Inputs or outputs are not those of an image classifier.
    #[error("{0}")]
    Interface(String),
    /// The size of images is not known, or what is known contradicts itself.
    #[error("{0}")]
    ImageSize(String),
    /// Several outputs could hold the logits; the text lists all outputs.
    #[error(
        "several outputs could hold the logits, and nothing decides between them: choose one of {0}"
    )]
    AmbiguousOutput(String),
    /// The graph cannot be brought into clean form.
    #[error("cannot clean the exported graph: {0}")]
    Clean(String),
    /// A card says what a card cannot say.
    #[error(transparent)]
    Card(#[from] CardError),
    /// JSON inside the metadata could not be understood.
    #[error("{what}: {source}")]
    Json {
        /// Where the JSON lies.
        what: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// Some nodes between image and logits have no gradient here.
    #[error("the graph cannot be differentiated: {}", list(.0))]
    NotDifferentiable(Vec<Obstacle>),
    /// Some nodes between image and logits have no certified bounds here.
    #[error("the graph cannot be bounded: {}", list(.0))]
    NotBounded(Vec<Obstacle>),
}

impl Error {
    /// What an error of differentiating or bounding a model says stands in the way: nodes, or the graph as a whole.
    pub fn obstacles(self, model: &Model) -> Vec<Obstacle> {
        match self {
            Self::NotDifferentiable(obstacles) | Self::NotBounded(obstacles) => obstacles,
            other => vec![Obstacle {
                node: model.graph().name.clone(),
                operator: "graph".into(),
                reason: other.to_string(),
            }],
        }
    }
}

/// A node that stands in the way of differentiating a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The node's name, or its first output where it has none; the graph's name where no node is at fault.
    pub node: String,
    /// The operator; `graph` where no node is at fault.
    pub operator: String,
    /// Why it stands in the way, and what would help.
    pub reason: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "node `{}` ({}): {}",
            self.node, self.operator, self.reason
        )
    }
}

/// Obstacles that are spelled out: a file may have any number.
const SHOWN: usize = 20;

fn list(obstacles: &[Obstacle]) -> String {
    let shown = obstacles.iter().take(SHOWN).map(Obstacle::to_string);
    let more = obstacles.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("and {more} more"));
    shown.chain(more).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_obstacles_some_are_spelled_out_and_the_others_counted() {
        let obstacle = |index| Obstacle {
            node: format!("n{index}"),
            operator: "Floor".into(),
            reason: "is flat".into(),
        };
        let message =
            |count| Error::NotDifferentiable((0..count).map(obstacle).collect()).to_string();
        assert!(message(20).ends_with("node `n19` (Floor): is flat"));
        assert!(message(1000).ends_with("node `n19` (Floor): is flat; and 980 more"));
    }
}
