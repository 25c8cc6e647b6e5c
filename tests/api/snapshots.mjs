#!/usr/bin/env node
// Snapshots (clauses 5.2.41, 5.16, 6.3.22, 6.36 to 6.38).
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { assertError, ids, startLd } from '../lib/ngsi.mjs';

const ld = await startLd();
const at = (minute) => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString().replace('.000', '');
const room = (n, more = {}) => ({ id: `urn:ngsi-ld:Room:${n}`, type: 'Room', temperature: { type: 'Property', value: n, observedAt: at(n) }, name: { type: 'Property', value: `room ${n}` }, ...more });
const made = await ld.post('/entityOperations/create', [1, 2, 3].map((n) => room(n)).concat({ id: 'urn:ngsi-ld:Hall:1', type: 'Hall', seats: { type: 'Property', value: 10 } }));
assert.equal(made.status, 201, made.text);
await ld.patch('/entities/urn:ngsi-ld:Room:1/attrs', { temperature: { type: 'Property', value: 11, observedAt: at(11) } });

const snapshot = (more = {}) => ({ type: 'Snapshot', snapshotQueries: [{ type: 'Query', entities: [{ type: 'Room' }] }], ...more });
const create = async (body) => {
    const res = await ld.post('/snapshots', body);
    assert.equal(res.status, 201, res.text);
    return decodeURIComponent(res.headers.get('location').split('/').pop());
};
const path = (id) => `/snapshots/${encodeURIComponent(id)}`;
const status = async (id) => (await ld.get(path(id))).json;
const within = (id) => ({ 'NGSILD-Snapshot': id });
const rooms = async (id) => ids(await ld.get('/entities?type=Room', id ? within(id) : {})).map((x) => x.split(':').pop()).join(' ');

test('created, described, deleted', async () => {
    const id = await create(snapshot({ id: 'urn:ngsi-ld:Snapshot:a', snapshotPriority: 7, snapshotLifetime: 'PT1H', endpoint: 'http://localhost:1/x', snapshotStatus: 'failure' }));
    assert.equal(id, 'urn:ngsi-ld:Snapshot:a');
    const s = await status(id);
    assert.deepEqual([s.id, s.type, s.snapshotPriority, s.snapshotLifetime, s.snapshotStatus, s.endpoint], [id, 'Snapshot', 7, 'PT1H', 'success', 'http://localhost:1/x']);
    assert.deepEqual(s.snapshotQueries, snapshot().snapshotQueries);
    assert.deepEqual(s.snapshotQueriesDetails, [{ resultStatus: 'success' }]);
    assert.equal(Date.parse(s.expiresAt) - Date.parse(s.createdAt), 3600e3);
    assert.ok(s.modifiedAt && s.lastUsedAt);
    assertError(await ld.post('/snapshots', snapshot({ id })), 409, 'AlreadyExists');
    assert.equal((await ld.delete(path(id))).status, 204);
    assertError(await ld.get(path(id)), 404, 'ResourceNotFound');
    assertError(await ld.delete(path(id)), 404, 'ResourceNotFound');
    assertError(await ld.get('/entities?type=Room', within(id)), 404, 'ResourceNotFound');
    assert.equal((await status(await create(snapshot()))).snapshotPriority, 5, 'an id and a priority are given');
    const far = await status(await create(snapshot({ snapshotLifetime: 'P10Y' })));
    assert.ok(Date.parse(far.expiresAt) - Date.parse(far.createdAt) <= 7 * 86400e3, 'the lifetime is a suggestion');
});

test('what a snapshot may not say', async () => {
    const q = { type: 'Query', entities: [{ type: 'Room' }] }, temporalQ = { timerel: 'after', timeAt: at(0) };
    for (const wrong of [{ snapshotQueries: undefined }, { snapshotQueries: [] }, { snapshotQueries: [{ entities: [{ type: 'Room' }] }] }, { snapshotQueries: [{ ...q, temporalQ }] }, { snapshotTemporalQueries: [q] },
        { snapshotQueries: [{ type: 'Query', q: '((' }] }, { snapshotPriority: 0 }, { snapshotPriority: 11 }, { snapshotPriority: 'x' }, { snapshotLifetime: 'soon' }, { type: 'Thing' }, { id: 'no uri' }, { endpoint: 7 }])
        assertError(await ld.post('/snapshots', snapshot(wrong)), 400, 'BadRequestData');
    assertError(await ld.get('/snapshots/nouri'), 400, 'BadRequestData');
    assertError(await ld.get('/entities?type=Room', within('nouri')), 400, 'BadRequestData');
});

