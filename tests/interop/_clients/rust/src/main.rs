// The crate libsql, remote: interop URL TOKEN
use libsql::{params, Builder, Connection, Value};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

async fn count(con: &Connection) -> Result<i64, Failure> {
    let mut rows = con.query("select count(*) from t", ()).await?;
    Ok(rows.next().await?.ok_or("no row")?.get::<i64>(0)?)
}

async fn failure(con: &Connection, sql: &str) -> String {
    match con.execute(sql, ()).await {
        Ok(_) => "none".into(),
        Err(error) => error.to_string(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (url, token) = (arguments.next().ok_or("URL")?, arguments.next().ok_or("TOKEN")?);
    let db = Builder::new_remote(url.clone(), token).build().await?;
    let con = db.connect()?;

    con.execute_batch("create table t(id integer primary key, x unique); create table v(a, b, c, d, e)").await?;
    let values = params![Value::Null, 9007199254740993i64, 1.5, "é", vec![0u8, 255]];
    con.execute("insert into v values (?, ?, ?, ?, ?)", values).await?;
    let mut rows = con.query("select * from v", ()).await?;
    let row = rows.next().await?.ok_or("no row")?;
    let blob: String = row.get::<Vec<u8>>(4)?.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(matches!(row.get_value(0)?, Value::Null));
    let values = json!([null, row.get::<i64>(1)?.to_string(), row.get::<f64>(2)?, row.get::<String>(3)?, blob]);
    drop(rows);

    let changes = con.execute("insert into t(x) values (:x)", libsql::named_params! { ":x": "a" }).await?;
    let rowid = con.last_insert_rowid().to_string();
    con.execute_batch("insert into t(x) values ('b'); insert into t(x) values ('c')").await?;
    let batch = count(&con).await?;
    let good = con.transaction().await?;
    good.execute("insert into t(x) values (?)", ["e"]).await?;
    good.commit().await?;
    let commit = count(&con).await?;
    let bad = con.transaction().await?;
    bad.execute("insert into t(x) values (?)", ["f"]).await?;
    bad.rollback().await?;
    let rollback = count(&con).await?;
    let mut prepared = con.prepare("select x from t where id = ?").await?;
    let name = prepared.query_row([1]).await?.get::<String>(0)?;

    let errors = json!({
        "unique": failure(&con, "insert into t(x) values ('a')").await,
        "syntax": failure(&con, "selec").await,
        "missing": failure(&con, "select * from nope").await,
    });
    let mut tasks = Vec::new();
    for i in 0..20i64 {
        let each = db.connect()?;
        tasks.push(tokio::spawn(async move {
            let mut rows = each.query("select ? + 0", [i]).await?;
            rows.next().await?.map_or(Ok(0), |row| row.get::<i64>(0))
        }));
    }
    let mut concurrent = 0;
    for task in tasks {
        concurrent += task.await??;
    }
    let stranger = Builder::new_remote(url, String::new()).build().await?.connect()?;
    let refused = failure(&stranger, "select 1").await;
    let facts = json!({
        "values": values, "changes": changes, "rowid": rowid, "batch": batch, "commit": commit, "rollback": rollback,
        "prepared": name, "errors": errors, "concurrent": concurrent, "refused": refused,
    });
    println!("{facts}");
    Ok(())
}
