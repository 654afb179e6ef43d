//! Where a gateway listens, as the caller writes it.

use std::path::PathBuf;

use tonic::transport::Endpoint;

use crate::error::{Error, Result};

/// What the requests to a gateway behind a socket file name as their host.
const LOCAL: &str = "localhost";

/// An address that was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Address {
    /// `HOST:PORT`, or a stand-in for it.
    authority: String,
    /// The socket file, if it is one.
    pub(crate) socket: Option<PathBuf>,
}

impl Address {
    /// Reads `HOST:PORT`, `dns:HOST:PORT`, `dns:///HOST:PORT`, `unix:PATH` or `unix:///PATH`.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if it is none of these.
    pub(crate) fn read(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || !cfg!(unix) {
                return Err(malformed(text));
            }
            return Ok(Self { authority: LOCAL.to_owned(), socket: Some(path.into()) });
        }
        let authority = text.strip_prefix("dns:").map_or(text, |name| name.strip_prefix("///").unwrap_or(name));
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| malformed(text))?;
        if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
            return Err(malformed(text));
        }
        Ok(Self { authority: authority.to_owned(), socket: None })
    }

    /// # Errors
    ///
    /// [`Error::Usage`] if the host cannot be one.
    pub(crate) fn endpoint(&self, scheme: &str) -> Result<Endpoint> {
        Endpoint::from_shared(format!("{scheme}://{}", self.authority)).map_err(|_| malformed(&self.authority))
    }
}

fn malformed(text: &str) -> Error {
    Error::usage(format!("the address of the gateway must be HOST:PORT or unix:PATH, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_grpc_are_understood() {
        for text in ["gateway:1", "dns:gateway:1", "dns:///gateway:1"] {
            assert_eq!(Address::read(text).unwrap().authority, "gateway:1");
        }
        assert_eq!(Address::read("[::1]:50151").unwrap().authority, "[::1]:50151");
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_file_may_be_relative() {
        for (text, path) in [("unix:/run/sgw", "/run/sgw"), ("unix:///run/sgw", "/run/sgw"), ("unix:sgw", "sgw")] {
            assert_eq!(Address::read(text).unwrap().socket, Some(path.into()));
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for text in ["", "unix:", "gateway", "gateway:port", ":1", "dns://resolver/gateway:1", "http://gateway:1"] {
            assert_eq!(Address::read(text).unwrap_err().code(), "USAGE", "{text:?}");
        }
    }
}
