//! Connections that break, hang or lead nowhere.
#![allow(missing_docs, reason = "the names of the tests say it")]

mod support;

use std::time::Duration;

use sessiongateway::{
    Client, Error, Run, RunState,
    v1::{self, run_stream_response::Part},
};
use support::{
    scripted::{Scripted, Scripts, hasty},
    within,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

fn client(address: &str) -> Client {
    Client::builder().address(address).pacing(hasty()).build().unwrap()
}

/// Passes bytes on until it is told to cut all connections.
async fn cuttable(target: &str) -> (String, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (cut, is_cut) = watch::channel(false);
    let target = target.to_owned();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(&target).await.unwrap();
            let mut is_cut = is_cut.clone();
            tokio::spawn(async move {
                tokio::select! {
                    _ = is_cut.wait_for(|cut| *cut) => {}
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                }
            });
        }
    });
    (address, cut)
}

#[tokio::test]
async fn a_cut_stream_is_an_error() {
    within(async {
        let scripts = Scripts {
            run_stream: Some(Box::new(|_, _| {
                let part = || Ok(v1::RunStreamResponse { part: Some(Part::PartialJson(b"{}".to_vec())) });
                // More than the windows of a connection hold, so that it cannot be over before it is cut.
                Ok((0..1_000_000).map(|_| part()).collect())
            })),
            ..Scripts::default()
        };
        let (gateway, serving) = Scripted::start(scripts).await;
        let (address, cut) = cuttable(&gateway.address).await;
        let mut stream = client(&address).run_stream(Run::new("kv")).unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        cut.send(true).unwrap();
        let error = loop {
            if let Err(error) = stream.next().await.expect("it cannot end well") {
                break error;
            }
        };
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert_eq!(error.run_state(), Some(RunState::Unknown));
        assert!(stream.next().await.is_none());
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_run_whose_connection_is_cut_may_have_been_applied() {
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cutting = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            // An empty SETTINGS frame is all that a server has to say before it takes requests.
            connection.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
            let mut heard = Vec::new();
            while !heard.windows(8).any(|bytes| bytes == b"\"secret\"") {
                assert!(connection.read_buf(&mut heard).await.unwrap() > 0);
            }
        });
        let call = sessiongateway::Call::new().input(&serde_json::json!({"secret": 1}));
        let error = client(&address).run(Run::new("kv").call(call)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert_eq!(error.run_state(), Some(RunState::Unknown));
        cutting.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_run_that_never_had_a_connection_was_never_started() {
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = client(&address).run(Run::new("kv")).await.unwrap_err();
        assert_eq!((error.code(), error.run_state()), ("UNAVAILABLE", Some(RunState::NotStarted)));
        let mut stream = client(&address).run_stream(Run::new("kv")).unwrap();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.code(), error.run_state()), ("UNAVAILABLE", Some(RunState::NotStarted)));
    })
    .await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_at_the_deadline() {
    within(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = client(&listener.local_addr().unwrap().to_string()).with_timeout(Duration::from_millis(200));
        let error = silent.run(Run::new("kv")).await.unwrap_err();
        assert!(matches!(error, Error::DeadlineExceeded(_)), "{error}");
        let error = silent.with_timeout(Duration::ZERO).run(Run::new("kv")).await.unwrap_err();
        assert_eq!((error.code(), error.run_state()), ("DEADLINE_EXCEEDED", Some(RunState::NotStarted)));
        let error = silent.sessions().get("sess_1").await.unwrap_err();
        assert_eq!((error.code(), error.run_state()), ("DEADLINE_EXCEEDED", None));
    })
    .await;
}

#[tokio::test]
async fn the_same_client_finds_a_gateway_that_comes_back() {
    within(async {
        let answering = || Scripts {
            run: Some(Box::new(|_, _| Ok(v1::RunResponse { call_id: "call_1".into(), ..v1::RunResponse::default() }))),
            ..Scripts::default()
        };
        let (gateway, serving) = Scripted::start(answering()).await;
        let (address, cut) = cuttable(&gateway.address).await;
        let client = client(&address);
        client.run(Run::new("kv")).await.unwrap();
        cut.send(true).unwrap();
        cut.send(false).unwrap();
        // The first run may still meet the connection that is gone; it is not sent twice behind the caller's back.
        let outcome = client.run(Run::new("kv")).await;
        assert!(matches!(outcome, Ok(_) | Err(Error::Unavailable(_))), "{outcome:?}");
        client.run(Run::new("kv")).await.unwrap();
        serving.abort();
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_gateway_may_be_behind_a_socket_file() {
    within(async {
        let scripts = Scripts {
            run: Some(Box::new(|_, _| Ok(v1::RunResponse { call_id: "call_1".into(), ..v1::RunResponse::default() }))),
            ..Scripts::default()
        };
        let (gateway, serving) = Scripted::start(scripts).await;
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("gateway");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let target = gateway.address.clone();
        let passing = tokio::spawn(async move {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(target).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
        for spelling in [format!("unix:{}", path.display()), format!("dns:///{}", gateway.address)] {
            let client = client(&spelling);
            assert_eq!(client.run(Run::new("kv")).await.unwrap().call_id, "call_1");
            client.close().await;
        }
        // The connection is closed with its client.
        passing.await.unwrap();
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_an_address_or_a_key_is_refused_at_once() {
    for address in ["", "localhost", "host:port", ":50151", "a b:1"] {
        assert!(matches!(Client::builder().address(address).build(), Err(Error::Usage(_))), "{address:?}");
    }
    let error = Client::builder().api_key("secret\n").build().unwrap_err();
    assert!(matches!(&error, Error::Usage(_)) && !format!("{error:?}").contains("secret"));
}
