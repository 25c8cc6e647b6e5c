#!/usr/bin/env node
// Attributes of an entity: append, update, partial update, replace, delete, read.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, contextLink, startLd } from '../lib/ngsi.mjs';

const iri = (name) => `https://uri.etsi.org/ngsi-ld/default-context/${name}`; // names in 207 answers are whole

const ld = await startLd();
let n = 0;
async function room(more = {}) {
    return ld.create({
        id: `urn:ngsi-ld:Room:${++n}`, type: 'Room',
        temperature: { type: 'Property', value: 25, unitCode: 'CEL', observedAt: '2026-01-01T00:00:00Z' }, ...more,
    });
}

test('append adds and overwrites', async () => {
    const id = await room();
    const res = await ld.post(`/entities/${id}/attrs`, { humidity: 40, temperature: { value: 1 } });
    assert.equal(res.status, 204, res.text);
    const e = await ld.read(id);
    assert.equal(e.humidity.value, 40);
    assert.deepEqual(e.temperature, { type: 'Property', value: 1 });
    assertError(await ld.post('/entities/urn:x:none/attrs', { a: 1 }), 404, 'ResourceNotFound');
});

test('noOverwrite leaves alone what is there and says so', async () => {
    const id = await room();
    const res = await ld.post(`/entities/${id}/attrs?options=noOverwrite`, { humidity: 40, temperature: 1 });
    assert.equal(res.status, 207);
    assert.deepEqual(res.json.updated, [iri('humidity')]);
    assert.equal(res.json.notUpdated.length, 1);
    assert.equal(res.json.notUpdated[0].attributeName, iri('temperature'));
    assert.ok(res.json.notUpdated[0].reason);
    assert.equal((await ld.read(id)).temperature.value, 25);
});

test('append adds types; a scope is overwritten, or with noOverwrite added to', async () => {
    const id = await room({ scope: '/a' });
    assert.equal((await ld.post(`/entities/${id}/attrs/`, { type: 'Hall', scope: '/b' })).status, 204);
    assert.deepEqual((await ld.read(id)).type, ['Room', 'Hall']);
    assert.equal((await ld.read(id)).scope, '/b');
    assert.equal((await ld.post(`/entities/${id}/attrs/?options=noOverwrite`, { scope: ['/c', '/b'] })).status, 204);
    assert.deepEqual((await ld.read(id)).scope, ['/b', '/c']);
});

test('update replaces a scope, and makes none', async () => {
    const id = await room({ scope: '/a' });
    assert.equal((await ld.patch(`/entities/${id}/attrs/`, { scope: '/b' })).status, 204);
    assert.equal((await ld.read(id)).scope, '/b');
    const bare = await room();
    const res = await ld.patch(`/entities/${bare}/attrs/`, { scope: '/b', temperature: 1 });
    assert.equal(res.status, 207);
    assert.deepEqual(res.json.updated, [iri('temperature')]);
    assert.deepEqual(res.json.notUpdated.map((u) => u.attributeName), ['scope']);
    assert.ok(!('scope' in await ld.read(bare)));
});

test('update replaces whole attributes that are there', async () => {
    const id = await room();
    const res = await ld.patch(`/entities/${id}/attrs`, { temperature: { type: 'Property', value: 100, observedAt: '2026-02-01T00:00:00Z' } });
    assert.equal(res.status, 204, res.text);
    assert.deepEqual((await ld.read(id)).temperature, { type: 'Property', value: 100, observedAt: '2026-02-01T00:00:00Z' });
});

test('update adds attributes and instances that are not there (5.5.8)', async () => {
    const id = await room();
    const res = await ld.patch(`/entities/${id}/attrs/`, { more: 2, temperature: { value: 30, datasetId: 'urn:d:extra' } });
    assert.equal(res.status, 204, res.text);
    const e = await ld.read(id);
    assert.equal(e.more.value, 2);
    assert.deepEqual(e.temperature.map((t) => [t.value, t.datasetId]), [[25, undefined], [30, 'urn:d:extra']]);
});

