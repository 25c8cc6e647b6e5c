#!/usr/bin/env node
// One entity: create, read, replace, merge, delete; representations; conditions.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, contextLink, coreContext, startLd } from '../lib/ngsi.mjs';

const ld = await startLd();
let n = 0;
const id = () => `urn:ngsi-ld:Room:${++n}`;
const room = (more = {}) => ({
    id: id(), type: 'Room',
    temperature: { type: 'Property', value: 21.5, unitCode: 'CEL', observedAt: '2026-01-01T00:00:00Z' },
    ...more,
});

test('create answers 201 with the place of the entity', async () => {
    const e = room();
    const res = await ld.post('/entities', e);
    assert.equal(res.status, 201);
    assert.equal(res.headers.get('location'), `/ngsi-ld/v1/entities/${e.id}`);
    assert.equal(res.text, '');
    assert.deepEqual(await ld.read(e.id), e);
});

test('a trailing slash is no other resource', async () => {
    const e = room();
    assert.equal((await ld.post('/entities/', e)).status, 201);
    assert.equal((await ld.get('/entities/?type=Room')).status, 200);
});

test('create twice is a conflict', async () => {
    const e = room();
    await ld.create(e);
    assertError(await ld.post('/entities', e), 409, 'AlreadyExists');
});

test('what is no entity is refused', async () => {
    for (const body of [{}, { id: 'urn:x:1' }, { type: 'T' }, { id: 'no uri', type: 'T' },
        { id: 'urn:x:1', type: 'T', a: null }, { id: 'urn:x:1', type: 'T', a: { type: 'Property' } },
        { id: 'urn:x:1', type: 'T', a: { type: 'Relationship', object: 'no uri' } },
        { id: 'urn:x:1', type: 'T', a: { value: 1, observedAt: 'yesterday' } },
        { id: 'urn:x:1', type: 'T', a: { type: 'Property', value: 'urn:ngsi-ld:null' } },
        { id: 'urn:x:1', type: 'T', a: [{ value: 1 }, { value: 2 }] },
        { id: 'urn:x:1', type: [], a: 1 }, [], 'text', 5, null])
        assertError(await ld.post('/entities', JSON.stringify(body)), 400, 'BadRequestData');
});

test('what is no JSON is refused', async () => {
    for (const body of ['', '{', '{"id":1,}', '\ufeff{}', '{"a":1}{"a":2}', '{"a":1,"a":2}'])
        assertError(await ld.post('/entities', body), 400, 'InvalidRequest');
});

test('an id with characters that paths reserve is found again', async () => {
    const e = room({ id: 'http://example.org/rooms?floor=2#a%20b' });
    const res = await ld.post('/entities', e);
    assert.equal(res.status, 201, res.text);
    const there = await ld.city.get(res.headers.get('location'));
    assert.equal(there.status, 200);
    assert.equal(there.json.id, e.id);
});

test('values come back as they were sent', async () => {
    const e = room({ id: 'urn:ngsi-ld:Room:verbatim' });
    const text = `{"id":"${e.id}","type":"Room","big":{"type":"Property","value":12345678901234567890},` +
        '"float":{"type":"Property","value":1.0},"one":{"type":"Property","value":[1]},' +
        '"text":{"type":"Property","value":"\\u65e5本\\n"}}';
    assert.equal((await ld.post('/entities', text)).status, 201);
    const back = (await ld.get(`/entities/${e.id}`)).text;
    assert.match(back, /"value":12345678901234567890[,}]/);
    assert.match(back, /"value":1\.0[,}]/);
    assert.match(back, /"value":\[1\]/);
    assert.match(back, /"value":"日本\\n"/);
});

test('reading what is not there', async () => {
    assertError(await ld.get('/entities/urn:ngsi-ld:Room:none'), 404, 'ResourceNotFound');
    assertError(await ld.get('/entities/nouri'), 400, 'BadRequestData');
});

