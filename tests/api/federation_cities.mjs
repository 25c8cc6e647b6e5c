#!/usr/bin/env node
// Cities that federate: real servers that register one another, write, read, go in rings, go away.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { startLd, assertError, ids } from '../lib/ngsi.mjs';
import { register } from '../lib/source.mjs';

const args = ['--client.allow_private=true', '--link.forward_ms=3000', '--link.forward_cooldown_ms=0'];
const nanao = await startLd({ args }), wajima = await startLd({ args }), suzu = await startLd({ args });
const operations = ['redirectionOps', 'queryBatch', 'createBatch', 'upsertBatch', 'updateBatch', 'mergeBatch', 'deleteBatch'];
const entity = (id, type, more = {}) => ({ id, type, a: { type: 'Property', value: 1 }, b: { type: 'Property', value: 2 }, ...more });
const at = async (ld, id) => (await ld.get(`/entities/${id}?local=true`)).json;

test('inclusive: both have it, both change, both forget', async () => {
    const id = 'urn:x:shelter:1';
    await register(nanao, wajima.city.url, { type: 'Shelter' }, { operations });
    await nanao.create(entity(id, 'Shelter'));
    assert.equal((await at(wajima, id)).a.value, 1);
    assert.equal((await nanao.patch(`/entities/${id}/attrs`, { a: 5 })).status, 204);
    assert.equal((await at(wajima, id)).a.value, 5);
    assert.equal((await wajima.patch(`/entities/${id}/attrs`, { c: { type: 'Property', value: 'only there' } })).status, 204);
    const whole = await nanao.read(id);
    assert.equal(whole.c.value, 'only there');
    assert.equal((await nanao.delete(`/entities/${id}`)).status, 204);
    for (const ld of [nanao, wajima]) assertError(await ld.get(`/entities/${id}?local=true`), 404, 'ResourceNotFound');
});

test('redirect over two cities: only the last keeps it', async () => {
    await register(nanao, wajima.city.url, { type: 'Road' }, { mode: 'redirect', operations });
    await register(wajima, suzu.city.url, { type: 'Road' }, { mode: 'redirect', operations });
    const id = 'urn:x:road:1';
    const made = await nanao.post('/entities', entity(id, 'Road'));
    assert.equal(made.status, 201, made.text);
    assert.equal((await at(suzu, id)).b.value, 2);
    for (const ld of [nanao, wajima]) assert.equal((await ld.get(`/entities/${id}?local=true`)).status, 404);
    assert.equal((await nanao.read(id)).b.value, 2);
    assert.deepEqual(ids(await nanao.get('/entities?type=Road')), [id]);
    assert.equal((await nanao.patch(`/entities/${id}/attrs/a?type=Road`, { value: 7 })).status, 204);
    assert.equal((await at(suzu, id)).a.value, 7);
    assertError(await nanao.post('/entities', entity(id, 'Road')), 409, 'AlreadyExists');
    const many = ['urn:x:road:2', 'urn:x:road:3'];
    const batch = await nanao.post('/entityOperations/create', many.map((x) => entity(x, 'Road')));
    assert.equal(batch.status, 201, batch.text);
    assert.deepEqual(batch.json, many);
    assert.equal((await at(suzu, many[1])).a.value, 1);
    const mixed = await nanao.post('/entityOperations/create', [id, 'urn:x:road:4'].map((x) => entity(x, 'Road')));
    assert.equal(mixed.status, 207, mixed.text);
    assert.deepEqual(mixed.json.success, ['urn:x:road:4']);
    assert.deepEqual(mixed.json.errors.map((e) => e.entityId), [id]);
});

test('exclusive: one attribute lives elsewhere', async () => {
    const id = 'urn:x:pump:1';
    await register(nanao, suzu.city.url, { id, type: 'Pump' }, { mode: 'exclusive', propertyNames: ['a'], operations });
    await nanao.create(entity(id, 'Pump'));
    assert.deepEqual(Object.keys(await at(nanao, id)), ['id', 'type', 'b']);
    assert.deepEqual(Object.keys(await at(suzu, id)), ['id', 'type', 'a']);
    const whole = await nanao.read(id);
    assert.deepEqual([whole.a.value, whole.b.value], [1, 2]);
    assert.equal((await nanao.patch(`/entities/${id}`, { a: 3, b: 4 })).status, 204);
    assert.deepEqual([(await at(suzu, id)).a.value, (await at(nanao, id)).b.value], [3, 4]);
    assert.equal((await nanao.delete(`/entities/${id}/attrs/a`)).status, 204);
    assert.equal((await nanao.read(id)).a, undefined);
    assert.equal((await nanao.delete(`/entities/${id}`)).status, 204);
});

test('a ring: everybody once', async () => {
    const ring = [nanao, wajima, suzu];
    for (const [i, ld] of ring.entries()) await register(ld, ring[(i + 1) % 3].city.url, { type: 'Siren' }, { operations });
    const id = 'urn:x:siren:1';
    const made = await nanao.post('/entities', entity(id, 'Siren'));
    assert.equal(made.status, 201, made.text);
    for (const ld of ring) assert.equal((await at(ld, id)).a.value, 1);
    assert.equal((await suzu.patch(`/entities/${id}/attrs`, { a: 9 })).status, 204);
    for (const ld of ring) assert.equal((await at(ld, id)).a.value, 9);
    assert.deepEqual(ids(await wajima.get('/entities?type=Siren')), [id]);
    assert.equal((await wajima.delete(`/entities/${id}`)).status, 204);
    for (const ld of ring) assert.equal((await ld.get(`/entities/${id}?local=true`)).status, 404);
});

test('a city that is cut off does not take the others with it', async () => {
    await nanao.create({ id: 'urn:x:siren:2', type: 'Siren', a: 1 }, {});
    await wajima.city.kill();
    const began = Date.now();
    const res = await nanao.get('/entities?type=Siren');
    assert.deepEqual(ids(res), ['urn:x:siren:2']);
    assert.match(res.headers.get('ngsild-warning'), /^199 /);
    assert.ok(Date.now() - began < 5000);
    const written = await nanao.patch('/entities/urn:x:siren:2/attrs', { a: 2 });
    assert.equal(written.status, 207, written.text);
    assert.equal((await at(nanao, 'urn:x:siren:2')).a.value, 2);
    assertError(await nanao.patch('/entities/urn:x:road:1/attrs', { a: 2 }), 502, 'about:blank');
});

await run(async () => {
    await nanao.city.stop();
    await suzu.city.stop();
});
