use super::*;
use crate::{pacing::Pacing, transport::Transport};

fn renewer() -> Arc<Renewer> {
    let endpoint = tonic::transport::Endpoint::from_static("http://localhost:1");
    Renewer::new(Arc::new(Transport::new(endpoint, None, None, Pacing::default())))
}

async fn opened(options: SessionOptions) -> Arc<Shared> {
    let shared = Shared::new(options);
    let turn = shared.turn(Deadline::after(None)).await.unwrap();
    let answer = v1::RunResponse { session_id: "sess_1".into(), ..v1::RunResponse::default() };
    shared.take(&RunResult::from_answer(answer).unwrap(), turn);
    shared
}

#[tokio::test]
async fn a_session_that_was_ended_before_its_first_renewal_is_not_renewed() {
    let (renewer, shared) = (renewer(), opened(SessionOptions::new("kv").keepalive(true)).await);
    shared.close();
    shared.keep_alive(&renewer);
    assert!(renewer.lock().live.is_empty());
}

#[tokio::test]
async fn only_who_was_given_the_last_output_would_wait_for_itself() {
    let shared = Shared::new(SessionOptions::new("sql"));
    let turn = shared.turn(Deadline::after(None)).await.unwrap();
    turn.read_by_this_task();
    assert!(shared.refuse_own_reader().is_err());
    let elsewhere = Arc::clone(&shared);
    assert!(tokio::spawn(async move { elsewhere.refuse_own_reader().is_ok() }).await.unwrap());
    turn.reads_on();
    assert!(shared.refuse_own_reader().is_ok());
}

#[tokio::test]
async fn two_runtimes_that_were_entered_are_two_readers() {
    let shared = Shared::new(SessionOptions::new("sql"));
    let turn = shared.turn(Deadline::after(None)).await.unwrap();
    turn.read_by_this_task();
    let elsewhere = Arc::clone(&shared);
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { elsewhere.refuse_own_reader().is_ok() })
    });
    assert!(other.join().unwrap());
}

#[tokio::test]
async fn a_stream_that_would_open_an_ended_session_is_refused() {
    let shared = Shared::new(SessionOptions::new("sql"));
    let turn = shared.turn(Deadline::after(None)).await.unwrap();
    shared.close();
    assert!(matches!(turn.held_by(Weak::new()), Err(Error::Usage(_))));
}
