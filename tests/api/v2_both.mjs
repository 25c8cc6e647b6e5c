#!/usr/bin/env node
// NGSIv2: batches, notifications taken in, and one entity through both interfaces.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, startV2 } from '../lib/v2.mjs';

const v2 = await startV2();
let n = 0;
const fresh = () => `B${++n}`;
const update = (actionType, entities, options = '') => v2.post(`/op/update${options}`, { actionType, entities });
const values = async (id) => { const { id: _, type, ...rest } = await v2.read(id, '?options=keyValues'); return rest; };

test('append makes and updates', async () => {
    const [a, b] = [fresh(), fresh()];
    assert.equal((await update('append', [{ id: a, type: 'T', x: { value: 1 } }, { id: b, x: { value: 2 } }])).status, 204);
    assert.equal((await update('append', [{ id: a, x: { value: 3 }, y: { value: 4 } }])).status, 204);
    assert.deepEqual(await values(a), { x: 3, y: 4 });
    assert.equal((await v2.read(b)).type, 'Thing');
    assert.equal((await update('APPEND', [{ id: a, z: 5 }], '?options=keyValues')).status, 204);
    assert.deepEqual(await values(a), { x: 3, y: 4, z: 5 });
});

test('appendStrict refuses what is there', async () => {
    const id = fresh();
    assert.equal((await update('appendStrict', [{ id, x: { value: 1 } }])).status, 204);
    assertError(await update('appendStrict', [{ id, x: { value: 2 }, y: { value: 2 } }]), 422, 'Unprocessable', /already exist: \[ x \]/);
    assert.deepEqual(await values(id), { x: 1, y: 2 });
});

test('update changes what is there; the others of the batch are done', async () => {
    const [a, b] = [fresh(), fresh()];
    await v2.create({ id: a, x: { value: 1 } });
    assertError(await update('update', [{ id: b, x: { value: 1 } }, { id: a, x: { value: 2 } }]), 404, 'NotFound');
    assertError(await update('update', [{ id: a, x: { value: 3 }, y: { value: 3 } }]), 422, 'Unprocessable', /do not exist/);
    assert.deepEqual(await values(a), { x: 3 });
});

test('replace and delete', async () => {
    const id = fresh();
    await v2.create({ id, type: 'T', x: { value: 1 }, y: { value: 1 } });
    assert.equal((await update('replace', [{ id, z: { value: 1 }, w: { value: 2 } }])).status, 204);
    assert.deepEqual(await values(id), { z: 1, w: 2 });
    assert.equal((await update('delete', [{ id, type: 'T', z: {} }])).status, 204);
    assert.deepEqual(await values(id), { w: 2 });
    assertError(await update('delete', [{ id, z: {} }]), 404, 'NotFound', /attribute/);
    assert.equal((await update('delete', [{ id }])).status, 204);
    assertError(await update('delete', [{ id }]), 404, 'NotFound');
    assertError(await update('replace', [{ id, z: { value: 1 } }]), 404, 'NotFound');
});

test('wrong batches change nothing', async () => {
    const id = fresh();
    for (const body of [{}, [], { actionType: 'append' }, { actionType: 'append', entities: [] }, { actionType: 'append', entities: {} },
        { actionType: 'none', entities: [{ id }] }, { entities: [{ id }] }, { actionType: 'append', entities: [{ id }, {}] },
        { actionType: 'append', entities: [{ id }, 5] }, { actionType: 'append', entities: [{ id }], more: 1 },
        { actionType: 'append', entities: [{ id, a: 5 }] }, { actionType: 'append', entities: [{ id: 'a<b' }] }])
        assertError(await v2.post('/op/update', JSON.stringify(body)), 400, 'BadRequest');
    assertError(await v2.get(`/entities/${id}`), 404, 'NotFound');
});

test('a notification of another broker is taken in', async () => {
    const id = fresh();
    const res = await v2.post('/op/notify', { subscriptionId: '5aeb0ee97d4ef10a12a0262f', data: [
        { id, type: 'Room', t: { type: 'Number', value: 1, metadata: { dateCreated: { type: 'DateTime', value: '2026-01-01T00:00:00Z' } } }, dateModified: { type: 'DateTime', value: '2026-01-01T00:00:00Z' } }] });
    assert.equal(res.status, 200, res.text);
    assert.deepEqual(await v2.read(id), { id, type: 'Room', t: { type: 'Number', value: 1, metadata: {} } });
    assertError(await v2.post('/op/notify', { data: [{ id }] }), 400, 'BadRequest');
    assertError(await v2.post('/op/notify', { subscriptionId: 'x', data: [] }), 400, 'BadRequest');
});