test('update that would delete what is not there: 207', async () => {
    const id = await room();
    const res = await ld.patch(`/entities/${id}/attrs/`, { temperature: 1, nothing: { value: 'urn:ngsi-ld:null' } });
    assert.equal(res.status, 207);
    assert.deepEqual(res.json.updated, [iri('temperature')]);
    assert.deepEqual(res.json.notUpdated.map((u) => u.attributeName), [iri('nothing')]);
    assert.ok(res.json.notUpdated[0].reason);
});

test('update deletes with urn:ngsi-ld:null', async () => {
    const id = await room();
    assert.equal((await ld.patch(`/entities/${id}/attrs`, { temperature: { type: 'Property', value: 'urn:ngsi-ld:null' } })).status, 204);
    assert.ok(!('temperature' in await ld.read(id)));
});

test('partial update replaces members and leaves the others', async () => {
    const id = await room();
    const res = await ld.patch(`/entities/${id}/attrs/temperature`, { type: 'Property', value: 100, observedAt: '2026-02-01T00:00:00Z' });
    assert.equal(res.status, 204, res.text);
    assert.deepEqual((await ld.read(id)).temperature, { type: 'Property', value: 100, unitCode: 'CEL', observedAt: '2026-02-01T00:00:00Z' });
    assert.equal((await ld.patch(`/entities/${id}/attrs/temperature`, { unitCode: 'FAH' })).status, 204);
    assert.equal((await ld.read(id)).temperature.unitCode, 'FAH');
    assertError(await ld.patch(`/entities/${id}/attrs/nothing`, { value: 1 }), 404, 'ResourceNotFound');
    assertError(await ld.patch(`/entities/${id}/attrs/temperature`, {}), 400, 'BadRequestData');
    assertError(await ld.patch(`/entities/${id}/attrs/temperature`, { datasetId: 'urn:ngsi-ld:null' }), 400, 'BadRequestData');
});

test('partial update of one instance', async () => {
    const id = await room({ speed: [{ value: 1 }, { value: 2, datasetId: 'urn:d:2' }] });
    assert.equal((await ld.patch(`/entities/${id}/attrs/speed`, { value: 3, datasetId: 'urn:d:2' })).status, 204);
    assert.deepEqual((await ld.read(id)).speed.map((s) => s.value), [1, 3]);
});

test('replace one attribute', async () => {
    const id = await room();
    assert.equal((await ld.put(`/entities/${id}/attrs/temperature`, { type: 'Property', value: 7 })).status, 204);
    assert.deepEqual((await ld.read(id)).temperature, { type: 'Property', value: 7 });
    assertError(await ld.put(`/entities/${id}/attrs/nothing`, { value: 7 }), 404, 'ResourceNotFound');
});

test('delete an attribute, an instance, all instances', async () => {
    const id = await room({ speed: [{ value: 1 }, { value: 2, datasetId: 'urn:d:2' }, { value: 3, datasetId: 'urn:d:3' }] });
    assert.equal((await ld.delete(`/entities/${id}/attrs/temperature`)).status, 204);
    assertError(await ld.delete(`/entities/${id}/attrs/temperature`), 404, 'ResourceNotFound');
    assert.equal((await ld.delete(`/entities/${id}/attrs/speed?datasetId=urn:d:2`)).status, 204);
    assert.deepEqual((await ld.read(id)).speed.map((s) => s.value), [1, 3]);
    assertError(await ld.delete(`/entities/${id}/attrs/speed?datasetId=urn:d:9`), 404, 'ResourceNotFound');
    assertError(await ld.delete(`/entities/${id}/attrs/speed?datasetId=no uri`), 400, 'BadRequestData');
    assertError(await ld.delete(`/entities/${id}/attrs/speed?deleteAll=perhaps`), 400, 'BadRequestData');
    assert.equal((await ld.delete(`/entities/${id}/attrs/speed?deleteAll=true`)).status, 204);
    assert.ok(!('speed' in await ld.read(id)));
});

test('a scope is deleted like an attribute, and not updated like one', async () => {
    const id = await room({ scope: '/a' });
    assertError(await ld.patch(`/entities/${id}/attrs/scope`, { value: '/b' }), 400, 'BadRequestData');
    assert.equal((await ld.delete(`/entities/${id}/attrs/scope`)).status, 204);
    assert.ok(!('scope' in await ld.read(id)));
    assertError(await ld.delete(`/entities/${id}/attrs/scope`), 404, 'ResourceNotFound');
});