test('a copy of its own: changes do not pass, either way', async () => {
    const id = await create(snapshot());
    assert.equal(await rooms(id), '1 2 3');
    await ld.create(room(4));
    await ld.delete('/entities/urn:ngsi-ld:Room:2');
    await ld.patch('/entities/urn:ngsi-ld:Room:3/attrs/name', { value: 'changed' });
    assert.equal(await rooms(id), '1 2 3');
    const three = await ld.get('/entities/urn:ngsi-ld:Room:3?options=sysAttrs', within(id));
    assert.equal(three.headers.get('ngsild-snapshot'), id);
    assert.equal(three.json.name.value, 'room 3');
    assert.equal(three.json.createdAt, (await ld.read('urn:ngsi-ld:Room:3', '?options=sysAttrs')).createdAt, 'times come along');
    const headers = within(id);
    assert.equal((await ld.post('/entities', room(9), { headers })).status, 201);
    assert.equal((await ld.patch('/entities/urn:ngsi-ld:Room:1/attrs/name', { value: 'inside' }, { headers })).status, 204);
    assert.equal((await ld.post('/entityOperations/delete', ['urn:ngsi-ld:Room:3'], { headers })).status, 204);
    assert.equal(await rooms(id), '1 2 9');
    assert.equal(ids(await ld.get('/entities?type=Room&q=temperature==9', headers)).length, 1);
    assert.equal(await rooms(), '1 3 4');
    assert.equal((await ld.read('urn:ngsi-ld:Room:1')).name.value, 'room 1');
    assert.equal((await ld.get('/entities/urn:ngsi-ld:Hall:1', headers)).status, 404);
    assert.deepEqual((await ld.get('/types', headers)).json.typeList, ['Room']);
});

test('several queries, parts of entities, nothing found', async () => {
    const id = await create(snapshot({ snapshotQueries: [{ type: 'Query', entities: [{ type: 'Room' }], attrs: ['name'], q: 'temperature>3' }, { type: 'Query', entities: [{ type: 'Hall' }] }, { type: 'Query', entities: [{ type: 'Nothing' }] }] }));
    const s = await status(id);
    assert.equal(s.snapshotStatus, 'success');
    assert.deepEqual(s.snapshotQueriesDetails.map((d) => d.resultStatus), ['success', 'success', 'empty']);
    const all = (await ld.get('/entities?local=true', within(id))).json;
    assert.deepEqual(all.map((e) => Object.keys(e).join(' ')).sort(), ['id type name', 'id type name', 'id type seats']);
    assert.equal((await status(await create(snapshot({ snapshotQueries: [{ type: 'Query', entities: [{ type: 'Nothing' }] }] })))).snapshotStatus, 'empty');
});

test('evolution', async () => {
    const id = await create(snapshot({ snapshotQueries: undefined, snapshotTemporalQueries: [{ type: 'Query', entities: [{ type: 'Room', id: 'urn:ngsi-ld:Room:1' }], temporalQ: { timerel: 'before', timeAt: at(5) } }] }));
    assert.deepEqual((await status(id)).snapshotTemporalQueriesDetails, [{ resultStatus: 'success' }]);
    const evolution = (await ld.get('/temporal/entities/urn:ngsi-ld:Room:1?options=temporalValues', within(id))).json;
    assert.deepEqual(evolution.temperature.values, [[1, at(1)]]);
    assert.equal((await ld.get('/entities/urn:ngsi-ld:Room:1', within(id))).status, 404, 'its state was not asked for');
    const outside = (await ld.get('/temporal/entities/urn:ngsi-ld:Room:1?options=temporalValues&attrs=temperature')).json;
    assert.equal(outside.temperature.values.length, 2);
});