test('written through NGSIv2, read through NGSI-LD', async () => {
    const id = fresh();
    await v2.create({
        id, type: 'Room',
        temperature: { type: 'Celsius', value: 21.5, metadata: { TimeInstant: { type: 'DateTime', value: '2026-01-01T00:00:00Z' }, unitCode: { type: 'Text', value: 'CEL' }, accuracy: { type: 'Number', value: 0.9 } } },
        location: { type: 'geo:point', value: '36.08, 140.11' },
        refFloor: { type: 'Relationship', value: 'Floor1' }, since: { type: 'DateTime', value: '2026-01-01' }, none: { value: null },
    }, { headers: { 'Fiware-ServicePath': '/north/one' } });
    const ld = `urn:ngsi-ld:v2:${id}`;
    assert.deepEqual((await v2.ld('GET', `/entities/${ld}`)).json, {
        id: ld, type: 'Room', scope: '/north/one',
        temperature: { type: 'Property', value: 21.5, observedAt: '2026-01-01T00:00:00Z', unitCode: 'CEL', accuracy: { type: 'Property', value: 0.9 } },
        location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [140.11, 36.08] } },
        refFloor: { type: 'Relationship', object: 'urn:ngsi-ld:v2:Floor1' },
        since: { type: 'Property', value: { '@type': 'DateTime', '@value': '2026-01-01T00:00:00Z' } },
        none: { type: 'JsonProperty', json: null },
    });
    const found = async (query) => (await v2.ld('GET', `/entities?type=Room&${query}`)).json.map((e) => e.id);
    assert.deepEqual(await found('q=temperature>21'), [ld]);
    assert.deepEqual(await found('scopeQ=/north/%23'), [ld]);
    assert.deepEqual(await found('georel=near;maxDistance==10&geometry=Point&coordinates=[140.11,36.08]'), [ld]);
    assert.deepEqual((await v2.ld('GET', `/entities/${ld}?options=keyValues&pick=id,temperature`)).json, { id: ld, temperature: 21.5 });
});

test('changed through NGSI-LD, read through NGSIv2', async () => {
    const id = fresh();
    await v2.create({ id, type: 'Room', t: { type: 'Celsius', value: 1, metadata: { m: { type: 'my', value: 2 } } }, at: { type: 'geo:point', value: '1,  2' } });
    const path = `/entities/urn:ngsi-ld:v2:${id}`;
    const patch = await v2.ld('PATCH', `${path}/attrs/t`, { body: { value: 5 } });
    assert.equal(patch.status, 204, patch.text);
    assert.deepEqual((await v2.read(id)).t, { type: 'Celsius', value: 5, metadata: { m: { type: 'my', value: 2 } } }, 'a part of it changed');
    await v2.ld('PATCH', `${path}/attrs/at`, { body: { type: 'GeoProperty', value: { type: 'Point', coordinates: [7, 8] } } });
    assert.deepEqual((await v2.read(id)).at, { type: 'geo:point', value: '8, 7', metadata: {} });
    await v2.ld('POST', `${path}/attrs`, { body: { t: { type: 'Property', value: 'new' } } });
    assert.deepEqual((await v2.read(id)).t, { type: 'Text', value: 'new', metadata: {} }, 'all of it is new');
    assert.equal((await v2.ld('DELETE', path)).status, 204);
    assertError(await v2.get(`/entities/${id}`), 404, 'NotFound');
});