test('forms: normalized, concise, simplified', async () => {
    const e = room({ near: { type: 'Relationship', object: 'urn:ngsi-ld:Room:0' }, name: { type: 'Property', value: 'a' } });
    await ld.create(e);
    assert.deepEqual(await ld.read(e.id, '?options=normalized'), e);
    assert.deepEqual(await ld.read(e.id, '?format=normalized&options=keyValues'), e, 'format supersedes options');
    const concise = await ld.read(e.id, '?options=concise');
    assert.equal(concise.name, 'a');
    assert.deepEqual(concise.near, { object: 'urn:ngsi-ld:Room:0' });
    assert.deepEqual(concise.temperature, { value: 21.5, unitCode: 'CEL', observedAt: '2026-01-01T00:00:00Z' });
    for (const query of ['?options=keyValues', '?options=simplified', '?format=simplified', '?format=keyValues'])
        assert.deepEqual(await ld.read(e.id, query),
            { id: e.id, type: 'Room', temperature: 21.5, near: 'urn:ngsi-ld:Room:0', name: 'a' });
    assertError(await ld.get(`/entities/${e.id}?format=xml`), 400, 'InvalidRequest');
    assertError(await ld.get(`/entities/${e.id}?options=pretty`), 400, 'InvalidRequest');
});

test('concise and simplified input', async () => {
    const a = id(), b = id();
    await ld.create({ id: a, type: 'Room', temperature: { value: 5, unitCode: 'CEL' }, name: 'x' });
    assert.deepEqual((await ld.read(a)).name, { type: 'Property', value: 'x' });
    assert.equal((await ld.post('/entities?options=keyValues', { id: b, type: 'Room', size: { w: 3, value: 2 } })).status, 201);
    assert.deepEqual((await ld.read(b)).size, { type: 'Property', value: { w: 3, value: 2 } });
});

test('sysAttrs shows when things were made and changed', async () => {
    const e = room();
    await ld.create(e);
    assert.ok(!('createdAt' in await ld.read(e.id)));
    const sys = await ld.read(e.id, '?options=sysAttrs');
    for (const what of [sys, sys.temperature]) {
        assert.match(what.createdAt, /^20.*Z$/);
        assert.equal(what.modifiedAt, what.createdAt);
    }
    const both = await ld.read(e.id, '?options=sysAttrs,keyValues');
    assert.equal(both.temperature, 21.5);
    assert.ok(both.createdAt);
});

test('pick, omit and attrs', async () => {
    const e = room({ name: { type: 'Property', value: 'a' } });
    await ld.create(e);
    assert.deepEqual(await ld.read(e.id, '?pick=id,name&options=keyValues'), { id: e.id, name: 'a' });
    assert.deepEqual(await ld.read(e.id, '?pick=name&options=keyValues'), { name: 'a' });
    assert.deepEqual(await ld.read(e.id, '?omit=type,name&options=keyValues'), { id: e.id, temperature: 21.5 });
    assert.deepEqual(await ld.read(e.id, '?attrs=name&options=keyValues'), { id: e.id, type: 'Room', name: 'a' });
    assertError(await ld.get(`/entities/${e.id}?attrs=nothing`), 404, 'ResourceNotFound');
    assertError(await ld.get(`/entities/${e.id}?pick=`), 400, 'BadRequestData');
    assertError(await ld.get(`/entities/${e.id}?pick=a{b}`), 400, 'BadRequestData');
    for (const wrong of ['pick=name&omit=name', 'pick=name&attrs=name', 'omit=id&attrs=name', 'pick=id;name', 'geometryProperty=location'])
        assertError(await ld.get(`/entities/${e.id}?${wrong}`), 400, 'BadRequestData');
    assertError(await ld.get(`/entities/${e.id}?pick=unknown`), 404, 'ResourceNotFound');
    assertError(await ld.get(`/entities/${e.id}?omit=id,type,${Object.keys(e).filter((k) => !['id', 'type'].includes(k)).join()}`), 404, 'ResourceNotFound');
    assert.deepEqual(await ld.read(e.id, '?omit=type,name&options=keyValues&pick=id'), { id: e.id });
});

