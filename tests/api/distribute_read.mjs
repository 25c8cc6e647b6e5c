#!/usr/bin/env node
// Reading what is spread over several brokers: clauses 4.3.6, 4.5.5, 5.7.1, 5.7.2, 6.3.17, 6.3.18.
// Two real servers on the loopback and a source that is under the test's control.
import assert from 'node:assert/strict';
import http from 'node:http';
import { startLd } from '../lib/ngsi.mjs';
import { run, test as plain } from '../lib/tap.mjs';

const args = ['--client.allow_private=true', '--link.forward_ms=1500'];
const here = await startLd({ args });
const there = await startLd({ args });
const third = await startLd({ args });

// A source that answers what it is told: source.answers['/path?query'] or source.answer(req).
const seen = [];
const source = { answer: () => [404, ''], seen };
const server = http.createServer((req, res) => {
    let body = '';
    req.on('data', (d) => { body += d; });
    req.on('end', () => {
        seen.push({ method: req.method, url: req.url, headers: req.headers, body });
        const got = source.answer(req, body);
        if (!got) return; // never
        const [status, text, headers = {}] = got;
        res.writeHead(status, { 'Content-Type': 'application/json', ...headers });
        res.end(typeof text === 'string' ? text : JSON.stringify(text));
    });
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const sourceUrl = `http://127.0.0.1:${server.address().port}`;

let n = 0;
const made = [];
const vehicle = { entities: [{ type: 'Vehicle' }] };
const register = async (at, endpoint, more = {}) => {
    const id = `urn:ngsi-ld:ContextSourceRegistration:${++n}`;
    const res = await at.post('/csourceRegistrations', { id, type: 'ContextSourceRegistration', information: [vehicle], endpoint, management: { cooldown: 1 }, ...more });
    assert.equal(res.status, 201, res.text);
    made.push(id);
    return id;
};
const forget = async (at, ...list) => {
    for (const id of list) assert.equal((await at.delete(`/csourceRegistrations/${id}`)).status, 204);
};
const put = async (at, id, attrs = {}, type = 'Vehicle') => {
    const res = await at.post('/entities?local=true', { id, type, ...attrs });
    assert.equal(res.status, 201, res.text);
};
// Whatever happens, a test leaves nothing behind.
const clear = async () => {
    for (const at of [here, there, third]) {
        for (const id of made.splice(0)) await Promise.all([here, there, third].map((x) => x.delete(`/csourceRegistrations/${id}`)));
        for (const type of ['Vehicle', 'Bus', 'https://example.org/Vehicle']) await at.delete(`/entities?type=${encodeURIComponent(type)}&local=true`);
    }
};
const test = (name, fn) => plain(name, async () => {
    try { await fn(); } finally { await clear(); }
});
const prop = (value, more = {}) => ({ type: 'Property', value, ...more });
const get = async (path, status = 200, headers) => {
    const res = await here.get(path, headers);
    assert.equal(res.status, status, `${path}: ${res.text}`);
    return res;
};
const idsOf = (res) => res.json.map((e) => e.id);
const V = (i) => `urn:ngsi-ld:Vehicle:${i}`;

test('an entity that another broker has is retrieved', async () => {
    const r = await register(here, there.city.url);
    await put(there, V(1), { speed: prop(10) });
    assert.deepEqual((await get(`/entities/${V(1)}`)).json, { id: V(1), type: 'Vehicle', speed: prop(10) });
    assert.equal((await get(`/entities/${V(1)}?options=keyValues`)).json.speed, 10);
    assert.deepEqual((await get(`/entities/${V(1)}?attrs=speed`)).json, { id: V(1), type: 'Vehicle', speed: prop(10) });
    await get(`/entities/${V(1)}?attrs=other`, 404);
    await get(`/entities/${V(1)}?type=Bus`, 404);
    await get(`/entities/${V(1)}?local=true`, 404);
    await get(`/entities/${V(9)}`, 404);
    // both have a part
    await put(here, V(1), { fuel: prop(5) });
    const both = (await get(`/entities/${V(1)}`)).json;
    assert.deepEqual([both.fuel.value, both.speed.value], [5, 10]);
    assert.deepEqual((await get(`/entities/${V(1)}?local=true`)).json.speed, undefined);
    const read = (await here.get(`/csourceRegistrations/${r}`)).json;
    assert.equal(read.status, 'ok');
    assert.ok(read.timesSent >= 5 && read.timesFailed < read.timesSent && read.lastSuccess);
    await forget(here, r);
    await get(`/entities/${V(1)}?attrs=speed`, 404);
});

test('of two values the one observed last, else modified last, is given', async () => {
    const r = await register(here, there.city.url);
    await put(there, V(1), { a: prop(1, { observedAt: '2026-01-02T00:00:00Z' }), b: prop('old'), c: [prop(1), prop(2, { datasetId: 'urn:d:1' })] });
    await put(here, V(1), { a: prop(2, { observedAt: '2026-01-01T00:00:00Z' }), b: prop('new'), c: prop(3, { datasetId: 'urn:d:2' }) });
    const e = (await get(`/entities/${V(1)}`)).json;
    assert.equal(e.a.value, 1);
    assert.equal(e.b.value, 'new');
    assert.deepEqual(e.c.map((x) => [x.datasetId, x.value]), [[undefined, 1], ['urn:d:2', 3], ['urn:d:1', 2]]);
    await there.patch(`/entities/${V(1)}/attrs?local=true`, { b: prop('newest') });
    assert.equal((await get(`/entities/${V(1)}`)).json.b.value, 'newest');
    assert.equal((await get('/entities?type=Vehicle')).json[0].b.value, 'newest');
    assert.deepEqual(Object.keys((await get(`/entities/${V(1)}`)).json.b), ['type', 'value']);
    await forget(here, r);
});

test('auxiliary sources only add', async () => {
    const r = await register(here, there.city.url, { mode: 'auxiliary' });
    await put(here, V(1), { a: prop('ours', { observedAt: '2020-01-01T00:00:00Z' }) });
    await put(there, V(1), { a: prop('theirs', { observedAt: '2026-01-01T00:00:00Z' }), b: prop('more') });
    const e = (await get(`/entities/${V(1)}`)).json;
    assert.deepEqual([e.a.value, e.b.value], ['ours', 'more']);
    const [q] = (await get('/entities?type=Vehicle')).json;
    assert.deepEqual([q.a.value, q.b.value], ['ours', 'more']);
    await forget(here, r);
});

test('an exclusive source is the only one for its attributes', async () => {
    const r = await register(here, there.city.url, { mode: 'exclusive', operations: ['retrieveOps'], information: [{ entities: [{ id: V(1), type: 'Vehicle' }], propertyNames: ['speed'] }] });
    const other = await register(here, third.city.url);
    await put(here, V(1), { speed: prop(1, { observedAt: '2026-05-01T00:00:00Z' }), fuel: prop('ours') });
    await put(there, V(1), { speed: prop(2, { observedAt: '2020-01-01T00:00:00Z' }), fuel: prop('not registered') });
    await put(third, V(1), { speed: prop(3, { observedAt: '2026-06-01T00:00:00Z' }), seats: prop(4) });
    const e = (await get(`/entities/${V(1)}`)).json;
    assert.deepEqual([e.speed.value, e.fuel.value, e.seats.value], [2, 'ours', 4]);
    const [q] = (await get('/entities?type=Vehicle')).json;
    assert.deepEqual([q.speed.value, q.fuel.value, q.seats.value], [2, 'ours', 4]);
    await forget(here, r, other);
});

test('queries find what is here and there, filters hold for all', async () => {
    const r = await register(here, there.city.url);
    await put(here, V(1), { speed: prop(10) });
    await put(here, V(3), { speed: prop(30) });
    await put(there, V(2), { speed: prop(20) });
    await put(there, V(4), { speed: prop(40), location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [1, 1] } } });
    await put(there, V(5), { speed: prop(50) }, 'Bus');
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle')), [V(1), V(3), V(2), V(4)]);
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&local=true')), [V(1), V(3)]);
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&q=speed>15')), [V(3), V(2), V(4)]);
    assert.deepEqual(idsOf(await get(`/entities?type=Vehicle&id=${V(1)},${V(2)}`)), [V(1), V(2)]);
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&idPattern=[34]$')), [V(3), V(4)]);
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&georel=near;maxDistance==1000&geometry=Point&coordinates=[1,1]')), [V(4)]);
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&attrs=location')), [V(4)]);
    assert.deepEqual(idsOf(await get('/entities?type=Bus')), []);
    assert.deepEqual(idsOf(await get('/entities?q=speed>0')), [V(1), V(3), V(2), V(4)]);
    assert.deepEqual((await get('/entities?type=Vehicle&pick=id,speed&options=keyValues')).json[2], { id: V(2), speed: 20 });
    const geo = await get('/entities?type=Vehicle&attrs=location', 200, { Accept: 'application/geo+json' });
    assert.deepEqual(geo.json.features[0].geometry, { type: 'Point', coordinates: [1, 1] });
    const body = { type: 'Query', entities: [{ type: 'Vehicle', id: [V(2)] }, { type: 'Vehicle', idPattern: '[13]$' }], q: 'speed<25' };
    assert.deepEqual(idsOf(await here.post('/entityOperations/query', body)), [V(1), V(2)]);
    // pages and counts
    const page = await get('/entities?type=Vehicle&limit=2&offset=1&count=true');
    assert.deepEqual(idsOf(page), [V(3), V(2)]);
    assert.equal(page.headers.get('ngsild-results-count'), '4');
    assert.match(page.headers.get('link'), /offset=3>; rel="next"/);
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&limit=2&offset=3')), [V(4)]);
    assert.equal((await get('/entities?type=Vehicle&limit=0&count=true')).headers.get('ngsild-results-count'), '4');
    assert.equal((await here.get('/entities?type=Vehicle&orderBy=speed')).status, 400);
    await forget(here, r);
});

