#!/usr/bin/env node
// Durable updates at 50 clients: every answer comes after fsync. Beside it, on the same disk and with the
// same clients, a commit per write; then the same on a disk whose fsync takes 4 ms longer.
import { writeFileSync, mkdtempSync, openSync, writeSync, fsyncSync, closeSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../tests/lib/city.mjs';
import { startRelease, wrk, sideBySide, pin, report, load, format, quick } from './lib.mjs';

const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-bench-'));
const script = path.join(dir, 'patch.lua');
writeFileSync(script, `
local n = math.random(1, 1000000)
request = function()
  n = n + 7919
  local id = string.format("urn:ngsi-ld:AirQualityObserved:bench-%07d", n % 1000)
  local body = string.format('{"temperature":{"type":"Property","value":%d.%d,"unitCode":"CEL"}}', n % 40, n % 10)
  return wrk.format("PATCH", "/ngsi-ld/v1/entities/" .. id .. "/attrs", {["Content-Type"] = "application/json"}, body)
end`);

async function rate({ args = [], cpus, env }) {
    const city = await startRelease({ args, env });
    await load(city, 0, 1000);
    if (cpus) pin(city, cpus);
    const r = wrk(city.url, { script, connections: 50, cpu: cpus });
    await city.stop();
    return r.rate;
}

async function compare(name, limit, goal, a, b, detail) {
    const x = [], y = [];
    for (let i = 0; i < (quick ? 1 : 3); i++) {
        x.push(await rate(a));
        y.push(await rate(b));
    }
    const mid = (l) => l.sort((p, q) => p - q)[Math.floor(l.length / 2)];
    report(name, mid(x) / mid(y), limit, goal, `${format(mid(x))}/s : ${format(mid(y))}/s ${detail}`);
    return mid(x);
}

// What the disk does alone: one small append and fsync after the other.
function syncRate() {
    const fd = openSync(path.join(dir, 'sync'), 'w');
    const block = Buffer.alloc(4096);
    const until = Date.now() + 1500;
    let n = 0;
    for (; Date.now() < until; n++) {
        writeSync(fd, block);
        fsyncSync(fd);
    }
    closeSync(fd);
    return n / 1.5;
}

const single = ['--store.batch_max=1'];
const slow = (us) => ({ LD_PRELOAD: path.join(root, 'build-bench/bench/libslow_sync.so'), SLOW_SYNC_US: String(us) });
const here = await compare('durable updates, 50 clients : a commit per write, this disk', 20, 'min', {}, { args: single }, '');
console.log(`       this disk alone: ${format(syncRate())} fsync/s`);
await compare('durable updates, 50 clients : a commit per write, disk with 4 ms fsync', 20, 'min',
    { env: slow(4000) }, { args: single, env: slow(4000) }, '(fsync slowed by 4 ms)');
await compare('durable : not durable (no fsync)', 0.5, 'min', {}, { args: ['--store.durability=none'] }, '');
await compare('2 cores : 1 core', 1, 'min', { cpus: '0,1' }, { cpus: '0' }, '(load on the same cores)');
await compare('with history : without', 0.7, 'min', {}, { args: ['--link.history=false'] }, '');
console.log(`       ${format(here)} durable updates/s with history, journal and indexes`);
rmSync(dir, { recursive: true, force: true });
