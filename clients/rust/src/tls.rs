//! Encrypted connections.

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::error::{Error, Result};

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// How to trust a gateway, and what to show it.
#[derive(Clone, Debug)]
pub struct Tls {
    config: ClientTlsConfig,
    /// Why it cannot be used.
    fault: Option<&'static str>,
}

impl Tls {
    /// Trusts what the system trusts.
    #[must_use]
    pub fn system() -> Self {
        Self { config: ClientTlsConfig::new().with_native_roots(), fault: None }
    }

    /// Trusts these certificates only. A text without one is an [`Error::Usage`] when the client is made.
    #[must_use]
    pub fn ca_pem(pem: impl AsRef<[u8]>) -> Self {
        let pem = pem.as_ref();
        // Without this, a wrong file would trust nobody, which looks like a gateway that cannot be reached.
        let has_one = pem.windows(CERTIFICATE.len()).any(|part| part == CERTIFICATE);
        let fault = (!has_one).then_some("the authority's file holds no PEM certificate");
        Self { config: ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)), fault }
    }

    /// Shows a certificate of the caller's own, for gateways that ask for one.
    #[must_use]
    pub fn identity_pem(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.config = self.config.identity(Identity::from_pem(certificate, key));
        self
    }

    /// Expects this name in the gateway's certificate, instead of the host of the address.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.config = self.config.domain_name(name);
        self
    }

    pub(crate) fn into_config(self) -> Result<ClientTlsConfig> {
        match self.fault {
            None => Ok(self.config),
            Some(fault) => Err(Error::usage(fault)),
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::system()
    }
}
