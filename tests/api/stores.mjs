#!/usr/bin/env node
// One session of the interface on both stores: bodies and headers are equal byte for byte, but for
// the moments at which it ran and the random ids of lists.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, skip, run } from '../lib/tap.mjs';
import { startCity } from '../lib/city.mjs';

const compared = ['content-type', 'location', 'link', 'etag', 'allow', 'retry-after', 'ngsild-results-count', 'ngsild-tenant', 'content-language', 'cache-control', 'preference-applied'];
const ld = '/ngsi-ld/v1';
const open = `${ld}/entities`;

// Moments become T1, T2, ... in the order of their first appearance, so that equal ones stay equal.
function normalise(text, seen) {
    return text.replace(/urn:request:[0-9a-f]+/g, 'urn:request:x').replace(/List:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'List:x')
        .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, (moment) => {
            if (!moment.startsWith(String(new Date().getUTCFullYear()))) return moment;
            if (!seen.has(moment)) seen.set(moment, `T${seen.size + 1}`);
            return seen.get(moment);
        });
}

const P = (value, more) => ({ type: 'Property', value, ...more });
const point = (lon, lat) => ({ type: 'GeoProperty', value: { type: 'Point', coordinates: [lon, lat] } });
const shelter = (i) => ({ id: `urn:ngsi-ld:Shelter:${i}`, type: i % 3 ? 'Shelter' : ['Shelter', 'School'], scope: i % 2 ? '/ja/tsukuba' : ['/ja', '/open/data'],
    name: { type: 'LanguageProperty', languageMap: { ja: `避難所 ${i}`, en: `Shelter ${i}` } }, capacity: P(i * 10.5, { unitCode: 'IE', observedAt: `2024-01-${String(i % 28 + 1).padStart(2, '0')}T00:00:00Z` }),
    note: P(['ß', 'é', '𠮷', 'Z', 'a', '_', ''][i % 7]), big: P(i), location: point(140 + i / 100, 36 + i / 200), of: { type: 'Relationship', object: `urn:ngsi-ld:City:${i % 2}` } });
const where = (geometry, coordinates, georel) => `georel=${georel}&geometry=${geometry}&coordinates=${encodeURIComponent(JSON.stringify(coordinates))}`;

