//! A session with a Python interpreter, a database that streams, and what a failure looks like. Runs against `make
//! serve`.

use std::error::Error;

use serde_json::{Value, json};
use sessiongateway::{Call, Client, Run, SessionOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::from_env()?;
    let apps = client.apps().list(None).all().await?;
    println!("deployed: {}", apps.iter().map(|app| app.name.as_str()).collect::<Vec<_>>().join(", "));

    let session = client.session(SessionOptions::new("interpreter").session_timeout(120).keepalive(true));
    session.call(code("answer = 6 * 7")).await?;
    let output: Value = session.call(code("answer")).await?.output.decode()?;
    println!("{:?} remembers {}", session.id(), output["result"]);

    // The process dies, and its session with it: nothing is recreated behind the caller's back.
    let died = session.call(code("import os; os._exit(3)")).await.expect_err("the worker is gone");
    println!("{}: {:?}, {:?}", died.code(), died.run_state(), died.failure().worker_exit);
    session.end().await?;

    let squares = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i * i FROM n";
    let rows = Call::to("rows").input(&json!({"sql": squares, "batch_rows": 3}));
    let mut stream = client.run_stream(Run::new("sql").call(rows))?;
    while let Some(batch) = stream.next().await {
        println!("{}", batch?.decode::<Value>()?["rows"]);
    }
    client.close().await;
    Ok(())
}

fn code(text: &str) -> Call {
    Call::new().input(&json!({"code": text}))
}
