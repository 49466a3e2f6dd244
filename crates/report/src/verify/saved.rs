//! The adversarial images beside a report, and what every evaluation says of them.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Component, Path},
};

use super::Verification;
use crate::{
    Folder, Report, ReportError,
    adversarials::{self, Images},
};

/// Where the adversarials of each evaluation are.
pub(super) struct Saved<'a> {
    folder: &'a Folder,
    /// For each evaluation, the file of each image by its id.
    files: Vec<HashMap<u64, String>>,
}

impl<'a> Saved<'a> {
    /// Reads the ids in all files, and notes files that belong to no evaluation, or to several, and ids that are no images' or come
    /// twice.
    pub(super) fn index(
        folder: &'a Folder,
        report: &Report,
        ids: &[u64],
        checked: &mut Verification,
    ) -> Result<Self, ReportError> {
        let known: HashSet<u64> = ids.iter().copied().collect();
        let mut named: HashSet<&str> = HashSet::new();
        let mut files = Vec::new();
        for measured in &report.evaluations {
            let attack = &measured.evaluation.parameters;
            let mut of_evaluation = HashMap::new();
            for name in &measured.adversarials {
                if !is_inside(name) {
                    checked.problem(format!(
                        "`{}` is not a file beside the report",
                        name.escape_debug()
                    ));
                    continue;
                }
                if !named.insert(name) {
                    checked.problem(format!("`{name}` is named twice"));
                }
                let ids = match adversarials::ids(&folder.file(name)) {
                    Ok(ids) => ids,
                    Err(error) => {
                        checked.problem(error.to_string());
                        continue;
                    }
                };
                for id in ids {
                    if !known.contains(&id) {
                        checked.problem(format!(
                            "`{name}` holds an image {id}, which was not measured"
                        ));
                    }
                    if of_evaluation.insert(id, name.clone()).is_some() {
                        checked.problem(format!(
                            "two images are saved for image {id} under {attack}"
                        ));
                    }
                }
            }
            files.push(of_evaluation);
        }
        for name in strays(folder, &named)? {
            checked.problem(format!("`{name}` belongs to no evaluation of the report"));
        }
        Ok(Self { folder, files })
    }

    /// The adversarials of some images of so many values under an evaluation; files that cannot be read are noted.
    pub(super) fn of(
        &self,
        evaluation: usize,
        ids: &[u64],
        values: usize,
        checked: &mut Verification,
    ) -> Images {
        let files = self.files.get(evaluation);
        let wanted: Vec<(u64, &String)> = ids
            .iter()
            .filter_map(|&id| Some((id, files?.get(&id)?)))
            .collect();
        let mut images = Images::new();
        let mut read: HashSet<&str> = HashSet::new();
        for (_, file) in &wanted {
            if !read.insert(file) {
                continue;
            }
            match adversarials::load(&self.folder.file(file), values) {
                Ok(mut loaded) => {
                    for (id, of) in &wanted {
                        if of == file
                            && let Some(image) = loaded.remove(id)
                        {
                            images.insert(*id, image);
                        }
                    }
                }
                Err(error) => checked.problem(error.to_string()),
            }
        }
        images
    }
}

/// Whether a name leads to a file below the report's folder.
fn is_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Files among the adversarials that nothing names.
fn strays(folder: &Folder, named: &HashSet<&str>) -> Result<Vec<String>, ReportError> {
    let dir = folder.adversarials();
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ReportError::file(dir)(error)),
    };
    let mut strays = Vec::new();
    for entry in entries {
        let entry = entry.map_err(ReportError::file(&dir))?;
        let name = entry.file_name();
        let name = format!("adversarials/{}", name.to_string_lossy());
        // A folder, too; what begins with a point is the system's, or left of a file that was being written.
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && !named.contains(name.as_str()) {
            strays.push(name);
        }
    }
    strays.sort();
    Ok(strays)
}