test('a large source is read page by page', async () => {
    const r = await register(here, there.city.url);
    const list = Array.from({ length: 45 }, (_, i) => ({ id: V(`p${String(i).padStart(2, '0')}`), type: 'Vehicle', i: prop(i) }));
    assert.equal((await there.post('/entityOperations/create?local=true', list)).status, 201);
    const res = await get('/entities?type=Vehicle&limit=100&count=true');
    assert.deepEqual(idsOf(res), list.map((e) => e.id));
    assert.equal(res.headers.get('ngsild-results-count'), '45');
    await forget(here, r);
});

test('split entities: filters look at the whole', async () => {
    const r = await register(here, there.city.url);
    await put(here, V(1), { a: prop(1) });
    await put(there, V(1), { b: prop(2) });
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&q=a==1;b==2')), []);
    const [whole] = (await get('/entities?type=Vehicle&q=a==1;b==2&splitEntities=true')).json;
    assert.deepEqual([whole.a.value, whole.b.value], [1, 2]);
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&q=a==1;b==3&splitEntities=true')), []);
    await forget(here, r);
});

test('csf says which sources are asked', async () => {
    const r = await register(here, there.city.url, { sourceType: 'sensor' });
    await put(there, V(1), {});
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&csf=sourceType==%22sensor%22')), [V(1)]);
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&csf=sourceType==%22archive%22')), []);
    assert.deepEqual(idsOf(await here.post('/entityOperations/query', { type: 'Query', entities: [{ type: 'Vehicle' }], csf: 'sourceType=="archive"' })), []);
    await forget(here, r);
});