const session = [
    ['POST', `${ld}/entityOperations/create`, Array.from({ length: 25 }, (_, i) => shelter(i))],
    ['POST', `${ld}/entityOperations/create`, [shelter(1), shelter(30), { id: 'no', type: 'X' }]],
    ['POST', open, { id: 'urn:x:exact', type: 'Exact', a: P(1), text: P('"\\\n\u2028') }],
    ['POST', open, '{"id":"urn:x:numbers","type":"Exact","a":{"type":"Property","value":1.0},"b":{"type":"Property","value":12345678901234567890},"c":{"type":"Property","value":1e-7},"d":{"type":"Property","value":-0.0}}'],
    ['POST', open, { id: 'urn:x:exact', type: 'Exact' }],
    ['GET', `${open}/urn:x:numbers`], ['GET', `${open}/urn:x:numbers?options=keyValues`], ['GET', `${open}/urn:x:exact?options=sysAttrs`], ['GET', `${open}/urn:x:none`],
    ['GET', `${open}?type=Shelter`], ['GET', `${open}?type=Shelter&limit=5&offset=5&count=true`], ['GET', `${open}?type=Shelter&limit=0&count=true`], ['GET', `${open}?type=School,Exact&options=keyValues`], ['GET', `${open}?type=(Shelter;School)&options=concise&limit=3`],
    ...['capacity>100', 'capacity==10.5..52.5', 'note=="𠮷"', 'note>="Z"', 'note~="^[a-z]"', 'name[ja]=="避難所 3"', '(capacity<30|capacity>200);note!="a"', 'of=="urn:ngsi-ld:City:1"', '!nothing', 'big', 'capacity.observedAt>2024-01-20T00:00:00Z']
        .map((q) => ['GET', `${open}?type=Shelter&limit=100&options=keyValues&q=${encodeURIComponent(q)}`]),
    ['GET', `${open}?type=Shelter&options=keyValues&${where('Point', [140.1, 36.05], 'near;maxDistance==3000')}`], ['GET', `${open}?type=Shelter&options=keyValues&limit=50&${where('Polygon', [[[140, 36], [140.1, 36], [140.1, 36.1], [140, 36.1], [140, 36]]], 'within')}`],
    ['GET', `${open}?type=Shelter&scopeQ=/ja/%23&options=keyValues`], ['GET', `${open}?type=Shelter&idPattern=.*:1.$&options=keyValues`], ['GET', `${open}?id=urn:ngsi-ld:Shelter:3,urn:ngsi-ld:Shelter:1`], ['GET', `${open}?type=Shelter&pick=id,name&lang=en&limit=4`],
    ['GET', `${open}?type=Shelter&limit=3`, undefined, { Accept: 'application/geo+json' }], ['GET', `${open}?type=Shelter&limit=3`, undefined, { Accept: 'application/ld+json' }], ['POST', `${ld}/entityOperations/query`, { type: 'Query', entities: [{ type: 'Shelter' }], q: 'capacity<40', attrs: ['capacity'] }],
    ['PATCH', `${open}/urn:ngsi-ld:Shelter:1`, { capacity: P(11), extra: P({ b: 1, a: [true, null] }) }], ['PATCH', `${open}/urn:ngsi-ld:Shelter:1/attrs`, { capacity: P(12), unknown: P(1) }], ['POST', `${open}/urn:ngsi-ld:Shelter:1/attrs`, { more: P(1, { datasetId: 'urn:x:d' }) }],
    ['PATCH', `${open}/urn:ngsi-ld:Shelter:1/attrs/capacity`, P(13, { observedAt: '2024-05-01T00:00:00Z' })], ['PUT', `${open}/urn:ngsi-ld:Shelter:2`, { id: 'urn:ngsi-ld:Shelter:2', type: 'Shelter', name: P('新しい') }], ['DELETE', `${open}/urn:ngsi-ld:Shelter:3/attrs/note`], ['DELETE', `${open}/urn:ngsi-ld:Shelter:4`], ['DELETE', `${open}/urn:ngsi-ld:Shelter:4`],
    ['GET', `${open}/urn:ngsi-ld:Shelter:1`], ['GET', `${open}/urn:ngsi-ld:Shelter:2`], ['GET', `${open}/urn:ngsi-ld:Shelter:4`], ['GET', `${open}/urn:ngsi-ld:Shelter:1/attrs/capacity`], ['GET', `${open}/urn:ngsi-ld:Shelter:1/attrs/none`],
    ['POST', `${ld}/entityOperations/upsert`, [{ ...shelter(5), capacity: P(1) }, shelter(31)]], ['POST', `${ld}/entityOperations/update?options=noOverwrite`, [{ ...shelter(6), capacity: P(1), added: P(2) }]], ['POST', `${ld}/entityOperations/merge`, [{ id: 'urn:ngsi-ld:Shelter:7', type: 'Shelter', note: P('m') }, { id: 'urn:x:absent', type: 'Shelter' }]], ['POST', `${ld}/entityOperations/delete`, ['urn:ngsi-ld:Shelter:8', 'urn:x:absent']],
    ['GET', `${open}?type=Shelter&limit=100&options=sysAttrs`], ['GET', `${ld}/types`], ['GET', `${ld}/types?details=true`], ['GET', `${ld}/types/Shelter`], ['GET', `${ld}/types/None`], ['GET', `${ld}/attributes`], ['GET', `${ld}/attributes?details=true`], ['GET', `${ld}/attributes/capacity`],
    ['POST', `${ld}/temporal/entities`, { id: 'urn:x:history', type: 'Sensor', t: Array.from({ length: 30 }, (_, i) => P(i / 4, { observedAt: `2024-03-01T00:${String(i).padStart(2, '0')}:00Z` })) }], ['GET', `${ld}/temporal/entities/urn:x:history?options=temporalValues&timerel=between&timeAt=2024-03-01T00:05:00Z&endTimeAt=2024-03-01T00:10:00Z`],
    ['GET', `${ld}/temporal/entities/urn:x:history?options=aggregatedValues&aggrMethods=avg,min,max,totalCount,stddev,sumsq&aggrPeriodDuration=PT5M&timerel=after&timeAt=2024-01-01T00:00:00Z`], ['GET', `${ld}/temporal/entities/urn:x:history?lastN=3&options=temporalValues`], ['GET', `${ld}/temporal/entities?type=Shelter&attrs=capacity&options=temporalValues&timerel=after&timeAt=2020-01-01T00:00:00Z`],
    ['POST', `${ld}/subscriptions`, { id: 'urn:x:sub', type: 'Subscription', entities: [{ type: 'Nothing' }], notification: { endpoint: { uri: 'http://receiver.example/', accept: 'application/json' } } }], ['GET', `${ld}/subscriptions`], ['GET', `${ld}/subscriptions/urn:x:sub`], ['PATCH', `${ld}/subscriptions/urn:x:sub`, { subscriptionName: 'name' }], ['GET', `${ld}/subscriptions/urn:x:sub`], ['DELETE', `${ld}/subscriptions/urn:x:sub`], ['GET', `${ld}/subscriptions/urn:x:sub`],
    ['POST', open, { id: 'urn:x:tenant', type: 'T' }, { 'NGSILD-Tenant': 'other' }], ['GET', `${open}?type=T`, undefined, { 'NGSILD-Tenant': 'other' }], ['GET', `${open}?type=T`], ['GET', `${open}?type=T`, undefined, { 'NGSILD-Tenant': 'absent' }],
    ['GET', `${open}`], ['GET', `${open}?type=Shelter&q=((`], ['GET', `${open}?type=Shelter&limit=-1`], ['POST', open, '{'], ['POST', open, { id: 5 }],
    ['GET', '/link/v1/export.ndjson?type=Shelter'], ['GET', '/link/v1/export.csv?type=Shelter'], ['GET', '/link/v1/export.geojson?type=Shelter'], ['GET', '/open/Shelter.csv'], ['GET', '/tiles/Shelter/10/910/402.mvt'], ['DELETE', `${open}?type=Shelter`], ['GET', `${open}?type=Shelter&count=true`], ['GET', `${ld}/types`],
];

