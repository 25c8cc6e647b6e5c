#!/usr/bin/env node
// Hostile input for every operation: an error in JSON, never a crash, never a 5xx, and nothing changed.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { startLd } from '../lib/ngsi.mjs';

const ld = await startLd();
const id = await ld.create({ id: 'urn:ngsi-ld:Room:1', type: 'Room', temperature: { type: 'Property', value: 1 } });
const before = await ld.read(id);

const deep = (n, open = '[', close = ']') => open.repeat(n) + close.repeat(n);
const nested = (n) => Array.from({ length: n }).reduce((v) => ({ type: 'Property', value: 1, a: v }), 1);
const bodies = [
    '', ' ', '{', '}', '[', 'null', 'true', '0', '"x"', '[]', '{}', '[[]]', '{"":0}', '{"a":}', '[1,]', "{'a':1}", '{"a":1e999}', '{"a":-}', '{"a":"\\ud800"}', '{"a":"\\u0000"}',
    '{"a":01}', '{"a":NaN}', '// x', deep(63), deep(64), deep(100000), deep(100000, '{"a":', '}'), `{"id":"urn:x:1","type":"T","a":${deep(50)}}`,
    '{"id":"urn:x:1","id":"urn:x:2","type":"T"}', '{"id":{"a":1},"type":"T"}', '{"id":"urn:x:1","type":{"a":1}}',
    '{"id":"urn:x:1","type":["T",5]}', '{"id":"urn:x:1","type":"T","scope":"x//y"}', '{"id":"urn:x:1","type":"T","scope":5}', '{"id":"urn:x:1","type":"T","a b":1}', '{"id":"urn:x:1","type":"T","@foo":1}',
    '{"id":"urn:x:1","type":"T","value":{"type":"Property"}}', '{"id":"urn:x:1","type":"T","a":{"type":"Nothing","value":1}}', '{"id":"urn:x:1","type":"T","a":{"type":"Property","value":1,"object":"urn:x:2"}}',
    '{"id":"urn:x:1","type":"T","a":{"type":"LanguageProperty","languageMap":[]}}', '{"id":"urn:x:1","type":"T","a":{"type":"ListProperty","valueList":{}}}', '{"id":"urn:x:1","type":"T","a":{"value":1,"datasetId":"x"}}',
    '{"id":"urn:x:1","type":"T","a":{"value":1,"observedAt":"2026-02-30T00:00:00Z"}}', '{"id":"urn:x:1","type":"T","a":{"value":1,"unitCode":5}}',
    JSON.stringify({ id: 'urn:x:1', type: 'T', a: nested(40) }), JSON.stringify({ id: 'urn:x:1', type: 'T', ...Object.fromEntries(Array.from({ length: 1100 }, (_, i) => [`a${i}`, 1])) }),
    JSON.stringify({ id: `urn:x:${'y'.repeat(100000)}`, type: 'T', a: null }), '{"id":"urn:x:1","type":"T","location":{"type":"GeoProperty","value":{"type":"Polygon","coordinates":[[[0,0]]]}}}',
    Buffer.from([0xff, 0xfe, 0x7b, 0x7d]), Buffer.from('{"id":"urn:x:\xff","type":"T"}', 'latin1'), Buffer.alloc(1000), '\u0000',
    '{"id":"urn:x:1\\u0000","type":"T","a":1}', "{\"id\":\"urn:x:1';DROP TABLE entity;--\",\"type\":\"T\",\"a\":null}",
];
const targets = [
    ['POST', '/entities'], ['PUT', `/entities/${id}?type=Nothing`], ['PATCH', `/entities/${id}?type=Nothing`], ['POST', `/entities/${id}/attrs?type=Nothing`], ['PATCH', `/entities/${id}/attrs?type=Nothing`],
    ['PATCH', `/entities/${id}/attrs/temperature?type=Nothing`], ['PUT', `/entities/${id}/attrs/temperature?type=Nothing`], ['PUT', `/entities/${id}/attrs/temperature/value?type=Nothing`],
    ['POST', '/entityOperations/create'], ['POST', '/entityOperations/upsert'], ['POST', '/entityOperations/update'], ['POST', '/entityOperations/merge'], ['POST', '/entityOperations/delete'], ['POST', '/entityOperations/query'],
    ['POST', '/temporal/entities'], ['POST', '/temporal/entities/urn:x:none/attrs'], ['PATCH', '/temporal/entities/urn:x:none/attrs/a/urn:ngsi-ld:Instance:1'], ['POST', '/temporal/entityOperations/query'], ['POST', '/jsonldContexts'],
];

