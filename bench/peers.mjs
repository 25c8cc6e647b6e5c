#!/usr/bin/env node
// The loads for which other brokers publish figures, here: creation, POST of two attributes, PATCH of one,
// GET by id, a list of 20, type and q. 50 clients, every write answered after fsync. The figures of the others
// (docs/BENCHMARKS.md) are theirs, of their machines: nothing here is a comparison in one run.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { format, load, median, quick, startRelease, wrk } from './lib.mjs';

const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-bench-'));
const city = await startRelease();
await load(city, 0, 1000);
const type = 'AirQualityObserved', id = `urn:ngsi-ld:${type}:bench-0000500`;
let scripts = 0;

function script(method, target, body) {
    const file = path.join(dir, `${++scripts}.lua`);
    writeFileSync(file, `
math.randomseed(os.time() + tonumber(tostring({}):sub(8), 16))
local run, n = math.random(1, 1000000000), 0
request = function()
  n = n + 1
  local id = string.format("urn:ngsi-ld:${type}:bench-%07d", (n * 7919) % 1000)
  return wrk.format("${method}", ${target}, {["Content-Type"] = "application/json"}, ${body})
end`);
    return file;
}
const value = (name) => `"${name}":{"type":"Property","value":`;
const loads = {
    'creation of an entity with two attributes': script('POST', '"/ngsi-ld/v1/entities"',
        `string.format('{"id":"urn:ngsi-ld:New:%d-%d","type":"New",${value('a')}%d},${value('b')}"x"}}', run, n, n)`),
    'POST of two attributes': script('POST', '"/ngsi-ld/v1/entities/" .. id .. "/attrs"',
        `string.format('{${value('temperature')}%d},${value('status')}"s%d"}}', n % 40, n % 7)`),
    'PATCH of one attribute': script('PATCH', '"/ngsi-ld/v1/entities/" .. id .. "/attrs"',
        `string.format('{${value('temperature')}%d}}', n % 40)`),
};
const reads = {
    'GET by id': `/ngsi-ld/v1/entities/${id}`,
    'list of 20': `/ngsi-ld/v1/entities?type=${type}&limit=20`,
    'type and q, first 20': `/ngsi-ld/v1/entities?type=${type}&q=${encodeURIComponent('temperature>=39')}&limit=20`,
};
const runs = Object.entries(loads).map(([name, file]) => [name, city.url, file])
    .concat(Object.entries(reads).map(([name, target]) => [name, city.url + target]));
const rates = new Map(runs.map(([name]) => [name, []])), p99 = new Map();
for (let round = 0; round < (quick ? 1 : 3); round++) {
    for (const [name, url, file] of runs) {
        const r = wrk(url, { script: file });
        rates.get(name).push(r.rate);
        p99.set(name, r.p99);
    }
}
for (const [name] of runs) console.log(`       ${name}: ${format(median(rates.get(name)))}/s, p99 ${format(p99.get(name))} ms`);
await city.stop();
rmSync(dir, { recursive: true, force: true });