async function play(city) {
    const seen = new Map();
    const answers = [];
    for (const [method, target, body, headers] of session) {
        const { status, text, headers: got } = await city.request(method, target, { body, headers });
        const lines = compared.filter((name) => got.get(name) !== null).map((name) => `${name}: ${normalise(got.get(name), seen)}`);
        answers.push({ what: `${method} ${decodeURIComponent(target)}`, status, text: `${status}\n${lines.join('\n')}\n\n${normalise(text, seen)}` });
    }
    return answers;
}

test('SQLite and PostgreSQL answer a whole session alike', async () => {
    if (!process.env.MARUGOTO_TEST_PG) skip('needs a PostgreSQL: tests/lib/pg.sh');
    const data = mkdtempSync(path.join(tmpdir(), 'marugoto-stores-'));
    const onPostgres = await startCity();
    const onSqlite = await startCity({ data, store: `sqlite:${data}/city.db` });
    assert.match(onPostgres.store, /^postgres:/);
    const [a, b] = await Promise.all([play(onSqlite), play(onPostgres)]);
    for (const [i, { what, text, status }] of a.entries()) {
        assert.ok(status < 500, `${what}: ${text}`);
        assert.equal(b[i].text, text, what);
    }
    const good = a.filter(({ status }) => status < 300).length;
    assert.ok(good > session.length * 0.75, `only ${good} of ${session.length} succeeded:\n${a.filter(({ status }) => status >= 300).map(({ what, text }) => `${what}: ${text.slice(0, 200)}`).join('\n')}`);
    await onPostgres.stop();
    await onSqlite.stop();
    rmSync(data, { recursive: true, force: true });
});

await run();
