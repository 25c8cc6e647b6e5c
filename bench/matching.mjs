#!/usr/bin/env node
// What 10,000 subscriptions cost the updates of 50 clients when few of them match: two cities in turns, one
// without subscriptions. Once they ask for other entities by id and for other types, once all for the type
// that is updated but for other ids by a pattern, once for another attribute. One in a thousand updates is told.
import http from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cpuTime, format, load, median, quick, report, startRelease, wrk } from './lib.mjs';
import { sleep } from '../tests/lib/city.mjs';

const subs = quick ? 1000 : 10000;
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
const receiver = http.createServer((req, res) => { req.resume(); req.on('end', () => res.writeHead(204).end()); });
await new Promise((go) => receiver.listen(0, '127.0.0.1', go));
const uri = `http://127.0.0.1:${receiver.address().port}/n`;
const args = ['--client.allow_private=true'];
const type = 'AirQualityObserved', id = (i) => `urn:ngsi-ld:${type}:bench-${String(i).padStart(7, '0')}`;

const mixes = {
    'other entities and types': (i) => ({ entities: [i % 2 ? { type, id: id(1000 + i) } : { type: `Kind${i % 500}` }] }),
    'the type, other ids by pattern': (i) => ({ entities: [{ type, idPattern: `^urn:other:${i}:.*` }] }),
    'the type, another attribute': (i) => ({ entities: [{ type }], watchedAttributes: [`other${i % 100}`] }),
};
for (const [name, mix] of Object.entries(mixes)) {
    const with0 = await startRelease({ args }), with10k = await startRelease({ args });
    for (const city of [with0, with10k]) await load(city, 0, 1000);
    for (let i = 0; i < subs; i += 16) {
        await Promise.all([...Array(Math.min(16, subs - i)).keys()].map(async (k) => {
            const spec = i + k ? mix(i + k) : { entities: [{ type, id: id(1) }] };
            const res = await with10k.post('/ngsi-ld/v1/subscriptions', {
                type: 'Subscription', ...spec, notification: { endpoint: { uri } },
            });
            if (res.status !== 201) throw new Error(res.text);
        }));
    }
    const x = [], y = [], cpu = { x: [], y: [] };
    const round = async (city, rates, costs) => { // what follows the journal has half a second more
        const before = cpuTime(city), { rate, requests } = wrk(city.url, { script });
        await sleep(500);
        rates.push(rate);
        costs.push((cpuTime(city) - before) / requests);
    };
    for (let i = 0; i < (quick ? 1 : 5); i++) {
        await round(with10k, x, cpu.x);
        await round(with0, y, cpu.y);
    }
    const lag = (await with10k.get('/link/v1/deliveries')).json.reduce((most, d) => Math.max(most, d.lag), 0);
    report(`updates with ${subs} subscriptions : without (${name})`, median(x) / median(y), 0.8, 'min',
        `${format(median(x))}/s : ${format(median(y))}/s, ${lag} rows not looked at yet at the end`);
    report('    processor time of the server for an update : without', median(cpu.x) / median(cpu.y), 1.05, 'max',
        `${format(median(cpu.x))} us : ${format(median(cpu.y))} us`);
    for (const city of [with0, with10k]) await city.stop();
}
receiver.close();
rmSync(dir, { recursive: true, force: true });
