#!/usr/bin/env node
// Aggregates over 10,000 points of one attribute through the API, settled and freshly written.
import { startRelease, report, load, format, quick, median } from './lib.mjs';

const points = quick ? 2000 : 10000;
const start = Date.UTC(2026, 10, 1);
const at = (i) => new Date(start + i * 30000).toISOString();
const city = await startRelease();

// As a sensor sends them, a batch a request; other entities change in between as they do in a city.
await load(city, 0, 200);
const id = 'urn:ngsi-ld:AirQualityObserved:bench-0000007';
for (let i = 0; i < points; i += 500) {
    const pm25 = [];
    for (let k = i; k < i + 500; k++) pm25.push({ type: 'Property', value: k % 97, observedAt: at(k) });
    const res = await city.post('/ngsi-ld/v1/temporal/entities', { id, type: 'AirQualityObserved', co2: pm25 });
    if (res.status >= 300) throw new Error(`temporal: ${res.status} ${res.text.slice(0, 300)}`);
}
const path = `/ngsi-ld/v1/temporal/entities/${id}?attrs=co2&timerel=between&timeAt=${at(0)}&endTimeAt=${at(points)}` +
    '&options=aggregatedValues&aggrMethods=avg,min,max&aggrPeriodDuration=PT5M';

async function aggregate() {
    const times = [];
    let res;
    for (let i = 0; i < 11; i++) {
        const before = performance.now();
        res = await city.get(path);
        times.push(performance.now() - before);
    }
    if (res.status !== 200) throw new Error(`${res.status} ${res.text.slice(0, 300)}`);
    return { ms: median(times), series: res.json.co2 };
}

// The same in JavaScript: what the server says must be right.
const first = await aggregate();
for (const [name, fn] of [['avg', (v) => v.reduce((x, y) => x + y) / v.length], ['min', (v) => Math.min(...v)], ['max', (v) => Math.max(...v)]]) {
    if (first.series[name].length !== points / 10) throw new Error(`${name}: ${first.series[name].length} buckets`);
    first.series[name].forEach(([value], b) => {
        const want = fn(Array.from({ length: 10 }, (_, k) => (b * 10 + k) % 97));
        if (Math.abs(value - want) > 1e-9) throw new Error(`${name} of bucket ${b}: ${value}, not ${want}`);
    });
}
report(`${points} points, avg, min and max of 5 minutes, ms`, first.ms, 50, 'max', `${first.series.avg.length} buckets, checked`);

// With rows of others that were written lately and have not settled.
for (let i = 0; i < (quick ? 500 : 3000); i += 200) {
    const batch = [];
    for (let k = 0; k < 200; k++) batch.push({ id: `urn:ngsi-ld:AirQualityObserved:bench-${String(k).padStart(7, '0')}`, pm25: { type: 'Property', value: i + k } });
    const res = await city.post('/ngsi-ld/v1/entityOperations/update', batch);
    if (res.status >= 300) throw new Error(`update: ${res.status} ${res.text.slice(0, 300)}`);
}
const later = await aggregate();
report('the same with rows of others that have not settled, ms', later.ms, 50, 'max', quick ? '500 rows' : '3000 rows');
await city.stop();
