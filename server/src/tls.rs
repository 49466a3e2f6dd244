//! The certificate of encrypted connections.
use std::{fs, io, sync::Arc, time::SystemTime};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::config::Tls;

/// Why connections cannot be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not what it should be.
    #[error("`{path}` holds no {what} in PEM form: {why}")]
    Pem {
        /// The file.
        path: String,
        /// What it should hold.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// Certificate and key do not fit.
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate that follows its files. Clones share it.
#[derive(Clone)]
pub(crate) struct Certificate {
    files: Tls,
    read: Changed,
    current: RustlsConfig,
}

/// When the files were changed.
type Changed = [Option<SystemTime>; 2];

impl Certificate {
    pub fn read(files: &Tls) -> Result<Self, TlsError> {
        Ok(Self {
            read: changed(files),
            current: RustlsConfig::from_config(server_config(files)?),
            files: files.clone(),
        })
    }

    pub fn for_connections(&self) -> RustlsConfig {
        self.current.clone()
    }

    /// Reads the files again if they have changed. What cannot be used changes nothing.
    pub fn refresh(&mut self) {
        let now = changed(&self.files);
        if now == self.read {
            return;
        }
        match server_config(&self.files) {
            Ok(config) => {
                self.current.reload_from_config(config);
                self.read = now;
                tracing::info!("the certificate was read again");
            }
            Err(error) => tracing::error!(%error, "the new certificate is not used"),
        }
    }
}

fn changed(files: &Tls) -> Changed {
    let time = |path| fs::metadata(path).and_then(|file| file.modified()).ok();
    [time(&files.certificate), time(&files.key)]
}

fn server_config(files: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let unread = |path: &std::path::Path, what, why: String| TlsError::Pem {
        path: path.display().to_string(),
        what,
        why,
    };
    let bytes = |path, what| {
        fs::read(path).map_err(|error: io::Error| unread(path, what, error.to_string()))
    };
    let what = "certificate";
    let path = files.certificate.as_path();
    let chain = CertificateDer::pem_slice_iter(&bytes(path, what)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unread(path, what, error.to_string()))?;
    if chain.is_empty() {
        return Err(unread(path, what, "there is none in it".to_owned()));
    }
    let what = "private key";
    let path = files.key.as_path();
    let key = PrivateKeyDer::from_pem_slice(&bytes(path, what)?)
        .map_err(|error| unread(path, what, error.to_string()))?;
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
