#!/usr/bin/env node
// PostgreSQL beside SQLite, both with fsync: durable updates by 50 clients; then the same 50 clients at one
// process and at two that share the database. Run by tests/lib/pg.sh with fsync on (scripts/bench does so).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { format, load, median, quick, report, startRelease, wrkAll } from './lib.mjs';

const server = process.env.MARUGOTO_TEST_PG;
if (!server) {
    console.log('skipped: no PostgreSQL (start me with tests/lib/pg.sh)');
    process.exit(0);
}
const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-bench-'));
const psql = (sql) => spawnSync('psql', ['-q', '-d', server, '-c', sql]);

// Updates of one attribute of 1,000 entities; tenants: how many the clients use in turns.
function script(name, tenants) {
    const file = path.join(dir, `${name}.lua`);
    writeFileSync(file, `
math.randomseed(os.time() + tonumber(tostring({}):sub(8), 16))
local n = math.random(1, 1000000)
request = function()
  n = n + 7919
  local id = string.format("urn:ngsi-ld:AirQualityObserved:bench-%07d", n % 1000)
  local body = string.format('{"temperature":{"type":"Property","value":%d.%d,"unitCode":"CEL"}}', n % 40, n % 10)
  local headers = {["Content-Type"] = "application/json"}
  if ${tenants} > 1 then headers["NGSILD-Tenant"] = "t" .. (math.floor(n / 1000) % ${tenants}) end
  return wrk.format("PATCH", "/ngsi-ld/v1/entities/" .. id .. "/attrs", headers, body)
end`);
    return file;
}
const one = script('one', 1), four = script('four', 4);

let made = 0;
async function rate(engine, processes, file = one) {
    const name = `bench_${process.pid}_${++made}`;
    let store = `sqlite:${dir}/${name}.db`;
    if (engine === 'postgres') {
        psql(`CREATE DATABASE ${name}`);
        const url = new URL(server);
        url.pathname = `/${name}`;
        store = url.href;
    }
    const cities = [];
    for (let i = 0; i < processes; i++) cities.push(await startRelease({ store }));
    if (file === one) await load(cities[0], 0, 1000);
    else for (let t = 0; t < 4; t++) await load({ post: (p, b) => cities[0].post(p, b, { headers: { 'NGSILD-Tenant': `t${t}` } }) }, 0, 1000);
    const sum = await wrkAll(cities.map((c) => c.url), { script: file, connections: 50 / processes });
    for (const city of cities) await city.stop();
    if (engine === 'postgres') psql(`DROP DATABASE ${name} WITH (FORCE)`);
    return sum;
}

async function compare(title, limit, a, b, detail) {
    const x = [], y = [];
    for (let i = 0; i < (quick ? 1 : 5); i++) {
        x.push(await rate(...a));
        y.push(await rate(...b));
    }
    report(title, median(x) / median(y), limit, 'min', `${format(median(x))}/s : ${format(median(y))}/s ${detail}`);
}

await compare('durable updates, 50 clients, PostgreSQL : SQLite', 0.3, ['postgres', 1], ['sqlite', 1], '(fsync on both)');
await compare('two processes on one PostgreSQL : one', 1, ['postgres', 2], ['postgres', 1], '(one tenant)');
await compare('two processes : one, four tenants', 1, ['postgres', 2, four], ['postgres', 1, four], '');
rmSync(dir, { recursive: true, force: true });
