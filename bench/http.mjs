#!/usr/bin/env node
// Reads over HTTP beside nginx serving the same bytes as files; server on one core, load on the other.
import { startRelease, startNginx, wrk, sideBySide, pin, report, load, format, quick } from './lib.mjs';

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

// The same question at 1,000 and at 100,000 entities: 20 matches each, then 2 % of all.
const few = '/ngsi-ld/v1/entities?type=AirQualityObserved&q=' + encodeURIComponent('temperature>=39.2') + '&limit=20';
const time = (path) => 1000 / wrk(city.url + path, { cpu: 1, connections: 1 }).rate;
const at1k = { few: time(few) };
pin(city, '0,1');
await load(city, small, large);
pin(city, '0');
const at100k = { few: time(few) };
report(`type+q, ${large} : ${small} entities, time`, at100k.few / at1k.few, 2, 'max', `${format(at100k.few)} ms : ${format(at1k.few)} ms (2 % match, first 20)`);
await nginx.stop();
await city.stop();