test('tenants: the one named in the registration is asked', async () => {
    const head = { 'NGSILD-Tenant': 'b' };
    assert.equal((await there.post('/entities', { id: V(1), type: 'Vehicle' }, { headers: head })).status, 201);
    const r = await register(here, there.city.url, { tenant: 'b' });
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle')), [V(1)]);
    await forget(here, r);
    await there.delete(`/entities/${V(1)}`, head);
});

test('two brokers that know each other do not go round in circles', async () => {
    const a = await register(here, there.city.url), b = await register(there, here.city.url);
    await put(here, V(1), {});
    await put(there, V(2), {});
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle')), [V(1), V(2)]);
    assert.equal((await get(`/entities/${V(2)}`)).json.id, V(2));
    await get(`/entities/${V(7)}`, 404);
    await forget(here, a);
    await forget(there, b);
});

test('three in a row', async () => {
    const a = await register(here, there.city.url), b = await register(there, third.city.url);
    await put(third, V(3), { x: prop(1) });
    assert.equal((await get(`/entities/${V(3)}`)).json.x.value, 1);
    const c = await register(here, there.city.url, { management: { localOnly: true, cooldown: 1 } });
    await forget(here, a);
    await get(`/entities/${V(3)}`, 404);
    await forget(here, c);
    await forget(there, b);
});

