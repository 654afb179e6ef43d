//! Encrypted connections, and the key that every request carries.
#![allow(missing_docs, reason = "the names of the tests say it")]
#![cfg(feature = "tls")]

mod support;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sessiongateway::{Client, Error, Tls, v1};
use support::{
    scripted::{Scripted, Scripts, hasty},
    within,
};
use tonic::{
    Status,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key.
fn signed_by(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// Serves with a certificate of the authority, to callers that have one, too, if `mutual`. Returns the address.
fn serve(authority: &Authority, mutual: bool) -> String {
    let (certificate, key) = signed_by(authority);
    let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
    if mutual {
        tls = tls.client_ca_root(Certificate::from_pem(authority.pem()));
    }
    let scripts = Scripts {
        get: Some(Box::new(|_, request| {
            let session = v1::Session { id: request.session_id, ..v1::Session::default() };
            Ok(v1::GetSessionResponse { session: Some(session) })
        })),
        ..Scripts::default()
    };
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap().to_string();
    let service = Scripted::new(scripts, &address).service_with(|request: tonic::Request<()>| {
        match request.metadata().get("authorization").map(tonic::metadata::MetadataValue::as_bytes) {
            Some(b"Bearer key") => Ok(request),
            _ => Err(Status::unauthenticated("no key")),
        }
    });
    let server = Server::builder().tls_config(tls).unwrap().add_service(service);
    tokio::spawn(async move { server.serve_with_incoming(incoming).await });
    address
}

fn client(address: &str, tls: Tls) -> Client {
    Client::builder().address(address).api_key("key").tls(tls).pacing(hasty()).build().unwrap()
}

#[tokio::test]
async fn a_gateway_is_trusted_by_its_authority() {
    within(async {
        let authority = authority();
        let address = serve(&authority, false);
        let info = client(&address, Tls::ca_pem(authority.pem())).sessions().get("sess_1").await.unwrap();
        assert_eq!(info.id, "sess_1");
        let stranger = client(&address, Tls::ca_pem(self::authority().pem()));
        assert!(matches!(stranger.sessions().get("sess_1").await, Err(Error::Unavailable(_))));
    })
    .await;
}

#[tokio::test]
async fn a_caller_shows_its_own_certificate() {
    within(async {
        let authority = authority();
        let address = serve(&authority, true);
        let (certificate, key) = signed_by(&authority);
        let known = client(&address, Tls::ca_pem(authority.pem()).identity_pem(certificate, key));
        known.sessions().get("sess_1").await.unwrap();
        let nobody = client(&address, Tls::ca_pem(authority.pem()));
        assert!(matches!(nobody.sessions().get("sess_1").await, Err(Error::Unavailable(_))));
    })
    .await;
}

#[test]
fn a_file_without_a_certificate_is_refused() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    for text in ["", "not a certificate", &key] {
        let error = Client::builder().address("127.0.0.1:1").tls(Tls::ca_pem(text)).build().unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }
    let authority = authority();
    let tls = Tls::ca_pem(authority.pem()).identity_pem("no certificate", "no key");
    assert!(matches!(Client::builder().address("127.0.0.1:1").tls(tls).build(), Err(Error::Usage(_))));
}

#[tokio::test]
async fn without_the_key_a_caller_is_refused() {
    within(async {
        let authority = authority();
        let address = serve(&authority, false);
        let builder = Client::builder().address(address).api_key("other").tls(Tls::ca_pem(authority.pem()));
        let error = builder.build().unwrap().sessions().get("sess_1").await.unwrap_err();
        assert_eq!(error.code(), "UNAUTHENTICATED");
    })
    .await;
}