test('several instances and datasetId', async () => {
    const e = room({ speed: [{ type: 'Property', value: 1 }, { type: 'Property', value: 2, datasetId: 'urn:d:2' }] });
    await ld.create(e);
    assert.equal((await ld.read(e.id)).speed.length, 2);
    assert.equal((await ld.read(e.id, '?datasetId=urn:d:2')).speed.value, 2);
    assert.equal((await ld.read(e.id, '?datasetId=@none')).speed.value, 1);
    assert.deepEqual((await ld.read(e.id, '?options=keyValues')).speed, { dataset: { '@none': 1, 'urn:d:2': 2 } });
});

test('languages', async () => {
    const e = room({ name: { type: 'LanguageProperty', languageMap: { ja: '部屋', en: 'room', '@none': '?' } } });
    await ld.create(e);
    const get = async (lang) => (await ld.read(e.id, `?options=keyValues&lang=${lang}`)).name;
    assert.equal(await get('ja'), '部屋');
    assert.equal(await get('en-GB'), 'room');
    assert.equal(await get('ko,en;q=0.5'), 'room');
    assert.equal(await get('ko'), '?');
    assert.deepEqual(await get('*'), { languageMap: { ja: '部屋', en: 'room', '@none': '?' } });
});

test('media types: JSON with Link, JSON-LD with @context, GeoJSON', async () => {
    const location = { type: 'GeoProperty', value: { type: 'Point', coordinates: [140.1, 36.1] } };
    const e = room({ location });
    await ld.create(e);
    const json = await ld.get(`/entities/${e.id}`, { Accept: 'application/json' });
    assert.match(json.headers.get('link'), new RegExp(`^<${coreContext}[^>]*>; rel="http://www.w3.org/ns/json-ld#context"`));
    assert.ok(!('@context' in json.json));
    const jsonld = await ld.get(`/entities/${e.id}`, { Accept: 'application/ld+json' });
    assert.equal(jsonld.headers.get('content-type'), 'application/ld+json');
    assert.equal(jsonld.headers.get('link'), null);
    assert.match(JSON.stringify(jsonld.json['@context']), /ngsi-ld-core-context/);
    const geo = await ld.get(`/entities/${e.id}`, { Accept: 'application/geo+json' });
    assert.equal(geo.headers.get('content-type'), 'application/geo+json');
    assert.equal(geo.json.type, 'Feature');
    assert.deepEqual(geo.json.geometry, location.value);
    assert.equal(geo.json.properties.type, 'Room');
    assert.ok(geo.json['@context'], 'GeoJSON carries the context');
    const bare = await ld.get(`/entities/${e.id}`, { Accept: 'application/geo+json', Prefer: 'body=json' });
    assert.ok(!('@context' in bare.json) && bare.headers.get('link'), 'unless the client prefers not');
    assert.match(json.headers.get('vary'), /Accept/);
});

test('quality and order in Accept', async () => {
    const e = room();
    await ld.create(e);
    const type = async (accept) => (await ld.get(`/entities/${e.id}`, { Accept: accept })).headers.get('content-type');
    assert.equal(await type('*/*'), 'application/json');
    assert.equal(await type('application/json;q=0.5, application/ld+json'), 'application/ld+json');
    assert.equal(await type('application/json;q=0, application/ld+json'), 'application/ld+json');
    const no = await ld.get(`/entities/${e.id}`, { Accept: 'text/turtle' });
    assert.equal(no.status, 406);
});

test('JSON-LD input: the @context of the body gives names their meaning', async () => {
    const e = { id: id(), type: 'Room', '@context': { Room: 'https://example.org/Room', warmth: 'https://example.org/warmth' }, warmth: { type: 'Property', value: 3 } };
    assert.equal((await ld.post('/entities', e, { type: 'application/ld+json' })).status, 201);
    const plain = await ld.read(e.id);
    assert.equal(plain.type, 'https://example.org/Room');
    assert.equal(plain['https://example.org/warmth'].value, 3);
});

