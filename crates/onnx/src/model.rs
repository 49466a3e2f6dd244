use std::path::Path;

use prost::{Message, bytes::Bytes};
use sha2::{Digest, Sha256};

use crate::{
    Card, Error, attribute, external, functions, limits, order, other_format,
    proto::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto},
    read_model_file, upgrade, validate, wire, write_atomic,
};

/// Largest protocol buffer that every implementation reads.
pub(crate) const LARGEST: usize = i32::MAX as usize;

/// Oldest IR version that goes with the emitted operator set.
const IR_VERSION: i64 = 8;

/// Where a card in the metadata comes from.
const CARD_INSIDE: &str = "the card inside the model (metadata `buckler.card`)";

/// A checked ONNX model.
///
/// It holds a graph, every stored tensor has as many elements as its shape says, every tensor that a node reads has exactly one
/// definition, and the nodes are in topological order.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// All but the graph.
    header: ModelProto,
    graph: GraphProto,
}

impl Model {
    /// Reads and checks a file, and with it the files beside it in which tensors are stored; where the file is a symbolic link, also
    /// those beside its target.
    ///
    /// # Errors
    /// When a file cannot be read, or is not below these directories, and as [`Model::from_bytes`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut header = decode(read_model_file(path)?)?;
        if let Some(graph) = &mut header.graph {
            limits::check(graph)?;
            external::load(graph, path)?;
        }
        Self::from_proto(header)
    }

    /// Decodes and checks a model. Nodes that are out of order are sorted.
    ///
    /// # Errors
    /// Names what is wrong: no protocol buffer, no graph, a tensor or attribute that contradicts itself, a tensor that lies in
    /// another file ([`Model::read`] finds it), a tensor that is defined twice or not at all, a cycle.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        // What no model begins with is not copied.
        check_format(bytes)?;
        Self::from_proto(parse(Bytes::copy_from_slice(bytes))?)
    }

    /// As [`Model::from_bytes`], of bytes that the stored tensors share: nothing large is copied.
    ///
    /// # Errors
    /// As [`Model::from_bytes`].
    pub fn from_shared(bytes: Bytes) -> Result<Self, Error> {
        Self::from_proto(decode(bytes)?)
    }

    /// Checks a model that was put together in memory.
    ///
    /// # Errors
    /// As [`Model::from_bytes`].
    pub fn from_proto(mut header: ModelProto) -> Result<Self, Error> {
        let mut graph = header.graph.take().ok_or(Error::NoGraph)?;
        attribute::restore_zeros(&mut graph);
        limits::check_header(&header)?;
        limits::check(&graph)?;
        functions::check(&header.functions, &graph)?;
        validate::graph(&graph)?;
        order::sort(&mut graph)?;
        Ok(Self { header, graph })
    }

    /// The encoded model.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_proto().encode_to_vec()
    }

    /// Writes the model, replacing an existing file in one step.
    ///
    /// # Errors
    /// When the file cannot be written, or the model exceeds 2 GiB.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        let bytes = self.to_bytes();
        if bytes.len() > LARGEST {
            return Err(Error::TooLarge {
                bytes: bytes.len(),
                limit: LARGEST,
            });
        }
        write_atomic(path, &bytes).map_err(|source| Error::Io {
            path: path.into(),
            source,
        })
    }

    /// SHA-256 of the encoded graph, in hexadecimal: what the model computes, whatever its metadata say.
    pub fn graph_sha256(&self) -> String {
        let digest = Sha256::digest(self.graph.encode_to_vec());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The value of a `metadata_props` key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let entries = &self.header.metadata_props;
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some(&entry.value)
    }

    /// Sets a `metadata_props` key, replacing what it had.
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        let entries = &mut self.header.metadata_props;
        let old = entries.iter().position(|entry| entry.key == key);
        entries.retain(|entry| entry.key != key);
        let entry = StringStringEntryProto {
            key: key.into(),
            value: value.into(),
        };
        entries.insert(old.unwrap_or(entries.len()).min(entries.len()), entry);
    }

    /// The card in the metadata, if there is one.
    ///
    /// # Errors
    /// When there is one that cannot be understood.
    pub fn card(&self) -> Result<Option<Card>, Error> {
        let Some(json) = self.metadata(Card::KEY) else {
            return Ok(None);
        };
        Ok(Some(Card::parse(json, CARD_INSIDE)?))
    }

    /// Puts a card into the metadata, without its checksums: a file cannot hold its own.
    ///
    /// # Errors
    /// When the card is one that could not be read again ([`Card::check`]).
    pub fn set_card(&mut self, card: &Card) -> Result<(), Error> {
        let inside = Card {
            sha256: Default::default(),
            ..card.clone()
        };
        inside.check(CARD_INSIDE)?;
        let json =
            serde_json::to_string(&inside).map_err(|source| json_error(Card::KEY, source))?;
        self.set_metadata(Card::KEY, &json);
        Ok(())
    }

    /// The graph.
    pub fn graph(&self) -> &GraphProto {
        &self.graph
    }

    /// The whole message.
    pub fn to_proto(&self) -> ModelProto {
        ModelProto {
            graph: Some(self.graph.clone()),
            ..self.header.clone()
        }
    }

    /// A model with another graph, made from this one's and written in the operator set of the emitted nodes or later.
    pub(crate) fn derived(&self, graph: GraphProto) -> Result<Self, Error> {
        Self::from_proto(ModelProto {
            ir_version: self.header.ir_version.max(IR_VERSION),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: self.opset().max(upgrade::TARGET),
            }],
            producer_name: "buckler".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph),
            ..ModelProto::default()
        })
    }

    /// The message without its graph, and the graph.
    pub(crate) fn into_parts(self) -> (ModelProto, GraphProto) {
        (self.header, self.graph)
    }

    /// The message without its graph.
    pub(crate) fn header(&self) -> &ModelProto {
        &self.header
    }

    /// Version of ONNX's own operator set that the model is written in; 1 when it names none, as the format says.
    pub fn opset(&self) -> i64 {
        let imports = &self.header.opset_import;
        let own = imports.iter().find(|import| is_onnx_domain(&import.domain));
        own.map_or(1, |import| import.version)
    }
}

fn check_format(bytes: &[u8]) -> Result<(), Error> {
    match other_format::of(bytes) {
        Some(format) => Err(Error::OtherFormat(format)),
        None => wire::check(bytes),
    }
}

fn decode(bytes: Bytes) -> Result<ModelProto, Error> {
    check_format(&bytes)?;
    parse(bytes)
}

fn parse(bytes: Bytes) -> Result<ModelProto, Error> {
    ModelProto::decode(bytes).map_err(Error::NotOnnx)
}

/// Whether a domain is ONNX's own, which has two spellings.
pub(crate) fn is_onnx_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

pub(crate) fn json_error(key: &str, source: serde_json::Error) -> Error {
    Error::Json {
        what: format!("metadata `{key}`"),
        source,
    }
}
