#!/usr/bin/env node
// Reads over HTTP beside nginx serving the same bytes as files; server on one core, load on the other.
import { startRelease, startNginx, wrk, sideBySide, pin, report, load, format, quick } from './lib.mjs';
import { sleep } from '../tests/lib/city.mjs';

const small = 1000, large = quick ? 5000 : 100000;
const id = 'urn:ngsi-ld:AirQualityObserved:bench-0000500';
const city = await startRelease({ args: ['--http.workers=1'] });
await load(city, 0, small);
const one = `/ngsi-ld/v1/entities/${id}`;
const page = '/ngsi-ld/v1/entities?type=AirQualityObserved&limit=20';
const nginx = await startNginx({
    one: (await city.get(one)).text,
    page: (await city.get(page)).text,
}, 0);
pin(city, '0');

const get = sideBySide(() => wrk(city.url + one, { cpu: 1 }).rate, () => wrk(`${nginx.url}/one`, { cpu: 1 }).rate);
report('GET entity by id : nginx, same bytes', get.ratio, 0.5, 'min', `${format(get.a)}/s : ${format(get.b)}/s`);
const query = sideBySide(() => wrk(city.url + page, { cpu: 1 }).rate, () => wrk(`${nginx.url}/page`, { cpu: 1 }).rate);
report('20-entity query : nginx, same bytes', query.ratio, 0.3, 'min', `${format(query.a)}/s : ${format(query.b)}/s`);
const p99 = wrk(city.url + page, { cpu: 1, connections: 50 }).p99;
report('20-entity query p99 at 50 clients, ms', p99, 10, 'max', 'one core each');

// The same question at 1,000 and at 100,000 entities: 2 % match, the first 20 are given. Two cities in
// turns, each pinned to the same core.
const few = '/ngsi-ld/v1/entities?type=AirQualityObserved&q=' + encodeURIComponent('temperature>=39.2') + '&limit=20';
const big = await startRelease({ args: ['--http.workers=1'] });
await load(big, 0, large);
await sleep(quick ? 0 : 3000); // its log is moved into the file
pin(big, '0');
const time = (url) => 1000 / wrk(url + few, { cpu: 1, connections: 1 }).rate;
const scale = sideBySide(() => time(big.url), () => time(city.url));
report(`type+q, ${large} : ${small} entities, time`, scale.ratio, 2, 'max', `${format(scale.a)} ms : ${format(scale.b)} ms (2 % match, first 20)`);
await big.stop();
await nginx.stop();
await city.stop();