// --- a source under control ---

const warning = (res) => res.headers.get('ngsild-warning') ?? '';

test('what a source is asked for', async () => {
    const r = await register(here, `${sourceUrl}/broker/ngsi-ld/v1/`, { information: [{ entities: [{ id: V(1), type: 'Vehicle' }], propertyNames: ['speed'] }], contextSourceInfo: [{ key: 'X-Auth', value: 'k' }], operations: ['retrieveOps'] });
    source.answer = () => [404, ''];
    seen.length = 0;
    await get(`/entities/${V(1)}`, 404);
    assert.equal(seen[0].url, `/broker/ngsi-ld/v1/entities/${V(1)}?attrs=speed`);
    assert.equal(seen[0].headers['x-auth'], 'k');
    assert.match(seen[0].headers.via, /^1\.1 /);
    await get('/entities?type=Vehicle');
    assert.equal(seen[1].url, `/broker/ngsi-ld/v1/entities?type=Vehicle&id=${V(1)}&attrs=speed`);
    await get('/entities?type=Bus');
    await get(`/entities/${V(2)}`, 404);
    await get(`/entities/${V(1)}?attrs=fuel`, 404);
    assert.equal(seen.length, 2);
    await forget(here, r);
    const q = await register(here, sourceUrl, { operations: ['updateOps'] });
    await get(`/entities/${V(1)}`, 404);
    await get('/entities?type=Vehicle');
    assert.equal(seen.length, 2);
    await forget(here, q);
    const b = await register(here, sourceUrl, { operations: ['queryBatch'] });
    source.answer = () => [200, [{ id: V(1), type: 'Vehicle', speed: prop(1) }]];
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&q=speed==1')), [V(1)]);
    assert.equal(seen[2].url, '/ngsi-ld/v1/entityOperations/query');
    assert.deepEqual(JSON.parse(seen[2].body), { type: 'Query', entities: [{ type: 'Vehicle' }], q: 'speed==1' });
    await forget(here, b);
});

test('names go in the terms of the caller, or in those of the registration', async () => {
    const context = { Vehicle: 'https://example.org/Vehicle', speed: 'https://example.org/speed' };
    const hosted = await here.post('/jsonldContexts', { '@context': { Auto: 'https://example.org/Vehicle', tempo: 'https://example.org/speed' } });
    const url = here.city.url + hosted.headers.get('location');
    const r = await register(here, sourceUrl, { information: [{ entities: [{ type: 'https://example.org/Vehicle' }] }], contextSourceInfo: [{ key: 'jsonldContext', value: url }] });
    source.answer = () => [200, [{ id: V(1), type: 'Auto', tempo: prop(5) }]];
    seen.length = 0;
    const res = await here.post('/entityOperations/query', { '@context': context, type: 'Query', entities: [{ type: 'Vehicle' }], q: 'speed==5' }, { type: 'application/ld+json' });
    assert.equal(res.status, 200, res.text);
    assert.equal(res.json[0].type, 'Vehicle');
    assert.equal(res.json[0].speed.value, 5);
    assert.ok(seen[0].url.includes('query') || seen[0].url.includes('type=Auto'), seen[0].url);
    assert.ok(seen[0].headers.link.includes(url));
    await forget(here, r);
});