test('replace keeps createdAt and forgets the rest', async () => {
    const e = room();
    await ld.create(e);
    const before = await ld.read(e.id, '?options=sysAttrs');
    const res = await ld.put(`/entities/${e.id}`, { id: e.id, type: 'Room', humidity: 40 });
    assert.equal(res.status, 204, res.text);
    const after = await ld.read(e.id, '?options=sysAttrs');
    assert.equal(after.createdAt, before.createdAt);
    assert.ok(!('temperature' in after) && after.humidity.value === 40);
    assert.equal((await ld.put(`/entities/${e.id}`, { humidity: 41 })).status, 204, 'id and type may be left out');
    assert.equal((await ld.read(e.id)).type, 'Room');
    assertError(await ld.put('/entities/urn:x:none', { id: 'urn:x:none', type: 'Room' }), 404, 'ResourceNotFound');
    assertError(await ld.put(`/entities/${e.id}`, { id: 'urn:x:other', type: 'Room' }), 400, 'BadRequestData');
});

test('merge changes what is given and deletes with urn:ngsi-ld:null', async () => {
    const e = room({ name: { type: 'Property', value: { first: 'a', last: 'b' } }, gone: { type: 'Property', value: 1 } });
    await ld.create(e);
    const res = await ld.patch(`/entities/${e.id}`, {
        temperature: { value: 22 }, name: { value: { last: 'c' } }, gone: 'urn:ngsi-ld:null', fresh: 5,
    }, { type: 'application/merge-patch+json' });
    assert.equal(res.status, 204, res.text);
    const after = await ld.read(e.id);
    assert.deepEqual(after.temperature, { ...e.temperature, value: 22 });
    assert.deepEqual(after.name.value, { first: 'a', last: 'c' });
    assert.ok(!('gone' in after));
    assert.equal(after.fresh.value, 5);
    assertError(await ld.patch('/entities/urn:x:none', { a: 1 }), 404, 'ResourceNotFound');
});

test('delete', async () => {
    const e = room();
    await ld.create(e);
    const res = await ld.delete(`/entities/${e.id}`);
    assert.equal(res.status, 204);
    assert.equal(res.headers.get('content-length'), null);
    assertError(await ld.get(`/entities/${e.id}`), 404, 'ResourceNotFound');
    assertError(await ld.delete(`/entities/${e.id}`), 404, 'ResourceNotFound');
    assert.equal((await ld.post('/entities', e)).status, 201, 'it may come back');
});

test('type= must be the type of the entity', async () => {
    const e = room();
    await ld.create(e);
    assertError(await ld.get(`/entities/${e.id}?type=Hall`), 404, 'ResourceNotFound');
    assertError(await ld.delete(`/entities/${e.id}?type=Hall`), 404, 'ResourceNotFound');
    assertError(await ld.patch(`/entities/${e.id}?type=Hall`, { a: 1 }), 404, 'ResourceNotFound');
    assert.equal((await ld.get(`/entities/${e.id}?type=Hall,Room`)).status, 200);
    assert.equal((await ld.delete(`/entities/${e.id}?type=Room`)).status, 204);
});

test('ETag, If-None-Match and If-Match', async () => {
    const e = room();
    await ld.create(e);
    const first = await ld.get(`/entities/${e.id}`);
    const etag = first.headers.get('etag');
    assert.match(etag, /^"\d+"$/);
    assert.equal((await ld.get(`/entities/${e.id}`, { 'If-None-Match': etag })).status, 304);
    const write = (tag, body) => ld.patch(`/entities/${e.id}`, body, { headers: { 'If-Match': tag } });
    assert.equal((await write(etag, { temperature: { value: 1 } })).status, 204);
    assert.equal((await write(etag, { temperature: { value: 2 } })).status, 412);
    assert.equal((await write('*', { temperature: { value: 3 } })).status, 204);
    assert.equal((await ld.read(e.id)).temperature.value, 3);
    assert.equal((await ld.get(`/entities/${e.id}`, { 'If-None-Match': etag })).status, 200);
    assert.equal((await ld.request('DELETE', `/entities/${e.id}`, { headers: { 'If-Match': etag } })).status, 412);
});

