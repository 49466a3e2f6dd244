use reqwest::{
    Body, Client, Method, Request, Url,
    header::{CONTENT_TYPE, HeaderValue},
};

use crate::{LoadError, tensor};

/// What is asked of a server.
#[derive(Clone, Debug)]
pub enum Ask {
    /// `POST /predict`: the image file as it is.
    Predict(Image),
    /// `POST /attack`: the image file as it is.
    Attack(Image),
    /// `POST /v2/models/{model}/infer`, Open Inference Protocol: the image's pixels as a binary tensor of the shape that the
    /// server says the model wants.
    Infer(Image),
    /// `POST` to the target's own path.
    Raw(Raw),
}

/// An image file and what goes with it.
#[derive(Clone, Debug)]
pub struct Image {
    /// The model; without one, the server's default.
    pub model: Option<String>,
    /// Parameters, such as those of an attack.
    pub query: Vec<(String, String)>,
    /// The file's bytes.
    pub file: Vec<u8>,
    /// How often the image is in one request. One goes as the body itself, more go as `multipart/form-data`.
    pub copies: usize,
}

/// A body for a path that is nobody's business here.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The bytes.
    pub body: Vec<u8>,
    /// What they are.
    pub content_type: String,
}

const BOUNDARY: &str = "buckler-load-5f0c1d2e9b7a4836";

impl Ask {
    /// The request to the server at `base`.
    pub(crate) async fn request(&self, client: &Client, base: &Url) -> Result<Request, LoadError> {
        match self {
            Self::Predict(image) => image.request(base, "predict"),
            Self::Attack(image) => image.request(base, "attack"),
            Self::Infer(image) => tensor::request(client, base, image).await,
            Self::Raw(raw) => post(base.clone(), raw.body.clone(), &raw.content_type),
        }
    }
}

impl Image {
    fn request(&self, base: &Url, path: &str) -> Result<Request, LoadError> {
        let mut url = below(base, &[path])?;
        for (name, value) in self.model.iter().map(|model| ("model", model.as_str())) {
            url.query_pairs_mut().append_pair(name, value);
        }
        for (name, value) in &self.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        if self.copies == 1 {
            return post(url, self.file.clone(), "application/octet-stream");
        }
        let mut body = Vec::new();
        for _ in 0..self.copies {
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"image\"; filename=\"image\"\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&self.file);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        post(url, body, &content_type)
    }
}

/// `base` with a path behind what it has.
pub(crate) fn below(base: &Url, segments: &[&str]) -> Result<Url, LoadError> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| LoadError::Url {
            given: base.to_string(),
            reason: "it can have no path".to_owned(),
        })?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

pub(crate) fn post(url: Url, body: Vec<u8>, content_type: &str) -> Result<Request, LoadError> {
    let mut request = Request::new(Method::POST, url);
    let value = HeaderValue::try_from(content_type).map_err(|_| {
        LoadError::Plan(format!(
            "`{content_type}` is no content type: write it as application/json"
        ))
    })?;
    request.headers_mut().insert(CONTENT_TYPE, value);
    *request.body_mut() = Some(Body::from(body));
    Ok(request)
}