function assertRefused(res, what) {
    assert.ok((res.status >= 400 && res.status < 500) || res.status === 207, `${res.status} for ${what}: ${res.text.slice(0, 200)}`);
    assert.ok(res.json, `no JSON for ${what}`);
}

for (const [method, path] of targets)
    test(`bodies for ${method} ${path}`, async () => {
        for (const body of bodies)
            for (const type of ['application/json', 'application/ld+json'])
                assertRefused(await ld.request(method, path, { body, type }), `${type} ${String(body).slice(0, 80)}`);
    });

test('bodies that begin as the right thing and are not', async () => {
    const good = JSON.stringify({ id: 'urn:x:cut', type: 'Room', a: { type: 'Property', value: [1, 'é', { b: null }] } });
    for (let cut = 0; cut < good.length; cut++)
        assertRefused(await ld.post('/entities', good.slice(0, cut)), `cut at ${cut}`);
});

test('what is accepted can be read back, however deep', async () => {
    const value = JSON.parse(deep(38));
    await ld.create({ id: 'urn:x:deep', type: 'Deep', a: value });
    assert.deepEqual((await ld.read('urn:x:deep')).a.value, value);
    assert.equal((await ld.get('/entities?type=Deep')).json.length, 1);
    assert.deepEqual((await ld.get('/temporal/entities/urn:x:deep')).json.a[0].value, value);
    await ld.delete('/entities/urn:x:deep');
    let subs = { value: JSON.parse(deep(20)) };
    for (let i = 0; i < 14; i++) subs = { value: 1, s: subs };
    await ld.create({ id: 'urn:x:deep', type: 'Deep', a: subs });
    assert.equal((await ld.get('/entities/urn:x:deep')).status, 200);
    await ld.delete('/entities/urn:x:deep');
});

test('contexts', async () => {
    const big = { '@context': Object.fromEntries(Array.from({ length: 30000 }, (_, i) => [`t${i}`, `https://example.org/${i}`])) };
    const contexts = [5, true, 'no uri', 'javascript:alert(1)', [[[]], 5], { a: 5 }, { a: { '@id': {} } }, { '@vocab': 5 }, { a: 'b:c', b: 'a:c' }, { a: 'a' }, { '': 'x' }, { '@type': 'x' },
        { a: { '@id': 'https://x/', '@container': 5 } }, JSON.parse('['.repeat(50) + ']'.repeat(50)), big['@context']];
    for (const context of contexts) {
        const res = await ld.post('/entities', { id: 'urn:x:ctx', type: 'T', '@context': context, a: 1 }, { type: 'application/ld+json' });
        assert.ok(res.status === 201 || (res.status >= 400 && res.status < 500), `${res.status} for ${JSON.stringify(context).slice(0, 80)}`);
        if (res.status === 201)
            await ld.delete('/entities/urn:x:ctx');
    }
});