test('written through NGSI-LD, read and changed through NGSIv2', async () => {
    const id = 'urn:ngsi-ld:Shelter:7';
    await v2.ld('POST', '/entities', { body: {
        id, type: ['Shelter', 'School'], scope: ['/a/b', '/c'],
        occupancy: { type: 'Property', value: 12, unitCode: 'C62', observedAt: '2026-01-01T00:00:00Z', by: { type: 'Relationship', object: 'urn:x:1' } },
        name: { type: 'LanguageProperty', languageMap: { ja: '公民館' } },
        location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [140, 36] } },
        of: { type: 'Relationship', object: ['urn:x:1', 'urn:x:2'] }, raw: { type: 'JsonProperty', json: { a: 1 } },
        both: [{ type: 'Property', value: 1 }, { type: 'Property', value: 2, datasetId: 'urn:d:1' }],
        odd: [{ type: 'Property', value: 2, datasetId: 'urn:d:1' }],
    } });
    const want = {
        id, type: 'Shelter',
        occupancy: { type: 'Number', value: 12, metadata: { observedAt: { type: 'DateTime', value: '2026-01-01T00:00:00Z' }, unitCode: { type: 'Text', value: 'C62' }, by: { type: 'Relationship', value: 'urn:x:1' } } },
        name: { type: 'LanguageProperty', value: { ja: '公民館' }, metadata: {} },
        location: { type: 'geo:json', value: { type: 'Point', coordinates: [140, 36] }, metadata: {} },
        of: { type: 'Relationship', value: ['urn:x:1', 'urn:x:2'], metadata: {} }, raw: { type: 'JsonProperty', value: { a: 1 }, metadata: {} },
        both: { type: 'Number', value: 1, metadata: {} },
    };
    assert.deepEqual(await v2.read(id), want);
    assert.deepEqual(await v2.read(id, '', { 'Fiware-ServicePath': '/c' }), want);
    assert.equal((await v2.read(id, '?type=School')).id, id);
    const inside = { headers: { 'Fiware-ServicePath': '/a/b' } };
    assertError(await v2.patch(`/entities/${id}/attrs`, { occupancy: { value: 13 } }), 404, 'NotFound');
    assert.equal((await v2.patch(`/entities/${id}/attrs`, { occupancy: { value: 13 }, both: { value: 9 } }, inside)).status, 204);
    const now = (await v2.ld('GET', `/entities/${id}`)).json;
    assert.deepEqual(now.type, ['Shelter', 'School']);
    assert.equal(now.occupancy.value, 13);
    assert.equal(now.occupancy.unitCode, 'C62');
    assert.deepEqual(now.both.map((i) => i.value), [9, 2]);
    assert.equal((await v2.put(`/entities/${id}/attrs`, { only: { value: 1 } }, inside)).status, 204);
    const left = (await v2.ld('GET', `/entities/${id}`)).json;
    assert.deepEqual(left.scope, ['/a/b', '/c']);
    assert.deepEqual(Object.keys(left).sort(), ['id', 'only', 'scope', 'type']);
});

test('the same id with another type: kept apart here, a conflict there', async () => {
    const id = 'urn:ngsi-ld:Two:1';
    assert.equal((await v2.ld('POST', '/entities', { body: { id, type: 'A', x: { type: 'Property', value: 1 } } })).status, 201);
    assert.equal((await v2.ld('POST', '/entities', { body: { id, type: 'B' } })).status, 409);
    await v2.create({ id, type: 'B', x: { value: 2 } });
    assert.equal((await v2.read(id, '?type=B')).x.value, 2);
    assert.equal((await v2.ld('GET', `/entities/${id}`)).json.type, 'A');
    assert.equal((await v2.ld('GET', `/entities/${encodeURIComponent(`urn:ngsi-ld:v2:${encodeURIComponent(id)}:B:%2F`)}`)).json.x.value, 2);
    assertError(await v2.get(`/entities/${id}`), 409, 'TooManyResults');
});

test('names that are words of NGSI-LD', async () => {
    const id = fresh();
    const e = { id, type: 'value', scope: { type: 'Text', value: 'x', metadata: { observedAt: { type: 'Text', value: 'y' } } }, createdAt: { type: 'Number', value: 1, metadata: {} }, '@context': { type: 'Number', value: 2, metadata: {} } };
    await v2.create(e);
    assert.deepEqual(await v2.read(id), e);
    const ld = (await v2.ld('GET', `/entities/urn:ngsi-ld:v2:${id}`)).json;
    assert.equal(ld.scope, undefined);
    assert.equal(ld['@context'], undefined);
    assert.deepEqual((await v2.get(`/entities?q=createdAt==1`)).json.map((x) => x.id), [id]);
});

test('history goes on through both', async () => {
    const id = fresh();
    await v2.create({ id, type: 'Room', t: { value: 1 } });
    await v2.patch(`/entities/${id}/attrs`, { t: { value: 2 } });
    const res = await v2.ld('GET', `/temporal/entities/urn:ngsi-ld:v2:${id}?timerel=after&timeAt=2020-01-01T00:00:00Z&timeproperty=modifiedAt`);
    assert.deepEqual(res.json.t.map((i) => i.value).sort(), [1, 2], res.text);
    assert.ok(!res.text.includes('"v2"'));
});

await run(() => v2.city.stop());
