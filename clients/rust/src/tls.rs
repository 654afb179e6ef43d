//! Encrypted connections.

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// How to trust a gateway, and what to show it.
#[derive(Clone, Debug, Default)]
pub struct Tls(ClientTlsConfig);

impl Tls {
    /// Trusts what the system trusts.
    #[must_use]
    pub fn system() -> Self {
        Self(ClientTlsConfig::new().with_native_roots())
    }

    /// Trusts these certificates only.
    #[must_use]
    pub fn ca_pem(pem: impl AsRef<[u8]>) -> Self {
        Self(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
    }

    /// Shows a certificate of the caller's own, for gateways that ask for one.
    #[must_use]
    pub fn identity_pem(self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        Self(self.0.identity(Identity::from_pem(certificate, key)))
    }

    /// Expects this name in the gateway's certificate, instead of the host of the address.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self(self.0.domain_name(name))
    }

    pub(crate) fn into_config(self) -> ClientTlsConfig {
        self.0
    }
}
