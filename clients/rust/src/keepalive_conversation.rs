//! One stream of renewals, from its opening until it breaks or nothing is left to renew.

use tokio::{sync::mpsc, time::Instant};
use tonic::Streaming;

use crate::{
    error::Result,
    keepalive::{MAX_SESSIONS, Renewer},
    pacing::Deadline,
    status::{broken_stream, from_status},
    v1,
};

const IDS_PER_MESSAGE: usize = 1000;

/// What the conversation has to wait for.
#[derive(Debug, PartialEq)]
enum Wait {
    Renewal(Instant),
    Overdue(Instant),
}

pub(crate) struct Conversation<'a> {
    renewer: &'a Renewer,
    pub(crate) answered: bool,
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(renewer: &'a Renewer) -> Self {
        Self { renewer, answered: false }
    }

    /// # Errors
    ///
    /// Why the stream is of no use any more.
    pub(crate) async fn hold(&mut self) -> Result<()> {
        let renewer = self.renewer;
        renewer.begin();
        let (questions, mut outgoing) = mpsc::unbounded_channel();
        let outgoing = futures_util::stream::poll_fn(move |context| outgoing.poll_recv(context));
        let request = renewer.transport.request(outgoing, Deadline::after(None));
        let mut stub = renewer.transport.sessions();
        let opening = stub.stream_keepalive(request);
        tokio::pin!(opening);
        let mut answers: Option<Streaming<v1::StreamKeepaliveResponse>> = None;
        let all = renewer.to_ask(true);
        let mut carried = all.len();
        let mut sent = ask(&questions, &all);
        let mut spread = spread();
        loop {
            let (moment, overdue) = match self.wait(sent, spread) {
                None => return Ok(()),
                Some(Wait::Renewal(moment)) => (moment, false),
                Some(Wait::Overdue(moment)) => (moment, true),
            };
            tokio::select! {
                opened = &mut opening, if answers.is_none() => {
                    answers = Some(opened.map_err(|status| from_status(&status, None))?.into_inner());
                }
                answer = next(answers.as_mut()) => {
                    let answer = answer?;
                    self.answered = true;
                    renewer.take(answer)?;
                }
                () = renewer.changed.notified() => {
                    let new = renewer.to_ask(false);
                    carried += new.len();
                    if carried > MAX_SESSIONS {
                        // The gateway keeps those that nobody wants any more, too: a new stream is rid of them.
                        return Err(broken_stream("as many sessions as a stream can carry"));
                    }
                    ask(&questions, &new);
                }
                () = tokio::time::sleep_until(moment) => {
                    if overdue {
                        return Err(broken_stream("no answer in time"));
                    }
                    sent = ask(&questions, &renewer.to_ask(true));
                    spread = self::spread();
                }
            }
        }
    }

    /// Returns what comes next: a renewal, or the moment at which an answer has failed to come. `None` if nothing is
    /// live.
    fn wait(&self, sent: Instant, spread: f64) -> Option<Wait> {
        let state = self.renewer.lock();
        if state.live.is_empty() {
            return None;
        }
        let patience = self.renewer.transport.pacing.reply_timeout;
        let shortest = state.live.values().filter_map(|entry| entry.timeout).min();
        let overdue = state.live.values().filter_map(|entry| entry.unanswered).min().map(|since| since + patience);
        let renewal = shortest.map(|timeout| sent + timeout.mul_f64(spread / 3.0));
        Some(match (renewal, overdue) {
            (Some(renewal), Some(overdue)) if overdue < renewal => Wait::Overdue(overdue),
            (Some(renewal), _) => Wait::Renewal(renewal),
            (None, Some(overdue)) => Wait::Overdue(overdue),
            // Nothing is known only if a gateway answered without a session: try again after a while.
            (None, None) => Wait::Renewal(sent + patience),
        })
    }
}

/// Between 0.8 and 1: many clients that were started together shall not renew together.
fn spread() -> f64 {
    1.0 - 0.2 * fastrand::f64()
}

/// Sends the ids, and returns when that was. A queue without a bound holds no more than is renewed until an answer is
/// overdue.
fn ask(questions: &mpsc::UnboundedSender<v1::StreamKeepaliveRequest>, session_ids: &[String]) -> Instant {
    for batch in session_ids.chunks(IDS_PER_MESSAGE) {
        // The stream that is gone tells so where its answers are read.
        let _ = questions.send(v1::StreamKeepaliveRequest { session_ids: batch.to_vec(), ..Default::default() });
    }
    Instant::now()
}

async fn next(answers: Option<&mut Streaming<v1::StreamKeepaliveResponse>>) -> Result<v1::StreamKeepaliveResponse> {
    match answers {
        None => std::future::pending().await,
        Some(answers) => match answers.message().await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(broken_stream("the gateway closed the stream")),
            Err(status) => Err(from_status(&status, None)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tonic::transport::Endpoint;

    use super::*;
    use crate::{keepalive::Entry, pacing::Pacing, transport::Transport};

    fn renewer(reply_timeout: Duration) -> Arc<Renewer> {
        let pacing = Pacing { reply_timeout, ..Pacing::default() };
        Renewer::new(Arc::new(Transport::new(Endpoint::from_static("http://localhost:1"), None, None, pacing)))
    }

    fn entry(timeout: Option<u64>, unanswered: Option<Instant>) -> Entry {
        let mut entry = Entry::default();
        entry.timeout = timeout.map(Duration::from_secs);
        entry.unanswered = unanswered;
        entry
    }

    #[test]
    fn a_renewal_comes_at_a_third_of_the_shortest_timeout_or_a_little_earlier() {
        let renewer = renewer(Duration::from_secs(10));
        let sent = Instant::now();
        renewer.lock().live.extend([("a".into(), entry(Some(60), None)), ("b".into(), entry(Some(30), None))]);
        let wait = |spread| Conversation::new(&renewer).wait(sent, spread);
        assert_eq!(wait(1.0), Some(Wait::Renewal(sent + Duration::from_secs(10))));
        assert_eq!(wait(0.8), Some(Wait::Renewal(sent + Duration::from_secs(8))));
        assert!((0..1000).all(|_| (0.8..=1.0).contains(&spread())));
    }

    #[test]
    fn an_answer_that_fails_to_come_is_waited_for_no_longer_than_that() {
        let renewer = renewer(Duration::from_secs(3));
        let sent = Instant::now();
        let wait = || Conversation::new(&renewer).wait(sent, 1.0);
        assert_eq!(wait(), None);
        renewer.lock().live.insert("a".into(), entry(None, None));
        assert_eq!(wait(), Some(Wait::Renewal(sent + Duration::from_secs(3))));
        renewer.lock().live.insert("b".into(), entry(Some(60), Some(sent)));
        assert_eq!(wait(), Some(Wait::Overdue(sent + Duration::from_secs(3))));
        renewer.lock().live.insert("b".into(), entry(Some(6), Some(sent)));
        assert_eq!(wait(), Some(Wait::Renewal(sent + Duration::from_secs(2))));
    }
}
