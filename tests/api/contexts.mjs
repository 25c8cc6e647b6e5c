#!/usr/bin/env node
// @contexts: hosting, caching of remote ones, where they may stand, what happens when one is missing.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { assertError, contextLink, coreContext, startLd } from '../lib/ngsi.mjs';

// A server of contexts: /a.jsonld, /slow.jsonld ...; counts what it is asked.
const asked = {};
const documents = {
    '/a.jsonld': { '@context': { warmth: 'https://example.org/warmth' } },
    '/b.jsonld': { '@context': { chill: 'https://example.org/chill' } },
    '/loop.jsonld': null, '/bad.jsonld': 'no json', '/empty.jsonld': '{}',
};
const remote = http.createServer((req, res) => {
    asked[req.url] = (asked[req.url] ?? 0) + 1;
    if (req.url === '/slow.jsonld') return; // never answers
    const body = req.url === '/loop.jsonld' ? { '@context': [url('/loop.jsonld'), {}] } : documents[req.url];
    if (body === undefined) res.statusCode = 404;
    res.setHeader('Content-Type', 'application/ld+json');
    res.end(typeof body === 'string' ? body : JSON.stringify(body ?? {}));
});
await new Promise((go) => remote.listen(0, '127.0.0.1', go));
const { port } = remote.address();
const url = (name) => `http://127.0.0.1:${port}${name}`;

const options = { data: mkdtempSync(path.join(tmpdir(), 'marugoto-contexts-')), args: ['--allow-private', '--link.context_fetch_ms=500'] };
let ld = await startLd(options);
const jsonld = { type: 'application/ld+json' };
let n = 0;
const thing = (context, more = {}) => ({ id: `urn:x:${++n}`, type: 'T', '@context': context, ...more });
const stored = async (e) => {
    const res = await ld.post('/entities', e, jsonld);
    assert.equal(res.status, 201, res.text);
    return ld.read(e.id, '?options=keyValues');
};

test('a hosted context is there for all to use', async () => {
    const made = await ld.post('/jsonldContexts', { '@context': { warmth: 'https://example.org/warmth' } });
    assert.equal(made.status, 201);
    const place = made.headers.get('location');
    assert.match(place, /^\/ngsi-ld\/v1\/jsonldContexts\/.+/);
    const served = await ld.city.get(place);
    assert.deepEqual(served.json, { '@context': { warmth: 'https://example.org/warmth' } });
    assert.equal((await stored(thing(ld.city.url + place, { warmth: 1 })))['https://example.org/warmth'], 1);
    const details = (await ld.city.get(`${place}?details=true`)).json;
    assert.equal(details.kind, 'Hosted');
    assert.equal(details.URL, ld.city.url + place);
    assert.ok(details.numberOfHits >= 1 && details.createdAt && details.lastUsage && details.localId);
    assert.ok((await ld.get('/jsonldContexts')).json.includes(ld.city.url + place));
    const kinds = (await ld.get('/jsonldContexts?details=true&kind=Hosted')).json;
    assert.ok(kinds.length && kinds.every((k) => k.kind === 'Hosted'));
    assert.equal((await ld.city.delete(place)).status, 204);
    assertError(await ld.city.get(place), 404, 'ResourceNotFound');
    assertError(await ld.city.delete(place), 404, 'ResourceNotFound');
});

test('a hosted context is JSON, or JSON-LD for those who ask for it', async () => {
    const made = await ld.post('/jsonldContexts', { '@context': { a: 'https://example.org/a' } });
    const place = made.headers.get('location');
    assert.equal((await ld.city.get(place)).headers.get('content-type'), 'application/json');
    assert.equal((await ld.city.get(place, { Accept: 'application/ld+json, application/json;q=0.9' })).headers.get('content-type'), 'application/ld+json');
});