test('a source that fails costs a warning and nothing else', async () => {
    const r = await register(here, sourceUrl);
    await put(here, V(1), { a: prop(1) });
    const both = async (says) => {
        for (const path of [`/entities/${V(1)}`, '/entities?type=Vehicle']) {
            const res = await get(path);
            assert.equal([res.json].flat()[0].a.value, 1);
            assert.match(warning(res), says);
            await new Promise((done) => { setTimeout(done, 5); });
        }
    };
    source.answer = () => [403, {}];
    await both(/^299 /);
    source.answer = () => [500, 'oh'];
    await both(/^299 /);
    source.answer = () => [200, 'not a document'];
    await both(/^111 /);
    source.answer = () => null;
    await both(/^199 /);
    source.answer = () => [404, ''];
    await both(/^$/);
    await get(`/entities/${V(2)}`, 404);
    await forget(here, r);
    const gone = await register(here, 'http://127.0.0.1:9');
    assert.match(warning(await get(`/entities/${V(2)}`, 404)), /^199 /);
    const read = (await here.get(`/csourceRegistrations/${gone}`)).json;
    assert.deepEqual([read.status, read.timesFailed], ['failed', 1]);
    await forget(here, gone);
});

test('what a source said a moment ago is not asked again (management.cacheDuration)', async () => {
    const r = await register(here, sourceUrl, { operations: ['retrieveOps', 'updateEntity'], management: { cacheDuration: 'PT1H' }, contextSourceInfo: [{ key: 'X-Proof', value: 'urn:ngsi-ld:request' }] });
    let n = 0;
    source.answer = (req) => (req.method === 'GET' ? [200, { id: V(7), type: 'Vehicle', a: prop(++n) }] : [204, '']);
    const value = async (headers) => {
        const res = await here.get(`/entities/${V(7)}`, headers);
        return [res.json.a.value, res.json.b?.value];
    };
    assert.deepEqual(await value(), [1, undefined]);
    assert.deepEqual(await value(), [1, undefined]);
    assert.equal((await here.get(`/csourceRegistrations/${r}`)).json.timesSent, 1);
    assert.deepEqual(await value({ 'X-Proof': 'other' }), [2, undefined], 'not to somebody with another proof');
    assert.deepEqual(await value({ 'X-Proof': 'other' }), [2, undefined]);
    assert.deepEqual(await value(), [1, undefined]);
    assert.ok((await here.patch(`/entities/${V(7)}/attrs`, { a: prop(0) })).status < 300 || true);
    assert.deepEqual(await value(), [3, undefined], 'a change makes it old');
    await forget(here, r);
    const short = await register(here, sourceUrl, { management: { cacheDuration: 'PT0.05S' } });
    const first = (await value())[0];
    await new Promise((done) => { setTimeout(done, 60); });
    assert.ok((await value())[0] > first, 'it is over');
    source.answer = () => [500, ''];
    await forget(here, short);
    const failing = await register(here, sourceUrl, { management: { cacheDuration: 'PT1H', cooldown: 1 } });
    await get(`/entities/${V(7)}`, 404);
    source.answer = () => [200, { id: V(7), type: 'Vehicle', a: prop(9) }];
    await new Promise((done) => { setTimeout(done, 5); });
    assert.deepEqual(await value(), [9, undefined], 'failures are not kept');
    await forget(here, failing);
});

