#!/usr/bin/env node
// Errors all operations share: parameters, media types, methods, sizes.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, startLd } from '../lib/ngsi.mjs';

const ld = await startLd({ args: ['--link.entity_bytes=20000', '--client.allow_private=false'] });
const id = await ld.create({ id: 'urn:ngsi-ld:Room:1', type: 'Room', temperature: 1 });

test('unknown parameters are refused by every operation', async () => {
    const calls = [['GET', '/entities?type=Room&x=1'], ['DELETE', '/entities?type=Room&x=1'], ['GET', `/entities/${id}?x=1`], ['DELETE', `/entities/${id}?x=1`],
        ['POST', '/entities?x=1'], ['PUT', `/entities/${id}?x=1`], ['PATCH', `/entities/${id}?x=1`], ['POST', `/entities/${id}/attrs?x=1`], ['PATCH', `/entities/${id}/attrs?x=1`],
        ['PATCH', `/entities/${id}/attrs/a?x=1`], ['PUT', `/entities/${id}/attrs/a?x=1`], ['DELETE', `/entities/${id}/attrs/a?x=1`], ['GET', '/types?x=1'], ['GET', '/types/T?x=1'],
        ['GET', '/attributes?x=1'], ['GET', '/attributes/a?x=1'], ['GET', '/jsonldContexts?x=1'], ['POST', '/jsonldContexts?x=1'], ['POST', '/entityOperations/create?x=1'],
        ['POST', '/entityOperations/query?x=1'], ['GET', '/temporal/entities?x=1'], ['GET', `/temporal/entities/${id}?x=1`], ['POST', '/temporal/entities?x=1'], ['GET', '/info/sourceIdentity?x=1']];
    for (const [method, path] of calls) {
        const res = await ld.request(method, path, ['GET', 'DELETE'].includes(method) ? {} : { body: {} });
        assertError(res, 400, 'InvalidRequest');
    }
    assert.equal((await ld.get(`/entities/${id}`)).status, 200);
});

test('content types', async () => {
    const send = (type, method = 'POST', path = '/entities') => ld.request(method, path, { body: '{"id":"urn:x:ct","type":"T"}', type });
    for (const type of ['text/plain', 'application/xml', 'application/x-www-form-urlencoded', 'application/merge-patch+json'])
        assert.deepEqual(await send(type).then((res) => [res.status, res.text]), [415, ''], type); // 6.3.4: no body
    assert.equal((await send('application/json; charset=utf-8')).status, 201);
    assert.equal((await ld.patch(`/entities/${id}`, '{"a":1}', { type: 'application/merge-patch+json' })).status, 204);
    assert.equal((await ld.patch(`/entities/${id}/attrs`, '{"a":1}', { type: 'application/merge-patch+json' })).status, 204);
    assert.equal((await ld.patch(`/entities/${id}/attrs/a`, '{"value":1}', { type: 'application/merge-patch+json' })).status, 204);
    assert.equal((await ld.put(`/entities/${id}`, '{"a":1}', { type: 'application/merge-patch+json' })).status, 415);
});

test('collections with the slash that the standard gives them', async () => {
    for (const path of ['/entities/?type=Room', '/types/', '/attributes/', '/subscriptions/', '/jsonldContexts/', '/csourceRegistrations/?type=Room', '/csourceSubscriptions/'])
        assert.equal((await ld.get(path)).status, 200, path);
    assert.equal((await ld.get('/entityMaps/?type=Room')).status, 201);
    assert.equal((await ld.post('/snapshots/', { type: 'Snapshot', snapshotQueries: [{ type: 'Query', entities: [{ type: 'Room' }] }] })).status, 201);
});

test('a path that leads elsewhere names no attribute', async () => {
    for (const name of ['%2e%2e%2e', '%252e%252e', '%252E.'])
        for (const path of [`/entities/${id}/attrs/${name}`, `/temporal/entities/${id}/attrs/${name}`])
            assertError(await ld.delete(path), 400, 'BadRequestData');
});

test('media types that nobody offers', async () => {
    for (const path of [`/entities/${id}`, '/entities?type=Room', '/types', `/temporal/entities/${id}`]) {
        const res = await ld.get(path, { Accept: 'image/png' });
        assert.equal(res.status, 406);
        assert.equal(res.json.status, 406);
    }
    assert.equal((await ld.get(`/temporal/entities/${id}`, { Accept: 'application/geo+json' })).status, 406);
});

test('methods', async () => {
    for (const [method, path] of [['PUT', '/entities'], ['DELETE', '/types'], ['PATCH', '/entityOperations/create'], ['DELETE', `/entities/${id}/attrs`]]) {
        const res = await ld.request(method, path, { body: '{}' });
        assert.equal(res.status, 405, `${method} ${path}`);
        assert.ok(res.headers.get('allow'));
    }
    assert.equal((await ld.get('/nothing')).status, 404);
});

test('errors say what is wrong, in JSON, whoever asks', async () => {
    const res = await ld.get('/entities/urn:x:none', { Accept: 'text/html,application/ld+json' });
    assertError(res, 404, 'ResourceNotFound');
    assert.match(res.json.detail, /urn:x:none/);
    const bad = await ld.post('/entities', { id: 'urn:x:2', type: 'T', speed: { type: 'Relationship', object: 5 } });
    assert.match(bad.json.detail, /speed/);
});

test('entities have a size', async () => {
    const big = 'x'.repeat(15000);
    assert.equal((await ld.post('/entities', { id: 'urn:x:big', type: 'T', a: big })).status, 201);
    assert.equal((await ld.post('/entities/urn:x:big/attrs', { b: big })).status, 413);
    assert.equal((await ld.post('/entities', { id: 'urn:x:bigger', type: 'T', a: big, b: big })).status, 413);
    assert.ok(!('b' in await ld.read('urn:x:big')));
});

test('addresses inside are not fetched from', async () => {
    for (const host of ['127.0.0.1', 'localhost', '169.254.169.254', '[::1]', '10.0.0.1'])
        assertError(await ld.post('/entities', { id: 'urn:x:ssrf', type: 'T', '@context': `http://${host}:9/a` }, { type: 'application/ld+json' }), 504, 'LdContextNotAvailable');
    assertError(await ld.post('/entities', { id: 'urn:x:ssrf', type: 'T', '@context': 'file:///etc/passwd' }, { type: 'application/ld+json' }), 400, 'BadRequestData');
});

test('any origin may read', async () => {
    const res = await ld.get(`/entities/${id}`, { Origin: 'https://example.org' });
    assert.equal(res.headers.get('access-control-allow-origin'), '*');
});

await run(() => ld.city.stop());
