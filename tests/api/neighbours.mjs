#!/usr/bin/env node
// Tenants beside one another: what one asks too much of it waits for itself.
import assert from 'node:assert/strict';
import { eventually, startCity } from '../lib/city.mjs';
import { run, test } from '../lib/tap.mjs';

const city = await startCity({ args: ['--link.long_query_ms=1', '--http.refusal_hold_ms=400', '--http.workers=2'] });
const ld = '/ngsi-ld/v1';
const of = (tenant) => ({ 'NGSILD-Tenant': tenant });
const P = (value) => ({ type: 'Property', value });
const metric = async (name) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec((await city.get('/metrics')).text)?.[1] ?? 0);

async function fill(tenant, n) {
    const all = Array.from({ length: n }, (_, i) => ({ id: `urn:x:${i}`, type: 'Sensor', level: P(i), text: P(`text number ${i} `.repeat(10)) }));
    for (let i = 0; i < n; i += 500) {
        const res = await city.post(`${ld}/entityOperations/create`, all.slice(i, i + 500), { headers: of(tenant) });
        assert.equal(res.status, 201, res.text);
    }
}

test('long queries move to the pool, and say the same there', async () => {
    await fill('searcher', 2000);
    await fill('quiet', 1);
    const query = `${ld}/entities?type=Sensor&q=text~=${encodeURIComponent('number .*7 .*9')}&limit=5&count=true&local=true`;
    const ask = async () => {
        const res = await city.get(query, of('searcher'));
        assert.equal(res.status, 200, res.text);
        return `${res.headers.get('ngsild-results-count')} ${res.text}`;
    };
    const first = await ask();
    assert.ok((await metric('marugoto_link_long_queries_total')) >= 1);
    // many at once: all are answered, and so is the neighbour meanwhile
    const before = await metric('marugoto_link_long_queries_total');
    const many = Promise.all(Array.from({ length: 40 }, ask));
    let done = false;
    const quiet = (async () => {
        let n = 0;
        while (!done) {
            assert.equal((await city.get(`${ld}/entities/urn:x:0`, of('quiet'))).status, 200);
            n++;
        }
        return n;
    })();
    for (const text of await many) assert.equal(text, first);
    done = true;
    assert.ok((await quiet) > 0);
    assert.ok((await metric('marugoto_link_long_queries_total')) > before);
    assert.equal((await city.get(`${ld}/entities?type=Sensor&q=level==`, of('searcher'))).status, 400); // errors too
    assert.equal((await city.get(`${ld}/entities?type=Sensor&limit=1`, of('searcher'))).json.length, 1);
});

test('who is over a quota is told so late, and others are served meanwhile', async () => {
    await fill('noisy', 1);
    assert.equal((await city.put('/link/v1/policies/quota', { requests_s: 5 }, { headers: of('noisy') })).status, 200);
    const late = [];
    await eventually(async () => {
        const answers = await Promise.all(Array.from({ length: 20 }, async () => {
            const began = performance.now();
            const { status, headers } = await city.get(`${ld}/entities/urn:x:0`, of('noisy'));
            return { status, wait: headers.get('retry-after'), took: performance.now() - began };
        }));
        late.push(...answers.filter((a) => a.status === 429));
        return late.length > 0;
    });
    for (const a of late) {
        assert.ok(a.took >= 300, `refused after ${a.took} ms`);
        assert.equal(a.wait, '1');
    }
    assert.ok((await metric('marugoto_http_refusals_held_total')) >= late.length);
    const held = Array.from({ length: 20 }, () => city.get(`${ld}/entities/urn:x:0`, of('noisy')));
    for (let i = 0; i < 20; i++) assert.equal((await city.get(`${ld}/entities/urn:x:0`, of('quiet'))).status, 200);
    await Promise.all(held);
});

await run(() => city.stop());