test('foreign answers do not poison', async () => {
    const r = await register(here, sourceUrl, { information: [{ entities: [{ type: 'Vehicle', idPattern: 'Vehicle:[0-9]$' }], propertyNames: ['a', 'b'] }] });
    await put(here, V(1), { a: prop('ours', { observedAt: '2026-01-01T00:00:00Z' }) });
    const one = async (answer) => {
        source.answer = () => [200, answer];
        const res = await get(`/entities/${V(1)}`);
        await new Promise((done) => { setTimeout(done, 5); });
        return [res.json, warning(res)];
    };
    const bad = [[], 5, null, 'x', {}, { id: V(1) }, { type: 'Vehicle' }, { id: V(2), type: 'Vehicle', a: prop(1) }, { id: V(1), type: 'Vehicle', a: { type: 'Property' } },
        { id: V(1), type: 'Vehicle', a: prop(null) }, { id: V(1), type: 'Vehicle', '': 1 }, { id: V(1), type: 7 },
        { id: V(1), type: 'Vehicle', a: prop(1, { observedAt: 'never' }) }, { id: V(1), type: 'Vehicle', a: [prop(1), prop(2)] }, '{"id":1,"id":2}', '['.repeat(5000)];
    for (const answer of bad) {
        const [e, says] = await one(answer);
        assert.deepEqual(e.a.value, 'ours', JSON.stringify(answer));
        assert.match(says, /^111 /, JSON.stringify(answer));
    }
    // what the registration does not speak of is left out
    const [e, says] = await one({ id: V(1), type: 'Vehicle', b: prop(1), c: prop(2), createdAt: '2020-01-01T00:00:00Z' });
    assert.deepEqual([e.b?.value, e.c, says], [1, undefined, '']);
    assert.equal((await one({ id: V(1), type: 'Spy', b: prop(1) }))[0].b, undefined);
    source.answer = () => [200, [{ id: V(3), type: 'Vehicle', a: prop(1) }, { id: V('other'), type: 'Vehicle', a: prop(1) }, { id: V(4), type: 'Spy', a: prop(1) }]];
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle')), [V(1), V(3)]);
    assert.deepEqual(idsOf(await get('/entities?type=Vehicle&q=a==5')), []);
    // a next page for ever
    let page = 0;
    source.answer = () => [200, [{ id: V(++page % 10), type: 'Vehicle', a: prop(page) }], { Link: '</x>; rel="next"' }];
    assert.ok((await get('/entities?type=Vehicle')).json.length <= 10);
    assert.ok(page < 60, `${page} requests`);
    // expired
    source.answer = () => [200, { id: V(5), type: 'Vehicle', expiresAt: '2001-01-01T00:00:00Z', a: prop(1) }];
    await get(`/entities/${V(5)}`, 404);
    source.answer = () => [200, { id: V(5), type: 'Vehicle', expiresAt: '2099-01-01T00:00:00Z', a: prop(1) }];
    assert.equal((await get(`/entities/${V(5)}`)).json.a.value, 1);
    await forget(here, r);
});

test('disagreement is settled by asking once more, with the times', async () => {
    const r = await register(here, sourceUrl);
    await put(here, V(1), { a: prop('ours') });
    source.answer = (req) => [200, { id: V(1), type: 'Vehicle', a: prop('theirs', req.url.includes('sysAttrs') ? { modifiedAt: '2099-01-01T00:00:00Z' } : {}) }];
    seen.length = 0;
    assert.equal((await get(`/entities/${V(1)}`)).json.a.value, 'theirs');
    assert.deepEqual(seen.map((s) => s.url), [`/ngsi-ld/v1/entities/${V(1)}`, `/ngsi-ld/v1/entities/${V(1)}?options=sysAttrs`]);
    source.answer = () => [200, { id: V(1), type: 'Vehicle', a: prop('ours'), b: prop(1) }];
    seen.length = 0;
    assert.equal((await get(`/entities/${V(1)}`)).json.b.value, 1);
    assert.equal(seen.length, 1);
    await forget(here, r);
});

