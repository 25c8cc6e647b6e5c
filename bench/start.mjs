#!/usr/bin/env node
// How fast it is ready and how much memory it takes, by the number of entities on disk.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startRelease, report, load, format, quick, median } from './lib.mjs';
import { sleep } from '../tests/lib/city.mjs';

const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-bench-'));
const n100k = quick ? 2000 : 100000, n1m = quick ? 4000 : 1000000;
let city = await startRelease({ data: dir });
await load(city, 0, n100k);
await city.stop();

const ready = [];
for (let i = 0; i < 5; i++) {
    const before = performance.now();
    city = await startRelease({ data: dir });
    ready.push(performance.now() - before);
    if (i < 4) await city.stop();
}
report(`ready with ${n100k} entities on disk, ms`, median(ready), 100, 'max', `of ${ready.map(format).join(' ')}`);
await sleep(2000);
report('idle memory (RSS), MB', city.rss() / 1e6, 20, 'max', 'after 2 s, one request answered');

const before = performance.now();
await load(city, n100k, n1m, undefined, 1000);
const seconds = (performance.now() - before) / 1000;
const found = await city.get('/ngsi-ld/v1/entities?type=AirQualityObserved&limit=1&count=true');
if (Number(found.headers.get('ngsild-results-count')) !== n1m) throw new Error(`${found.headers.get('ngsild-results-count')} of ${n1m} entities`);
const one = performance.now();
await city.get(`/ngsi-ld/v1/entities/urn:ngsi-ld:AirQualityObserved:bench-${String(n1m - 1).padStart(7, '0')}`);
console.log(`       ${n1m} entities: ${format((n1m - n100k) / seconds)}/s by batch create, RSS ${format(city.rss() / 1e6)} MB, ` +
    `file ${format(statSync(path.join(dir, 'city.db')).size / 1e6)} MB, one by id in ${format(performance.now() - one)} ms`);
await city.stop();
rmSync(dir, { recursive: true, force: true });