test('an entity whose time is over is gone', async () => {
    const e = room({ expiresAt: '2020-01-01T00:00:00Z' }), later = room({ expiresAt: '2100-01-01T00:00:00Z' });
    await ld.create(e);
    await ld.create(later);
    assertError(await ld.get(`/entities/${e.id}`), 404, 'ResourceNotFound');
    assert.ok(!('expiresAt' in await ld.read(later.id)));
    assert.equal((await ld.read(later.id, '?options=sysAttrs')).expiresAt, later.expiresAt);
});

test('an empty id in the path is a wrong request', async () => {
    for (const [method, path] of [['PUT', ''], ['PATCH', ''], ['DELETE', ''], ['POST', '/attrs'], ['PATCH', '/attrs/'], ['PATCH', '/attrs/a'], ['PUT', '/attrs/a'], ['DELETE', '/attrs/a']])
        assertError(await ld.request(method, `/entities/${path}`, method === 'DELETE' ? {} : { body: { a: 1 } }), 400, 'BadRequestData');
    assertError(await ld.post('/temporal/entities//attrs', { a: 1 }), 400, 'BadRequestData');
    assertError(await ld.delete('/temporal/entities//attrs/a'), 400, 'BadRequestData');
    assert.equal((await ld.get('/entities//attrs/a')).status, 405);
});

test('date-times are UTC with Z (clause 4.6.3)', async () => {
    for (const at of ['2026-01-01T09:00:00+09:00', '2026-01-01T00:00:00', '2026-01-01', 'now', '2026-13-01T00:00:00Z']) {
        assertError(await ld.post('/entities', room({ warmth: { type: 'Property', value: 1, observedAt: at } })), 400, 'BadRequestData');
        assertError(await ld.post('/entities', room({ expiresAt: at })), 400, 'BadRequestData');
    }
    const e = room({ warmth: { type: 'Property', value: '2026-01-01T09:00:00+09:00', observedAt: '2026-01-01T00:00:00.5Z' } });
    await ld.create(e);
    assert.deepEqual((await ld.read(e.id)).warmth, e.warmth, 'a value is what it is');
});

test('HEAD and OPTIONS', async () => {
    const e = room();
    await ld.create(e);
    const head = await ld.request('HEAD', `/entities/${e.id}`);
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
    const no = await ld.request('POST', `/entities/${e.id}`, { body: {} });
    assert.equal(no.status, 405);
    assert.match(no.headers.get('allow'), /PATCH/);
});

test('a Link header names the context of a request without body', async () => {
    const e = { id: id(), type: 'https://example.org/Room', 'https://example.org/warmth': 3 };
    await ld.create(e);
    const made = await ld.post('/jsonldContexts', { '@context': { Room: 'https://example.org/Room', warmth: 'https://example.org/warmth' } });
    assert.equal(made.status, 201, made.text);
    const res = await ld.get(`/entities/${e.id}?options=keyValues`, contextLink(made.headers.get('location')));
    assert.deepEqual(res.json, { id: e.id, type: 'Room', warmth: 3 });
    assert.ok(res.headers.get('link').includes(made.headers.get('location')));
    assert.equal((await ld.get(`/entities/${e.id}?attrs=warmth`, contextLink(made.headers.get('location')))).status, 200);
});

test('transient attributes: not shown from their expiresAt on (clause 4.22)', async () => {
    const past = '2020-01-01T00:00:00Z', future = '2100-01-01T00:00:00Z';
    const e = room({ gone: { value: 1, expiresAt: past }, stays: { value: 2, expiresAt: future, inner: { value: 3, expiresAt: past } },
        some: [{ value: 4 }, { value: 5, datasetId: 'urn:x:d', expiresAt: past }] });
    await ld.create(e);
    for (const query of ['', '?options=keyValues', '?options=concise', '?options=sysAttrs']) {
        const read = await ld.read(e.id, query);
        assert.ok(!('gone' in read) && 'stays' in read && !('inner' in Object(read.stays)), query);
        assert.ok(!Array.isArray(read.some), query);
    }
    assert.equal((await ld.read(e.id, '?options=sysAttrs')).stays.expiresAt, future);
    assert.ok(!('gone' in (await ld.get(`/entities?id=${e.id}&local=true`)).json[0]));
});

await run(() => ld.city.stop());
