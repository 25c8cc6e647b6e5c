#!/usr/bin/env node
// PostgreSQL beside SQLite, both with fsync: durable updates by 50 clients; then clients at one process and
// the same number at two that share the database, with one tenant and with four, and what an update costs
// the processors there. Run by tests/lib/pg.sh with fsync on (scripts/bench does so, a second time with a
// server whose fsync takes longer: SLOW_SYNC_US).
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { format, load, median, quick, report, sensor, startRelease, wrkAll } from './lib.mjs';

const server = process.env.MARUGOTO_TEST_PG;
if (!server) {
    console.log('skipped: no PostgreSQL (start me with tests/lib/pg.sh)');
    process.exit(0);
}
const slow = Number(process.env.SLOW_SYNC_US ?? 0);
const disk = slow ? `, fsync ${slow / 1000} ms slower` : '';
const rounds = Number(process.env.BENCH_ROUNDS ?? (quick ? 1 : 5));
const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-bench-'));
const psql = (sql) => spawnSync('psql', ['-At', '-d', server, '-c', sql], { encoding: 'utf8' }).stdout;
const postmaster = Number(psql("SELECT pg_read_file('postmaster.pid')").split('\n')[0]);

// Updates of one attribute of 1,000 entities; tenants: how many the clients use in turns.
function script(tenants) {
    const file = path.join(dir, `${tenants}.lua`);
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
const scripts = { 1: script(1), 4: script(4) };

// Processor time so far, in seconds: of a process, and of the server with all that it has started.
const stat = (pid) => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ').map(Number);
const used = (pid) => { const s = stat(pid); return (s[11] + s[12]) / 100; };
function usedByServer() {
    const s = stat(postmaster);
    let sum = (s[11] + s[12] + s[13] + s[14]) / 100;
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        try { if (stat(pid)[1] === postmaster) sum += used(pid); } catch { /* it has ended */ }
    }
    return sum;
}

let made = 0;
async function rate(engine, processes, { tenants = 1, clients = 50 } = {}) {
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
    for (let t = 0; t < tenants; t++) {
        const headers = tenants > 1 ? { 'NGSILD-Tenant': `t${t}` } : {};
        await load({ post: (p, b) => cities[0].post(p, b, { headers }) }, 0, 1000);
        for (const city of cities) // each has met the tenant
            await city.post('/ngsi-ld/v1/entityOperations/upsert?options=update', [sensor(0)], { headers });
    }
    const cpu = () => [cities.reduce((sum, c) => sum + used(c.pid), 0), usedByServer()];
    const before = cpu(), started = Date.now();
    const sum = await wrkAll(cities.map((c) => c.url), { script: scripts[tenants], connections: clients / processes });
    const seconds = (Date.now() - started) / 1000;
    const us = cpu().map((after, i) => (after - before[i]) / (sum * seconds) * 1e6);
    for (const city of cities) await city.stop();
    if (engine === 'postgres') psql(`DROP DATABASE ${name} WITH (FORCE)`);
    return { rate: sum, us };
}

async function compare(title, limit, a, b) {
    const x = [], y = [];
    for (let i = 0; i < rounds; i++) {
        x.push(await rate(...a));
        y.push(await rate(...b));
    }
    const mid = (list) => median(list.map((r) => r.rate));
    const cost = (list) => [0, 1].map((i) => format(median(list.map((r) => r.us[i])))).join('+');
    report(title + disk, mid(x) / mid(y), limit, 'min', `${format(mid(x))}/s : ${format(mid(y))}/s;`
        + ` an update costs marugoto and PostgreSQL ${cost(x)} us : ${cost(y)} us`);
}

if (!slow) await compare('durable updates, 50 clients, PostgreSQL : SQLite', 0.3, ['postgres', 1], ['sqlite', 1]);
for (const clients of [50, 200])
    for (const tenants of [1, 4]) {
        const load = { tenants, clients };
        const title = `two processes on one PostgreSQL : one, ${clients} clients, ${tenants === 1 ? 'one tenant' : 'four tenants'}`;
        await compare(title, 1, ['postgres', 2, load], ['postgres', 1, load]);
    }
rmSync(dir, { recursive: true, force: true });
