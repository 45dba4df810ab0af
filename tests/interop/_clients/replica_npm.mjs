// An embedded replica of an npm client: node replica_npm.mjs PACKAGE FILE URL TOKEN [OPTIONS]
// Takes commands from standard input, one JSON object a line, and answers each with one.
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

const [name, file, url, authToken, options] = process.argv.slice(2);
const more = JSON.parse(options ?? "{}");
const COLUMNS = "select m.name, p.name as column_name from sqlite_schema m, pragma_table_info(m.name) p where m.type = 'table'";
const cells = (row) => Object.values(row);
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

async function open() {
  if (name === "libsql") {
    const Database = (await import("libsql")).default;
    const db = new Database(file, { syncUrl: url, authToken, ...more });
    return {
      sync: async () => db.sync(),
      rows: async (sql) => db.prepare(sql).raw().all(),
      run: async (sql, params) => {
        if (!params) return db.exec(sql), [];
        const statement = db.prepare(sql);
        return statement.reader ? statement.raw().all(params) : (statement.run(params), []);
      },
      close: () => db.close(),
    };
  }
  const { createClient } = await import("@libsql/client");
  const client = createClient({ url: `file:${file}`, syncUrl: url, authToken, ...more });
  return {
    sync: () => client.sync(),
    rows: async (sql) => (await client.execute(sql)).rows.map((row) => Array.from(row)),
    run: async (sql, params) => (await client.execute({ sql, args: params ?? [] })).rows.map((row) => Array.from(row)),
    write: (sql) => client.batch(sql, "write"),
    close: () => client.close(),
  };
}

const replica = await open();

function stateQuery(schema) {
  const columns = new Map();
  for (const [table, column] of schema) {
    columns.set(table, [...(columns.get(table) ?? []), column]);
  }
  const parts = [
    `select 'column ' || name || ' ' || column_name from (${COLUMNS})`,
    "select 'schema ' || type || ' ' || name from sqlite_schema where type <> 'index' or sql is not null",
  ];
  for (const [table, names] of [...columns].sort()) {
    const list = names.map((each) => `quote("${each}")`).join(" || ' ' || ");
    parts.push(`select '${table} ' || ${list} from "${table}" `);
  }
  return parts.join(" union all ");
}

async function state() {
  const lines = (await replica.rows(stateQuery(await replica.rows(COLUMNS)))).map((row) => row[0]);
  const last = lines.filter((line) => line.startsWith("history ")).map((line) => Number(line.slice(8)));
  return [last.reduce((a, b) => Math.max(a, b), 0), sha256(lines.map(sha256).sort().join("")).slice(0, 32)];
}

const commands = {
  async sync() {
    await replica.sync();
    return { state: await state() };
  },
  async follow({ until, seconds = 60 }) {
    const seen = [];
    const errors = [];
    const end = Date.now() + seconds * 1000;
    let looked = 0;
    while ((seen.length === 0 || seen.at(-1)[0] < until) && Date.now() < end) {
      await new Promise((done) => setTimeout(done, 10));
      try {
        await replica.sync();
      } catch (error) {
        errors.push(String(error.message));
        continue;
      }
      if ((await replica.rows("select 1 from sqlite_schema where name = 'history'")).length === 0) continue;
      const [[last]] = await replica.rows("select max(n) from history");
      if (last >= until || Date.now() > looked + 600) {
        looked = Date.now();
        seen.push(await state());
      }
    }
    return { seen, errors };
  },
  async write({ sql, read }) {
    if (replica.write) await replica.write(sql);
    else for (const each of ["begin", ...sql, "commit"]) await replica.run(each);
    return { rows: await replica.rows(read) };
  },
  async read({ sql }) {
    return { rows: await replica.rows(sql) };
  },
  async run({ sql, params }) {
    return { rows: await replica.run(sql, params) };
  },
  async end({ how }) {
    await replica.run(how);
    return {};
  },
  async time({ what, count, sql }) {
    const taken = [];
    for (let number = 0; number < count; number++) {
      const began = performance.now();
      await (what === "sync" ? replica.sync() : what === "read" ? replica.rows(sql) : replica.run(sql));
      taken.push((performance.now() - began) / 1000);
    }
    return { seconds: taken };
  },
};

console.log("{}");
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = await commands[command.do](command);
  } catch (error) {
    answer = { error: `${error.code ?? error.name}: ${error.message}` };
  }
  console.log(JSON.stringify(answer));
}
replica.close();
