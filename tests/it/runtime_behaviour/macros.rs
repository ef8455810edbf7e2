// tokio's macros, through this path.

use std::time::Duration;

tokio::task_local! {
    static NAME: &'static str;
}

#[tokio::test]
async fn joins() {
    assert_eq!(tokio::join!(async { 1 }, async { 2 }), (1, 2));
    let failed: Result<(u32, u32), &str> = tokio::try_join!(async { Ok(1) }, async { Err("no") });
    assert_eq!(failed, Err("no"));
}

#[tokio::test(start_paused = true)]
async fn selects() {
    let slow = tokio::time::sleep(Duration::from_mins(1));
    tokio::pin!(slow);
    let won = tokio::select! {
        biased;
        () = &mut slow => "slow",
        it = async { "fast" } => it,
    };
    assert_eq!(won, "fast");
    tokio::select! {
        () = slow => {}
        else => unreachable!(),
    }
}

#[tokio::test]
async fn locals() {
    let name = NAME.scope("inner", async { NAME.get() }).await;
    assert_eq!(name, "inner");
    let spawned = tokio::spawn(NAME.scope("task", async { NAME.get() }));
    assert_eq!(spawned.await.unwrap(), "task");
}
