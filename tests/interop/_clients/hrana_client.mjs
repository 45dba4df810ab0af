// @libsql/hrana-client: node hrana_client.mjs URL TOKEN
import * as hrana from "@libsql/hrana-client";

const [url, token] = process.argv.slice(2);
const open = (jwt) => (url.startsWith("ws") ? hrana.openWs(url, jwt, 3) : hrana.openHttp(url, jwt, undefined, undefined, 3));
const client = open(token);
client.intMode = "bigint";
const failure = async (run) => {
  try {
    await run();
  } catch (error) {
    return error.code ?? error.message;
  }
  return "none";
};
const facts = { version: await client.getVersion() };

const stream = client.openStream();
await stream.sequence("create table t(id integer primary key, x unique); create table v(a, b, c, d, e)");
const count = async () => Number((await stream.queryValue("select count(*) from t")).value);
const blob = new Uint8Array([0, 255]).buffer;
await stream.run(["insert into v values (?, ?, ?, ?, ?)", [null, 9007199254740993n, 1.5, "é", blob]]);
const { row } = await stream.queryRow("select * from v");
facts.values = [row.a, String(row.b), row.c, row.d, Buffer.from(row.e).toString("hex")];

const inserted = await stream.run(["insert into t(x) values ($x)", { x: "a" }]);
facts.changes = inserted.affectedRowCount;
facts.rowid = String(inserted.lastInsertRowid);
facts.returning = Number((await stream.queryValue("insert into t(x) values ('b') returning id")).value);

const batch = async (useCursor) => {
  const steps = stream.batch(useCursor);
  const first = steps.step();
  const insert = first.run("insert into t(x) values ('c')");
  const again = steps.step().condition(hrana.BatchCond.ok(first));
  const failed = again.run("insert into t(x) values ('a')");
  const last = steps.step().condition(hrana.BatchCond.not(hrana.BatchCond.ok(again)));
  const rows = last.query("select x from t order by id");
  [insert, failed, rows].forEach((each) => each.catch(() => {})); // they may fail before they are awaited
  await steps.execute();
  return [(await insert).affectedRowCount, await failure(() => failed), (await rows).rows.length];
};
facts.batch = await batch(false);
await stream.run("delete from t where x = 'c'");
facts.cursor = await batch(true).catch((error) => error.message);
await stream.run("delete from t where x = 'c'");

await stream.run("begin");
facts.autocommit = await stream.getAutocommit();
await stream.run("insert into t(x) values ('in')");
await stream.run("rollback");
facts.rollback = await count();
await stream.sequence("begin; insert into t(x) values ('kept'); commit");
facts.commit = await count();

const described = await stream.describe("select id, x, :p from t");
facts.described = [described.columns.map((c) => [c.name, c.decltype ?? null]), described.paramNames, described.isReadonly];
const stored = (url.startsWith("ws") ? client : stream).storeSql("select 7 as seven");
facts.stored = Number((await stream.queryValue(stored)).value);
stored.close();
facts.errors = {
  unique: await failure(() => stream.run("insert into t(x) values ('a')")),
  syntax: await failure(() => stream.run("selec")),
  missing: await failure(() => stream.run("select * from nope")),
};
const streams = Array.from({ length: 20 }, () => client.openStream());
const values = await Promise.all(streams.map((each, i) => each.queryValue(["select ? + 0", [BigInt(i)]])));
facts.concurrent = values.reduce((sum, each) => sum + Number(each.value), 0);
streams.forEach((each) => each.close());
stream.close();
client.close();

const stranger = open(undefined);
facts.refused = await failure(async () => {
  const denied = stranger.openStream();
  await denied.run("select 1");
});
stranger.close();
console.log(JSON.stringify(facts));