test('the core context is there like a cached one', async () => {
    const place = `/jsonldContexts/${encodeURIComponent(`${coreContext}-v1.8.jsonld`)}`;
    const details = (await ld.get(`${place}?details=true`)).json;
    assert.equal(details.kind, 'Cached');
    assert.ok(details.createdAt && details.localId);
    assertError(await ld.delete(place), 400, 'BadRequestData');
    assertError(await ld.delete(`${place}?reload=false`), 400, 'BadRequestData');
    assert.equal((await ld.delete(`${place}?reload=true`)).status, 204);
    assertError(await ld.get(place), 422, 'OperationNotSupported');
});

test('an answer names the core context once, whoever brings it', async () => {
    const id = await ld.create({ id: 'urn:ngsi-ld:Thing:core', type: 'Thing' });
    const shown = async (context) => {
        const made = await ld.post('/jsonldContexts', { '@context': context });
        const link = contextLink(ld.city.url + made.headers.get('location'));
        return { url: ld.city.url + made.headers.get('location'), value: (await ld.get(`/entities/${id}`, { ...link, Accept: 'application/ld+json' })).json['@context'] };
    };
    const without = await shown({ a: 'https://example.org/a' });
    assert.deepEqual(without.value, [without.url, `${coreContext}-v1.8.jsonld`]);
    const within = await shown([{ a: 'https://example.org/a' }, `${coreContext}-v1.8.jsonld`]);
    assert.equal(within.value, within.url);
});

test('what is no context is not hosted', async () => {
    for (const body of [{ '@context': 5 }, { '@context': true }, { '@context': ['https://example.org/c', 5] }, { '@context': { a: { '@id': 5 } } }])
        assertError(await ld.post('/jsonldContexts', body), 400, 'BadRequestData');
    for (const body of [{}, [], { context: {} }])
        assertError(await ld.post('/jsonldContexts', body), 400, 'InvalidRequest');
    assertError(await ld.post('/jsonldContexts', '{'), 400, 'InvalidRequest');
    assertError(await ld.get('/jsonldContexts?kind=Any'), 400, 'BadRequestData');
    assertError(await ld.get('/jsonldContexts/none'), 404, 'ResourceNotFound');
});

test('terms with a context of their own are refused (clause 5.5.7)', async () => {
    const scoped = [{ Room: { '@id': 'https://e.org/Room', '@context': { warmth: 'https://e.org/warmth' } } }];
    assertError(await ld.post('/entities', thing(scoped), jsonld), 400, 'BadRequestData');
    assertError(await ld.post('/jsonldContexts', { '@context': scoped }), 400, 'BadRequestData');
    assertError(await ld.post('/entities', thing([`${coreContext}.jsonld`, { description: { '@id': 'https://e.org/d', '@context': {} } }]), jsonld), 400, 'BadRequestData');
});

test('contexts are JSON: other media types are refused', async () => {
    for (const path of ['/jsonldContexts', `/jsonldContexts/${encodeURIComponent(coreContext)}-v1.8.jsonld?details=true`])
        assertError(await ld.get(path, { Accept: 'application/geo+json' }), 406, 'about:blank');
});

test('a remote context is fetched once and kept', async () => {
    assert.equal((await stored(thing(url('/a.jsonld'), { warmth: 2 })))['https://example.org/warmth'], 2);
    assert.equal((await stored(thing([url('/a.jsonld')], { warmth: 3 })))['https://example.org/warmth'], 3);
    assert.equal(asked['/a.jsonld'], 1);
    const res = await ld.get(`/entities/urn:x:${n}?options=keyValues`, contextLink(url('/a.jsonld')));
    assert.equal(res.json.warmth, 3);
    assert.ok(res.headers.get('link').includes(url('/a.jsonld')));
    assert.equal(asked['/a.jsonld'], 1);
    const entry = (await ld.get(`/jsonldContexts/${encodeURIComponent(url('/a.jsonld'))}?details=true`)).json;
    assert.equal(entry.kind, 'Cached');
    assertError(await ld.get(`/jsonldContexts/${encodeURIComponent(url('/a.jsonld'))}`), 422, 'OperationNotSupported');
});

test('several missing ones in one request', async () => {
    const both = await stored(thing([url('/b.jsonld'), url('/a.jsonld'), { x: 'https://example.org/x' }], { chill: 1, warmth: 2, x: 3 }));
    assert.equal(both['https://example.org/chill'], 1);
    assert.equal(both['https://example.org/x'], 3);
});