test('types and attributes of everywhere', async () => {
    await register(here, there.city.url, { information: [{ entities: [{ type: 'Vehicle' }, { type: 'Bus' }] }] });
    await put(here, V(1), { speed: prop(1), own: prop(1) });
    await put(there, V(2), { speed: prop(2), seats: { type: 'Relationship', object: 'urn:x:1' } });
    await put(there, V(3), { doors: prop(1) }, 'Bus');
    await put(there, 'urn:t:1', { rails: prop(1) }, 'Tram'); // of which the registration does not speak
    assert.deepEqual((await get('/types')).json.typeList.sort(), ['Bus', 'Vehicle']);
    assert.deepEqual((await get('/types?local=true')).json.typeList, ['Vehicle']);
    const details = (await get('/types?details=true')).json;
    assert.deepEqual(details.map((t) => [t.typeName, t.attributeNames.sort()]), [['Vehicle', ['own', 'seats', 'speed']], ['Bus', ['doors']]]);
    const info = (await get('/types/Vehicle')).json;
    assert.equal(info.entityCount, 2);
    assert.deepEqual(info.attributeDetails.map((a) => a.attributeName).sort(), ['own', 'seats', 'speed']);
    assert.equal((await get('/types/Bus')).json.entityCount, 1);
    await get('/types/Tram', 404);
    await get('/types/Bus?local=true', 404);
    assert.ok((await get('/attributes')).json.attributeList.includes('seats'));
    const attr = (await get('/attributes/speed')).json;
    assert.deepEqual([attr.attributeCount, attr.typeNames], [2, ['Vehicle']]);
    assert.deepEqual((await get('/attributes/doors')).json.typeNames, ['Bus']);
    await get('/attributes/nothing', 404);
    await there.delete('/entities/urn:t:1?local=true');
});

