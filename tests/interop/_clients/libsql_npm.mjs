// libsql (npm), remote: node libsql_npm.mjs URL TOKEN
import Database from "libsql";

const [url, authToken] = process.argv.slice(2);
const db = new Database(url, { authToken });
const count = () => db.prepare("select count(*) as n from t").get().n;
const failure = (run) => {
  try {
    run();
  } catch (error) {
    return `${error.code}: ${error.message}`;
  }
  return "none";
};
const facts = {};

db.exec("create table t(id integer primary key, x unique); create table v(a, b, c, d, e)");
db.prepare("insert into v values (?, ?, ?, ?, ?)").run(null, 9007199254740993n, 1.5, "é", Buffer.from([0, 255]));
const read = db.prepare("select * from v");
read.safeIntegers(true);
const row = read.get();
facts.values = [row.a, String(row.b), row.c, row.d, Buffer.from(row.e).toString("hex")];
const inserted = db.prepare("insert into t(x) values (?)").run("a");
facts.changes = inserted.changes;
facts.rowid = String(inserted.lastInsertRowid);
db.exec("insert into t(x) values ('b'); insert into t(x) values ('c')");
facts.batch = count();
const insert = db.transaction((...values) => values.forEach((x) => db.prepare("insert into t(x) values (?)").run(x)));
insert("e");
facts.commit = count();
failure(() => insert("f", "a"));
facts.rollback = count();
facts.all = db.prepare("select x from t order by id").all().map((each) => each.x);
facts.errors = {
  unique: failure(() => db.prepare("insert into t(x) values (?)").run("a")),
  syntax: failure(() => db.prepare("selec").run()),
  missing: failure(() => db.prepare("select * from nope").get()),
};
db.close();
facts.refused = failure(() => new Database(url).prepare("select 1").get());
console.log(JSON.stringify(facts));
