//! Writes files as `torch.save` does: a zip archive with a pickle of names and shapes, and an entry for each storage.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use half::{bf16, f16};
use pytorch_reader::PytorchReader;
use zip::write::{SimpleFileOptions, ZipWriter};

/// A tensor in single precision, row-major.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// What numbers are stored as.
#[derive(Clone, Copy, Debug)]
pub enum Stored {
    Float,
    Half,
    BFloat16,
    Double,
    Long,
}

/// The tensors of a file under one key, by name.
pub fn read(path: &Path, key: &str) -> Vec<Tensor> {
    let reader = PytorchReader::with_top_level_key(path, key).unwrap();
    let mut tensors: Vec<Tensor> = reader
        .tensors()
        .iter()
        .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
        .map(|(name, tensor)| {
            let bytes = tensor.read().unwrap();
            let (values, _) = bytes.as_chunks();
            Tensor {
                name: name.clone(),
                shape: tensor.shape().to_vec(),
                values: values
                    .iter()
                    .map(|value| f32::from_ne_bytes(*value))
                    .collect(),
            }
        })
        .collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    tensors
}

/// Writes dictionaries of tensors, each under its key; without a key the file is a state dict itself.
pub fn write(path: &Path, dicts: &[(Option<&str>, &[Tensor])], stored: Stored) {
    let mut pickle = vec![0x80, 2];
    let mut storages = Vec::new();
    match dicts {
        [(None, tensors)] => dict(&mut pickle, tensors, stored, &mut storages),
        dicts => {
            pickle.extend(b"}(");
            for (key, tensors) in dicts {
                text(&mut pickle, key.unwrap());
                dict(&mut pickle, tensors, stored, &mut storages);
            }
            pickle.push(b'u');
        }
    }
    pickle.push(b'.');
    archive(path, &pickle, &storages);
}

/// Writes a state dict under a key of a dictionary that is under a key itself.
pub fn write_nested(path: &Path, keys: [&str; 2], tensors: &[Tensor]) {
    let mut pickle = vec![0x80, 2];
    let mut storages = Vec::new();
    for key in keys {
        pickle.extend(b"}(");
        text(&mut pickle, key);
    }
    dict(&mut pickle, tensors, Stored::Float, &mut storages);
    pickle.extend(b"uu.");
    archive(path, &pickle, &storages);
}

/// Writes a file as `torch.save(model)` does, with the parts of the names as modules in modules.
pub fn write_module(path: &Path, tensors: &[Tensor]) {
    let mut pickle = vec![0x80, 2];
    let mut storages = Vec::new();
    module(&mut pickle, tensors, &mut storages);
    pickle.push(b'.');
    archive(path, &pickle, &storages);
}

fn module(pickle: &mut Vec<u8>, tensors: &[Tensor], storages: &mut Vec<Vec<u8>>) {
    let mut own = Vec::new();
    let mut parts: BTreeMap<&str, Vec<Tensor>> = BTreeMap::new();
    for tensor in tensors {
        match tensor.name.split_once('.') {
            None => own.push(tensor.clone()),
            Some((part, rest)) => parts.entry(part).or_default().push(Tensor {
                name: rest.to_owned(),
                ..tensor.clone()
            }),
        }
    }
    pickle.extend(b"c__main__\nNet\n)\x81}(");
    text(pickle, "_parameters");
    dict(pickle, &own, Stored::Float, storages);
    text(pickle, "_buffers");
    pickle.extend(b"}");
    text(pickle, "_modules");
    pickle.extend(b"}(");
    for (part, tensors) in &parts {
        text(pickle, part);
        module(pickle, tensors, storages);
    }
    pickle.extend(b"uub");
}

fn archive(path: &Path, pickle: &[u8], storages: &[Vec<u8>]) {
    let root = path.file_stem().unwrap().to_str().unwrap();
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut entry = |name: String, bytes: &[u8]| {
        zip.start_file(format!("{root}/{name}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    };
    entry("data.pkl".into(), pickle);
    entry("byteorder".into(), b"little");
    for (number, bytes) in storages.iter().enumerate() {
        entry(format!("data/{number}"), bytes);
    }
    entry("version".into(), b"3\n");
    zip.finish().unwrap();
}

/// Adds the zip64 record that PyTorch writes into every archive.
pub fn add_zip64_record(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let end = bytes.split_off(bytes.len() - 22);
    let start = bytes.len() as u64;
    let entries = u64::from(u16::from_le_bytes([end[10], end[11]]));
    let number = |at: usize| u32::from_le_bytes(end[at..at + 4].try_into().unwrap());
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44u64.to_le_bytes());
    bytes.extend([0x1e, 3, 0x2d, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for value in [entries, entries, number(12).into(), number(16).into()] {
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(start.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(end);
    std::fs::write(path, bytes).unwrap();
}

/// Marks the only tensor of a file whose name ends with `name` as negated, as a view of `torch._neg_view` is.
pub fn negate(path: &Path, name: &str) {
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        entries.push((entry.name().unwrap().into_owned(), bytes));
    }
    let pickle = &mut entries[0].1;
    let named = pickle
        .windows(name.len())
        .position(|part| part == name.as_bytes());
    // The last argument but for the end of the call: no hooks, an empty dictionary.
    let hooks = b"ccollections\nOrderedDict\n)R";
    let rest = &pickle[named.unwrap()..];
    let place = rest.windows(hooks.len()).position(|part| part == hooks);
    let place = named.unwrap() + place.unwrap() + hooks.len();
    pickle.splice(place..place, *b"}X\x03\0\0\0neg\x88s");
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(name, options).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn dict(pickle: &mut Vec<u8>, tensors: &[Tensor], stored: Stored, storages: &mut Vec<Vec<u8>>) {
    pickle.extend(b"}(");
    for tensor in tensors {
        text(pickle, &tensor.name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(pickle, "storage");
        let kind = match stored {
            Stored::Float => "Float",
            Stored::Half => "Half",
            Stored::BFloat16 => "BFloat16",
            Stored::Double => "Double",
            Stored::Long => "Long",
        };
        pickle.extend(format!("ctorch\n{kind}Storage\n").bytes());
        text(pickle, &storages.len().to_string());
        text(pickle, "cpu");
        number(pickle, tensor.values.len());
        pickle.extend(b"tQ");
        number(pickle, 0);
        pickle.push(b'(');
        for &side in &tensor.shape {
            number(pickle, side);
        }
        pickle.extend(b"t(");
        for axis in 0..tensor.shape.len() {
            number(pickle, tensor.shape[axis + 1..].iter().product());
        }
        // Contiguous; no gradient; no hooks.
        pickle.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
        let bytes = |value: &f32| -> Vec<u8> {
            match stored {
                Stored::Float => value.to_le_bytes().to_vec(),
                Stored::Half => f16::from_f32(*value).to_le_bytes().to_vec(),
                Stored::BFloat16 => bf16::from_f32(*value).to_le_bytes().to_vec(),
                Stored::Double => f64::from(*value).to_le_bytes().to_vec(),
                Stored::Long => (*value as i64).to_le_bytes().to_vec(),
            }
        };
        storages.push(tensor.values.iter().flat_map(bytes).collect());
    }
    pickle.push(b'u');
}

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.bytes());
}

fn number(pickle: &mut Vec<u8>, number: usize) {
    pickle.push(b'J');
    pickle.extend((number as i32).to_le_bytes());
}