test('evolutions of everywhere', async () => {
    await register(here, there.city.url, { information: [{ entities: [{ type: 'Ferry' }] }], operations: ['retrieveTemporal', 'queryTemporal'], observationInterval: { startAt: '2020-01-01T00:00:00Z' } });
    const at = (day) => ({ observedAt: `2026-01-0${day}T00:00:00Z` });
    const evolve = async (where, id, attrs) => assert.equal((await where.post('/temporal/entities?local=true', { id, type: 'Ferry', ...attrs })).status, 201);
    await evolve(here, V('h1'), { speed: [prop(1, at(1)), prop(3, at(3))] });
    await evolve(there, V('h1'), { speed: [prop(2, at(2))], fuel: [prop(9, at(1))] });
    await evolve(there, V('h2'), { speed: [prop(7, at(1))] });
    const one = (await get(`/temporal/entities/${V('h1')}`)).json;
    assert.deepEqual([one.speed.map((i) => i.value), [one.fuel].flat()[0].value], [[1, 2, 3], 9]);
    const values = (await get(`/temporal/entities/${V('h1')}?options=temporalValues&attrs=speed`)).json;
    assert.deepEqual(values.speed.values.map((v) => v[0]), [1, 2, 3]);
    assert.equal((await get(`/temporal/entities/${V('h2')}`)).json.id, V('h2'));
    await get(`/temporal/entities/${V('h2')}?local=true`, 404);
    const time = 'timerel=after&timeAt=2025-01-01T00:00:00Z';
    const all = (await get(`/temporal/entities?type=Ferry&${time}`)).json;
    assert.deepEqual(all.map((e) => e.id), [V('h1'), V('h2')]);
    assert.equal(all[0].speed.length, 3);
    assert.deepEqual((await get('/temporal/entities?type=Ferry&timerel=before&timeAt=2019-01-01T00:00:00Z')).json, []);
    const posted = await here.post('/temporal/entityOperations/query', { type: 'Query', entities: [{ type: 'Ferry' }], temporalQ: { timerel: 'after', timeAt: '2025-01-01T00:00:00Z' } });
    assert.deepEqual(posted.json.map((e) => e.id), [V('h1'), V('h2')], posted.text);
    for (const [where, id] of [[here, V('h1')], [there, V('h1')], [there, V('h2')]]) await where.delete(`/temporal/entities/${id}?local=true`);
    // pages of everywhere: each entity once, whoever has it
    for (const n of [1, 2, 3]) await evolve(here, V(`p${n}`), { speed: [prop(n, at(n))] });
    for (const n of [3, 4, 5, 6]) await evolve(there, V(`p${n}`), { speed: [prop(n, at(n))] });
    const pages = [];
    for (let path = `/temporal/entities?type=Ferry&${time}&limit=2&count=true`; path;) {
        const res = await get(path);
        assert.equal(res.headers.get('ngsild-results-count'), '6');
        pages.push(res.json.map((e) => e.id));
        path = /<[^>]*(\/temporal[^>]*)>; rel="next"/.exec(res.headers.get('link') ?? '')?.[1];
    }
    assert.deepEqual(pages, [[V('p1'), V('p2')], [V('p3'), V('p4')], [V('p5'), V('p6')]]);
    for (const [where, list] of [[here, [1, 2, 3]], [there, [3, 4, 5, 6]]]) for (const n of list) await where.delete(`/temporal/entities/${V(`p${n}`)}?local=true`);
    // a source that gives its own page by page
    const boats = await register(here, sourceUrl, { information: [{ entities: [{ type: 'Raft' }] }], operations: ['queryTemporal'] });
    source.answer = (req) => {
        const from = Number(new URL(req.url, 'http://x').searchParams.get('offset') ?? 0);
        return [200, [from, from + 1].map((n) => ({ id: V(`r${n}`), type: 'Raft', speed: [prop(n, at(1))] })), from < 4 ? { Link: '<x>; rel="next"' } : {}];
    };
    const rafts = await get(`/temporal/entities?type=Raft&${time}`);
    assert.deepEqual(rafts.json.map((e) => e.id), [0, 1, 2, 3, 4, 5].map((n) => V(`r${n}`)));
    source.answer = () => [500, ''];
    assert.deepEqual((await get(`/temporal/entities?type=Raft&${time}`)).json, []);
    await forget(here, boats);
    // who cuts an evolution short says so; together it is complete where all are (clause 6.3.10)
    const id = V('h9'), cut = (range, days, options) => { source.answer = () => [206, { id, type: 'Boat', speed: days.map((d) => prop(d * 10, at(d))), fuel: [prop(1, at(9))] }, { 'Content-Range': range }]; return get(`/temporal/entities/${id}?${options}`, 206); };
    const r = await register(here, sourceUrl, { information: [{ entities: [{ type: 'Boat' }] }], operations: ['retrieveTemporal', 'queryTemporal'] });
    assert.equal((await here.post('/temporal/entities?local=true', { id, type: 'Boat', speed: [1, 2, 3, 4, 5].map((d) => prop(d, at(d))) })).status, 201);
    const forth = await cut('date-time 2026-01-01T00:00:00Z-2026-01-03T00:00:00Z/*', [2, 3], 'timerel=after&timeAt=2026-01-01T00:00:00Z');
    assert.deepEqual(forth.json.speed.map((v) => v.value), [1, 2, 20, 3, 30]);
    assert.deepEqual(forth.json.fuel, []);
    assert.match(forth.headers.get('content-range'), /^date-time 2026-01-01T00:00:00(\.000)?Z-2026-01-03T00:00:00(\.000)?Z\/\*$/);
    const back = await cut('date-time 2026-01-05T00:00:00Z-2026-01-04T00:00:00Z/3', [4, 5], 'lastN=3');
    assert.ok(back.json.speed.every((v) => v.observedAt >= '2026-01-04'));
    assert.match(back.headers.get('content-range'), /^date-time 2026-01-05T00:00:00\S*Z-2026-01-04T00:00:00\S*Z\/3$/);
    source.answer = () => [206, { id, type: 'Boat', speed: [prop(9, at(9))] }, { 'Content-Range': 'bytes 0-1/2' }];
    const odd = await get(`/temporal/entities/${id}`);
    assert.deepEqual([odd.json.speed.length, odd.headers.get('ngsild-warning').slice(0, 4)], [5, '111 '], 'a part of which nobody can say what part it is');
    await forget(here, r);
});

await run(async () => {
    server.closeAllConnections();
    server.close();
    await Promise.all([here, there, third].map((at) => at.city.stop()));
});
