//! Tensors whose elements lie in files beside the model: ONNX, "External Data".

use std::{
    collections::HashMap,
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use prost::bytes::Bytes;

use crate::{
    Error,
    model::LARGEST,
    proto::{GraphProto, SparseTensorProto, TensorProto},
    validate,
};

/// What `data_location` says of a tensor that lies in another file.
const EXTERNAL: i32 = 1;

/// Bytes of all tensors that lie in other files: with them the model has to fit into one protocol buffer, as which a runtime gets it.
const MAX_BYTES: u64 = LARGEST as u64;

/// How to be rid of the second file.
const REMEDY: &str = "put the model's files as their exporter wrote them into one directory, or save the model in one file where \
                      it was made (Python: `onnx.save(model, \"single.onnx\", save_as_external_data=False)`)";

/// Whether the elements of a tensor lie in another file.
pub(crate) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(EXTERNAL)
}

/// The path of the other file, as the model states it.
pub(crate) fn location(tensor: &TensorProto) -> &str {
    entry(tensor, "location").unwrap_or_default()
}

/// Reads the tensors that lie in files beside the model, those of nodes and their subgraphs included.
///
/// The files are looked for in the directory of `model`, and where that is a symbolic link, as in the cache of Hugging Face, in the
/// directories that it leads to. Of links among the files the target has to lie in one of these directories.
///
/// No more is read than the tensors' shapes say, and no byte of a file twice. The key `checksum`, which is that of a whole file,
/// is not compared.
///
/// # Errors
/// [`Error::ExternalData`] when a location is not below the directories, a file is not there or too short, or a length contradicts
/// the shape; [`Error::Tensor`] when the shape contradicts itself.
pub(crate) fn load(graph: &mut GraphProto, model: &Path) -> Result<(), Error> {
    let mut files = Files {
        model,
        directories: Vec::new(),
        files: HashMap::new(),
        read: 0,
    };
    files.graph(graph)
}

struct Files<'a> {
    model: &'a Path,
    /// Where files may lie, without symbolic links; empty as long as none was looked for.
    directories: Vec<PathBuf>,
    /// By path, without symbolic links.
    files: HashMap<PathBuf, Part>,
    /// Bytes that were read.
    read: u64,
}

/// A file, and what has been read of it.
struct Part {
    size: u64,
    read: u64,
    /// By offset and length: tensors may share their elements.
    ranges: HashMap<(u64, u64), Bytes>,
}

