// @libsql/client: node libsql_client.mjs URL TOKEN
import { createClient } from "@libsql/client";

const [url, authToken] = process.argv.slice(2);
const client = createClient({ url, authToken, intMode: "bigint" });
const count = async (on = client) => Number((await on.execute("select count(*) as n from t")).rows[0].n);
const failure = async (run) => {
  try {
    await run();
  } catch (error) {
    return error.code;
  }
  return "none";
};
const facts = {};

await client.executeMultiple("create table t(id integer primary key, x unique); create table v(a, b, c, d, e)");
const blob = new Uint8Array([0, 255]);
await client.execute({ sql: "insert into v values (?, ?, ?, ?, ?)", args: [null, 9007199254740993n, 1.5, "é", blob] });
const row = (await client.execute("select * from v")).rows[0];
facts.values = [row.a, String(row.b), row.c, row.d, Buffer.from(row.e).toString("hex")];

const inserted = await client.execute({ sql: "insert into t(x) values ($x)", args: { x: "a" } });
facts.changes = inserted.rowsAffected;
facts.rowid = String(inserted.lastInsertRowid);

const batch = await client.batch(
  ["insert into t(x) values ('b')", { sql: "insert into t(x) values (?)", args: ["c"] }, "select count(*) from t"],
  "write",
);
facts.batch = Number(batch[2].rows[0][0]);
facts.read_batch = (await client.batch(["select 1", "select 2"], "read")).length;
await failure(() => client.batch(["insert into t(x) values ('d')", "insert into t(x) values ('a')"], "write"));
facts.failed_batch = await count();

const good = await client.transaction("write");
await good.execute("insert into t(x) values ('e')");
await good.commit();
facts.commit = await count();
const bad = await client.transaction("write");
await bad.execute("insert into t(x) values ('f')");
facts.seen_inside = await count(bad);
await bad.rollback();
facts.rollback = await count();
await client.migrate(["create table later(x)", "alter table t add column y"]);
facts.migrated = (await client.execute("select * from t limit 1")).columns;

facts.errors = {
  unique: await failure(() => client.execute("insert into t(x) values ('a')")),
  syntax: await failure(() => client.execute("selec")),
  missing: await failure(() => client.execute("select * from nope")),
  column: await failure(() => client.execute("select nope")),
  arguments: await failure(() => client.execute("select ?")),
};
const streams = Array.from({ length: 20 }, (_, i) => client.execute({ sql: "select ? + 0 as n", args: [BigInt(i)] }));
facts.concurrent = (await Promise.all(streams)).reduce((sum, result) => sum + Number(result.rows[0].n), 0);
const writers = Array.from({ length: 20 }, (_, i) => client.execute({ sql: "insert into t(x) values (?)", args: [`w${i}`] }));
await Promise.all(writers);
facts.writers = await count();
client.close();

const stranger = createClient({ url });
facts.refused = await failure(() => stranger.execute("select 1"));
stranger.close();
console.log(JSON.stringify(facts));