test('update', async () => {
    const id = await create(snapshot());
    const before = await status(id);
    const res = await ld.patch(path(id), { type: 'Snapshot', snapshotPriority: 2, snapshotLifetime: 'PT2H', snapshotStatus: 'failure', createdAt: at(0) });
    assert.equal(res.status, 200, res.text);
    assert.deepEqual([res.json.snapshotPriority, res.json.snapshotStatus, res.json.createdAt], [2, 'success', before.createdAt]);
    assert.ok(Date.parse(res.json.expiresAt) < Date.parse(before.expiresAt));
    assert.deepEqual((await status(id)).snapshotPriority, 2);
    for (const wrong of [{ snapshotQueries: [] }, { id: 'urn:x:other' }, { snapshotPriority: 20 }])
        assertError(await ld.patch(path(id), wrong), 400, 'BadRequestData');
    assertError(await ld.patch(path('urn:x:none'), { snapshotPriority: 2 }), 404, 'ResourceNotFound');
});

test('clone, purge', async () => {
    const id = await create(snapshot({ snapshotPriority: 1 }));
    await ld.post('/entities', room(7), { headers: within(id) });
    const res = await ld.post(`${path(id)}/clone`, { type: 'Snapshot', snapshotPriority: 9 });
    assert.equal(res.status, 201, res.text);
    const clone = decodeURIComponent(res.headers.get('location').split('/').pop());
    assert.equal(await rooms(clone), await rooms(id));
    assert.deepEqual([(await status(clone)).snapshotPriority, (await status(clone)).snapshotStatus], [9, 'success']);
    await ld.delete('/entities/urn:ngsi-ld:Room:7', { headers: within(id) });
    assert.match(await rooms(clone), /7/);
    assert.equal((await ld.delete(`/snapshots?q=${encodeURIComponent('snapshotPriority<3')}`)).status, 204);
    assertError(await ld.get(path(id)), 404, 'ResourceNotFound');
    assert.match(await rooms(clone), /7/, 'the clone is one of its own');
    assertError(await ld.delete(`/snapshots?q=${encodeURIComponent('snapshotPriority<3')}`), 404, 'ResourceNotFound');
    assertError(await ld.delete('/snapshots'), 400, 'BadRequestData');
    assertError(await ld.delete('/snapshots?q=(('), 400, 'BadRequestData');
    assertError(await ld.post(`${path('urn:x:none')}/clone`, { type: 'Snapshot' }), 404, 'ResourceNotFound');
    assertError(await ld.post(`${path(clone)}/clone`, snapshot()), 400, 'BadRequestData');
});

test('tenants have their own; they expire', async () => {
    const id = await create(snapshot({ snapshotLifetime: 'PT1S' }));
    const other = { 'NGSILD-Tenant': 'other' };
    await ld.post('/entities', room(1), { headers: other });
    assert.equal((await ld.get(path(id), other)).status, 404);
    assert.equal((await ld.get('/entities?type=Room', { ...other, ...within(id) })).status, 404);
    await new Promise((later) => setTimeout(later, 1100));
    assertError(await ld.get(path(id)), 404, 'ResourceNotFound');
    assertError(await ld.get('/entities?type=Room', within(id)), 404, 'ResourceNotFound');
});

test('they survive a restart', async () => {
    const data = mkdtempSync(join(tmpdir(), 'marugoto-test-'));
    const one = await startLd({ data });
    await one.create(room(1));
    const res = await one.post('/snapshots', snapshot({ id: 'urn:x:kept' }));
    assert.equal(res.status, 201, res.text);
    const described = (await one.get('/snapshots/urn:x:kept')).json;
    await one.delete('/entities/urn:ngsi-ld:Room:1');
    await one.city.kill();
    const two = await startLd({ data: one.city.dir, store: one.city.store });
    assert.deepEqual(ids(await two.get('/entities?type=Room', within('urn:x:kept'))), ['urn:ngsi-ld:Room:1']);
    assert.deepEqual({ ...(await two.get('/snapshots/urn:x:kept')).json, lastUsedAt: described.lastUsedAt }, described);
    await two.city.stop();
    rmSync(data, { recursive: true, force: true });
});

await run(() => ld.city.stop());