impl Files<'_> {
    fn graph(&mut self, graph: &mut GraphProto) -> Result<(), Error> {
        for tensor in &mut graph.initializer {
            self.tensor(tensor)?;
        }
        for tensor in &mut graph.sparse_initializer {
            self.sparse(tensor)?;
        }
        for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
            for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
                self.tensor(tensor)?;
            }
            let sparse = attribute.sparse_tensor.iter_mut();
            for tensor in sparse.chain(&mut attribute.sparse_tensors) {
                self.sparse(tensor)?;
            }
            for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                self.graph(graph)?;
            }
        }
        Ok(())
    }

    fn sparse(&mut self, sparse: &mut SparseTensorProto) -> Result<(), Error> {
        let mut parts = sparse.values.iter_mut().chain(&mut sparse.indices);
        parts.try_for_each(|part| self.tensor(part))
    }

    fn tensor(&mut self, tensor: &mut TensorProto) -> Result<(), Error> {
        if !is_external(tensor) {
            return Ok(());
        }
        let bytes = validate::byte_size(tensor).map_err(|reason| Error::Tensor {
            name: tensor.name.clone(),
            reason,
        })?;
        let elements = self.elements(tensor, bytes);
        let elements = elements.map_err(|reason| Error::ExternalData {
            name: tensor.name.clone(),
            location: location(tensor).into(),
            reason,
        })?;
        tensor.raw_data = Some(elements);
        tensor.data_location = None;
        tensor.external_data.clear();
        Ok(())
    }

    /// The bytes that a tensor of this size refers to.
    fn elements(&mut self, tensor: &TensorProto, bytes: u128) -> Result<Bytes, String> {
        let offset = number(tensor, "offset")?.unwrap_or(0);
        if let Some(length) = number(tensor, "length")?
            && u128::from(length) != bytes
        {
            return Err(format!(
                "its length is stated as {length} bytes, and shape {:?} needs {bytes}; export the model again",
                tensor.dims
            ));
        }
        let path = self.path(location(tensor))?;
        let part = match self.files.get_mut(&path) {
            Some(part) => part,
            None => {
                let size = fs::metadata(&path).map_err(unreadable)?.len();
                self.files.entry(path.clone()).or_insert(Part {
                    size,
                    read: 0,
                    ranges: HashMap::new(),
                })
            }
        };
        let length = u64::try_from(bytes)
            .ok()
            .filter(|length| offset.checked_add(*length).is_some_and(|end| end <= part.size))
            .ok_or_else(|| {
                format!(
                    "it needs {bytes} bytes from byte {offset} on, and the file has {}: it is cut short or another one; {REMEDY}",
                    part.size
                )
            })?;
        if let Some(known) = part.ranges.get(&(offset, length)) {
            return Ok(known.clone());
        }
        if part.size - part.read < length {
            return Err("its tensors overlap; export the model again".into());
        }
        self.read = self.read.saturating_add(length);
        if self.read > MAX_BYTES {
            return Err(format!(
                "the tensors of the model outside of its file have more than {MAX_BYTES} bytes together, which one protocol buffer cannot \
                 hold; use a smaller network"
            ));
        }
        let elements = read(&path, offset, length).map_err(unreadable)?;
        part.read += length;
        part.ranges.insert((offset, length), elements.clone());
        Ok(elements)
    }

    /// The file at a location, which has to be below one of the directories.
    fn path(&mut self, location: &str) -> Result<PathBuf, String> {
        let below = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if location.is_empty() {
            return Err(format!("the path of the file is missing; {REMEDY}"));
        }
        if !Path::new(location).components().all(below) {
            return Err(format!(
                "the path has to be relative and to stay inside the model's directory; {REMEDY}"
            ));
        }
        if self.directories.is_empty() {
            self.directories = directories(self.model).map_err(unreadable)?;
        }
        let mut missing = io::Error::from(io::ErrorKind::NotFound);
        for directory in &self.directories {
            let path = match directory.join(location).canonicalize() {
                Ok(path) => path,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    missing = error;
                    continue;
                }
                Err(error) => return Err(unreadable(error)),
            };
            if !self.directories.iter().any(|own| path.starts_with(own)) {
                return Err(
                    "a symbolic link leads out of the model's directory; copy the file itself there"
                        .into(),
                );
            }
            if !path.is_file() {
                return Err(format!("it is not an ordinary file; {REMEDY}"));
            }
            return Ok(path);
        }
        Err(unreadable(missing))
    }
}

/// Links that are followed from one to the next, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// The directory of a model's path, and those that it leads to where it is a symbolic link.
fn directories(model: &Path) -> io::Result<Vec<PathBuf>> {
    let mut directories = Vec::new();
    let mut path = model.to_owned();
    for _ in 0..MAX_LINKS {
        let directory = path.parent().unwrap_or(Path::new(""));
        // The path of a file without a directory in front.
        let here = directory.as_os_str().is_empty();
        let directory = if here { Path::new(".") } else { directory };
        let found = directory.canonicalize()?;
        let Ok(target) = fs::read_link(&path) else {
            directories.push(found);
            break;
        };
        path = found.join(target);
        directories.push(found);
    }
    Ok(directories)
}

fn entry<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    let entry = tensor.external_data.iter().find(|entry| entry.key == key)?;
    Some(&entry.value)
}

fn number(tensor: &TensorProto, key: &str) -> Result<Option<u64>, String> {
    let parse = |text: &str| {
        text.parse().map_err(|_| {
            format!("its {key} `{text}` is no number of bytes; export the model again")
        })
    };
    entry(tensor, key).map(parse).transpose()
}

fn read(path: &Path, offset: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    let size = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(size)?;
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() < size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Bytes::from(bytes))
}

fn unreadable(error: io::Error) -> String {
    format!("it cannot be read ({error}); {REMEDY}")
}