test('a changed one is loaded again on request', async () => {
    documents['/a.jsonld'] = { '@context': { warmth: 'https://example.org/heat' } };
    const id = encodeURIComponent(url('/a.jsonld'));
    assert.equal((await ld.delete(`/jsonldContexts/${id}?reload=true`)).status, 204);
    assert.equal(asked['/a.jsonld'], 2);
    assert.equal((await stored(thing(url('/a.jsonld'), { warmth: 2 })))['https://example.org/heat'], 2);
    const hosted = (await ld.post('/jsonldContexts', { '@context': {} })).headers.get('location');
    assertError(await ld.city.delete(`${hosted}?reload=true`), 400, 'BadRequestData');
});

test('a context that cannot be had: 504', async () => {
    for (const path of ['/missing.jsonld', '/slow.jsonld'])
        assertError(await ld.post('/entities', thing(url(path)), jsonld), 504, 'LdContextNotAvailable');
    assertError(await ld.get('/entities/urn:x:1', contextLink('http://127.0.0.1:1/none')), 504, 'LdContextNotAvailable');
    assert.equal((await ld.get('/entities/urn:x:1')).status, 200, 'the server goes on');
});

test('a document that is no context: 400', async () => {
    for (const path of ['/bad.jsonld', '/empty.jsonld']) {
        const res = await ld.post('/entities', thing(url(path)), jsonld);
        assertError(res, 400, 'BadRequestData');
        assert.match(res.json.detail, /not a context/);
        const batch = await ld.post('/entityOperations/create', [thing(url(path))], jsonld);
        assert.equal(batch.status, 207);
        assert.match(batch.json.errors[0].error.type, /BadRequestData$/);
    }
});

test('a context that includes itself is an error, not a loop', async () => {
    const res = await ld.post('/entities', thing(url('/loop.jsonld')), jsonld);
    assertError(res, 400, 'BadRequestData');
});

test('inline contexts get an address for Link headers', async () => {
    const e = thing({ warmth: 'https://example.org/inline' }, { warmth: 1 });
    await stored(e);
    const list = (await ld.get('/jsonldContexts?kind=ImplicitlyCreated')).json;
    assert.ok(list.length >= 1);
    const found = [];
    for (const address of list)
        found.push((await ld.city.get(new URL(address).pathname)).text);
    assert.ok(found.some((text) => text.includes('https://example.org/inline')));
});

test('the core context stays', async () => {
    assertError(await ld.delete(`/jsonldContexts/${encodeURIComponent('https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld')}`), 400, 'BadRequestData');
    const e = thing({ location: 'https://example.org/elsewhere' }, { location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [1, 2] } } });
    assert.ok((await stored(e)).location, 'its terms win');
});

test('where a context may stand', async () => {
    const plain = { id: `urn:x:${++n}`, type: 'T' };
    assertError(await ld.post('/entities', plain, jsonld), 400, 'BadRequestData');
    assertError(await ld.post('/entities', { ...plain, '@context': {} }), 400, 'BadRequestData');
    assertError(await ld.post('/entities', { ...plain, '@context': {} }, { ...jsonld, headers: contextLink(url('/a.jsonld')) }), 400, 'BadRequestData');
    assertError(await ld.patch('/entities/urn:x:1', { a: 1, '@context': {} }, { type: 'application/merge-patch+json' }), 400, 'BadRequestData');
    assert.equal((await ld.post('/entities', plain, { headers: { Link: '<http://other>; rel="next"' } })).status, 201, 'other links do not matter');
});

test('contexts survive a restart without their servers', async () => {
    remote.close();
    remote.closeAllConnections();
    await ld.city.end('SIGTERM'); // stop() would drop a database of PostgreSQL
    ld = await startLd({ ...options, store: ld.city.store });
    assert.equal((await stored(thing(url('/b.jsonld'), { chill: 1 })))['https://example.org/chill'], 1);
});

await run(async () => {
    remote.close();
    await ld.city.stop();
    rmSync(options.data, { recursive: true, force: true });
});