test('type= must be the type of the entity', async () => {
    const id = await room();
    for (const res of [await ld.post(`/entities/${id}/attrs?type=Hall`, { a: 1 }), await ld.patch(`/entities/${id}/attrs?type=Hall`, { temperature: 1 }),
        await ld.patch(`/entities/${id}/attrs/temperature?type=Hall`, { value: 1 }), await ld.delete(`/entities/${id}/attrs/temperature?type=Hall`)])
        assertError(res, 404, 'ResourceNotFound');
    assert.equal((await ld.read(id)).temperature.value, 25);
    assert.equal((await ld.patch(`/entities/${id}/attrs/temperature?type=Room`, { value: 1 })).status, 204);
});

test('names by IRI and by a context', async () => {
    const id = await room({ 'https://example.org/warmth': 3 });
    assert.equal((await ld.patch(`/entities/${id}/attrs/${encodeURIComponent('https://example.org/warmth')}`, { value: 4 })).status, 204);
    const made = await ld.post('/jsonldContexts', { '@context': { warmth: 'https://example.org/warmth' } });
    const headers = contextLink(made.headers.get('location'));
    assert.equal((await ld.patch(`/entities/${id}/attrs/warmth`, { value: 5 }, { headers })).status, 204);
    assert.equal((await ld.read(id))['https://example.org/warmth'].value, 5);
    assert.equal((await ld.get(`/entities/${id}/attrs/warmth/value`, headers)).text, '5');
    assert.equal((await ld.put(`/entities/${id}/attrs/warmth/value`, '6', { headers })).status, 204);
    assert.equal((await ld.read(id))['https://example.org/warmth'].value, 6);
    assertError(await ld.patch(`/entities/${id}/attrs/a%20b`, { value: 5 }), 400, 'BadRequestData');
});

test('reading one attribute and its value', async () => {
    const id = await room({ speed: [{ value: 1 }, { value: 2, datasetId: 'urn:d:2' }] });
    assert.deepEqual((await ld.get(`/entities/${id}/attrs/temperature`)).json, { type: 'Property', value: 25, unitCode: 'CEL', observedAt: '2026-01-01T00:00:00Z' });
    assert.equal((await ld.get(`/entities/${id}/attrs/speed`)).json.length, 2);
    assert.equal((await ld.get(`/entities/${id}/attrs/speed?datasetId=urn:d:2`)).json.value, 2);
    assert.equal((await ld.get(`/entities/${id}/attrs/speed/value?datasetId=urn:d:2`)).json, 2);
    assertError(await ld.get(`/entities/${id}/attrs/nothing`), 404, 'ResourceNotFound');
    assertError(await ld.get(`/entities/${id}/attrs/speed?datasetId=urn:d:9`), 404, 'ResourceNotFound');
});

test('a new value keeps the kind of the attribute', async () => {
    const id = await room({ near: { type: 'Relationship', object: 'urn:x:1' } });
    assert.equal((await ld.put(`/entities/${id}/attrs/near/value`, '"urn:x:2"')).status, 204);
    assert.deepEqual((await ld.read(id)).near, { type: 'Relationship', object: 'urn:x:2' });
    assertError(await ld.put(`/entities/${id}/attrs/near/value`, '5'), 400, 'BadRequestData');
    assert.equal((await ld.put(`/entities/${id}/attrs/temperature/value`, '{"min":1,"max":2}')).status, 204);
    assert.deepEqual((await ld.read(id)).temperature.value, { min: 1, max: 2 });
});

test('conditions', async () => {
    const id = await room();
    const etag = (await ld.get(`/entities/${id}`)).headers.get('etag');
    const write = (value) => ld.patch(`/entities/${id}/attrs/temperature`, { value }, { headers: { 'If-Match': etag } });
    assert.equal((await write(1)).status, 204);
    assert.equal((await write(2)).status, 412);
});

await run(() => ld.city.stop());
