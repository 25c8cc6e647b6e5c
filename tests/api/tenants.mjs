#!/usr/bin/env node
// NGSILD-Tenant: tenants are apart, made by writing, echoed.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, ids, startLd } from '../lib/ngsi.mjs';

const ld = await startLd();
const as = (tenant) => ({ headers: { 'NGSILD-Tenant': tenant } });
const room = { id: 'urn:ngsi-ld:Room:1', type: 'Room' };

test('reading a tenant that is not there', async () => {
    for (const path of ['/entities?type=Room', '/entities/urn:ngsi-ld:Room:1', '/types', '/types/Room', '/temporal/entities/urn:ngsi-ld:Room:1']) {
        const res = await ld.get(path, { 'NGSILD-Tenant': 'none' });
        assertError(res, 404, 'NonexistentTenant');
        assert.equal(res.headers.get('ngsild-tenant'), 'none');
    }
});

test('changing what is in no tenant does not make one', async () => {
    assertError(await ld.patch('/entities/urn:ngsi-ld:Room:1', { a: 1 }, as('none')), 404, 'NonexistentTenant');
    assertError(await ld.request('DELETE', '/entities/urn:ngsi-ld:Room:1', as('none')), 404, 'NonexistentTenant');
    assertError(await ld.post('/temporal/entities/urn:ngsi-ld:Room:1/attrs', { a: { value: 1 } }, as('none')), 404, 'NonexistentTenant');
    assertError(await ld.get('/types', { 'NGSILD-Tenant': 'none' }), 404, 'NonexistentTenant');
});

test('creating makes the tenant', async () => {
    const res = await ld.post('/entities', room, as('north'));
    assert.equal(res.status, 201, res.text);
    assert.equal(res.headers.get('ngsild-tenant'), 'north');
    assert.deepEqual(ids(await ld.get('/entities?type=Room', { 'NGSILD-Tenant': 'north' })), [room.id]);
});

test('tenants do not see one another', async () => {
    assert.equal((await ld.get(`/entities/${room.id}`)).status, 404, 'not in the default one');
    await ld.create({ ...room, name: 'default' });
    assert.equal((await ld.post('/entities', { ...room, name: 'south' }, as('south'))).status, 201);
    await ld.patch(`/entities/${room.id}/attrs`, { name: 'changed' }, as('south'));
    assert.equal((await ld.read(room.id, '?options=keyValues')).name, 'default');
    assert.equal((await ld.get(`/entities/${room.id}?options=keyValues`, { 'NGSILD-Tenant': 'south' })).json.name, 'changed');
    assert.ok(!('name' in (await ld.get(`/entities/${room.id}`, { 'NGSILD-Tenant': 'north' })).json));
    await ld.delete(`/entities/${room.id}`);
    assert.equal((await ld.get(`/entities/${room.id}`, { 'NGSILD-Tenant': 'south' })).status, 200);
    assert.equal((await ld.get('/temporal/entities/urn:ngsi-ld:Room:1', { 'NGSILD-Tenant': 'south' })).json.name.length, 2);
    assert.equal((await ld.get('/types', { 'NGSILD-Tenant': 'north' })).json.typeList.length, 1);
});

test('names that are none', async () => {
    for (const name of ['a b', 'a/b', '../x', "a'b", 'x'.repeat(65)])
        assertError(await ld.get('/entities?type=Room', { 'NGSILD-Tenant': name }), 400, 'BadRequestData');
});

test('tenants only by hand, if so configured', async () => {
    const strict = await startLd({ args: ['--link.tenants_auto=false'] });
    try {
        assertError(await strict.post('/entities', room, as('north')), 404, 'NonexistentTenant');
        assert.equal((await strict.post('/entities', room)).status, 201);
    } finally {
        await strict.city.stop();
    }
});

await run(() => ld.city.stop());
