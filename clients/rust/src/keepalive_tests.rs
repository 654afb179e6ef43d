use tonic::transport::Endpoint;

use super::*;
use crate::pacing::Pacing;

#[derive(Default)]
struct Heard(Mutex<Vec<KeepaliveEvent>>);

impl Listener for Heard {
    fn hear(&self, event: &KeepaliveEvent) {
        self.0.lock().unwrap().push(event.clone());
    }

    fn stop(&self, _: &KeepaliveEvent) {}
}

fn renewer() -> Arc<Renewer> {
    let endpoint = Endpoint::from_static("http://localhost:1");
    Renewer::new(Arc::new(Transport::new(endpoint, None, None, Pacing::default())))
}

fn weak(listener: &Arc<Heard>) -> Weak<dyn Listener> {
    Arc::downgrade(&(Arc::clone(listener) as Arc<dyn Listener>))
}

#[tokio::test]
async fn a_session_of_nobody_is_not_asked_about() {
    let renewer = renewer();
    let (gone, there) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
    renewer.add("sess_1", weak(&gone));
    renewer.add("sess_2", weak(&there));
    drop(gone);
    assert_eq!(renewer.to_ask(true), ["sess_2"]);
    assert_eq!(renewer.lock().live.len(), 1);
}

#[tokio::test]
async fn one_session_too_many_is_refused_alone() {
    let renewer = renewer();
    let heard = Arc::new(Heard::default());
    for number in 0..=MAX_SESSIONS {
        renewer.add(&format!("sess_{number}"), weak(&heard));
    }
    // One that is renewed already may have one more listener.
    renewer.add("sess_0", weak(&heard));
    let events = heard.0.lock().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].session_id, format!("sess_{MAX_SESSIONS}"));
    assert!(matches!(events[0].outcome, Err(Error::Usage(_))));
    assert_eq!(renewer.lock().live.len(), MAX_SESSIONS);
}