test('paths and ids', async () => {
    for (const path of ['/entities/%00', '/entities/%ff', '/entities/..%2f..%2fetc', '/entities/%', '/entities/%zz', `/entities/urn:x:${'a'.repeat(5000)}`, '/entities/urn:x:%20', "/entities/urn:x:';--",
        `/entities/${id}/attrs/%00`, `/entities/${id}/attrs/@id`, `/entities/${id}/attrs/${'a'.repeat(3000)}`, '/types/%00', '/types/((', '/attributes/%ff', '/jsonldContexts/%2e%2e%2f', '/temporal/entities/%00',
        `/temporal/entities/${id}/attrs/a/urn:ngsi-ld:Instance:99999999999999999999`]) {
        const res = await ld.get(path);
        assert.ok(res.status >= 400 && res.status < 500, `${res.status} for ${path.slice(0, 60)}`);
    }
});

test('query strings', async () => {
    const evil = ['%', '%ff', '%00', '(((((((((', '))))', "';DROP TABLE entity;--", '{"$gt":""}', '\\', '"', '"\\', '"\\u', 'a'.repeat(7000), '*', '^(a+)+$', '..', '-1', '1e309', '%0d%0aX-Evil:1', '[', ';', '|', '~='];
    for (const name of ['type', 'id', 'idPattern', 'q', 'scopeQ', 'attrs', 'pick', 'omit', 'lang', 'datasetId', 'csf', 'georel', 'geometry', 'coordinates', 'geoproperty', 'limit', 'offset', 'cursor', 'count', 'options', 'format', 'expandValues', 'geometryProperty'])
        for (const value of evil) {
            const text = value.includes('%') ? value : encodeURIComponent(value);
            for (const path of [`/entities?type=Room&${name}=${text}`, `/entities/${id}?${name}=${text}`]) {
                const res = await ld.get(path);
                assert.ok(res.status < 500, `${res.status} for ${path.slice(0, 100)}: ${res.text}`);
                assert.equal(res.headers.get('x-evil'), null);
            }
        }
    for (const name of ['timerel', 'timeAt', 'endTimeAt', 'lastN', 'timeproperty', 'aggrMethods', 'aggrPeriodDuration', 'q', 'scopeQ', 'pick', 'limit'])
        for (const value of evil) {
            const res = await ld.get(`/temporal/entities?type=Room&timerel=after&timeAt=2020-01-01T00:00:00Z&options=aggregatedValues&aggrMethods=avg&${name}=${value.includes('%') ? value : encodeURIComponent(value)}`);
            assert.ok(res.status < 500, `${res.status} for ${name}=${value}: ${res.text}`);
        }
});

test('a pattern that would take for ever does not', async () => {
    await ld.create({ id: 'urn:x:slow', type: 'Slow', a: 'a'.repeat(5000) + '!' });
    const started = Date.now();
    const res = await ld.get(`/entities?type=Slow&q=${encodeURIComponent('a~="^(a|a|aa)+$"')}`);
    assert.ok([200, 403].includes(res.status), res.text);
    assert.ok(Date.now() - started < 5000);
});

test('headers', async () => {
    for (const headers of [{ Link: '<' }, { Link: '<>; rel="http://www.w3.org/ns/json-ld#context"' }, { Link: '<nouri>; rel="http://www.w3.org/ns/json-ld#context"' }, { Accept: ';;;,,q=' }, { Accept: 'a'.repeat(3000) },
        { Prefer: '"' }, { 'NGSILD-Tenant': "';--" }, { 'If-None-Match': '"' }, { 'If-None-Match': 'x'.repeat(2000) }]) {
        const res = await ld.get(`/entities/${id}`, headers);
        assert.ok(res.status < 500, `${res.status} for ${JSON.stringify(headers).slice(0, 80)}: ${res.text}`);
    }
});

test('nothing of all this changed anything', async () => {
    assert.deepEqual(await ld.read(id), before);
    assert.equal((await ld.get('/entities?type=Room&count=true&limit=0')).headers.get('ngsild-results-count'), '1');
});

await run(async () => {
    await ld.city.stop();
    assert.equal(ld.city.errors, '', ld.city.errors.slice(0, 2000));
});
