#!/usr/bin/env node
// Each distributed operation in each mode: what a source is sent, what is kept here, what the client hears. The purposes are those of the
// DistributedOperations part of ETSI's conformance suite for NGSI-LD (numbers in brackets), written down as tables.
import assert from 'node:assert/strict';
import { startLd, ids, assertError } from '../lib/ngsi.mjs';
import { register, startSource } from '../lib/source.mjs';
import { run, test } from '../lib/tap.mjs';

const ld = await startLd({ args: ['--client.allow_private=true', '--link.forward_cooldown_ms=0'] });
const source = await startSource();
const P = (value) => ({ type: 'Property', value });
const writes = ['createEntity', 'updateEntity', 'appendAttrs', 'updateAttrs', 'deleteAttrs', 'deleteEntity', 'mergeEntity', 'replaceEntity', 'replaceAttrs', 'purgeEntity', 'createBatch', 'upsertBatch', 'updateBatch', 'deleteBatch', 'mergeBatch'];
const batches = '/ngsi-ld/v1/entityOperations';
let n = 0;
const name = () => `urn:ngsi-ld:Vehicle:${++n}`;
const vehicle = (id, more = {}) => ({ id, type: 'Vehicle', brandName: P('Mercedes'), speed: P(40), ...more });
const here = (id) => ld.get(`/entities/${id}?local=true`);
const seen = () => source.take().map((r) => `${r.method} ${decodeURIComponent(r.target)}`);
const at = (path) => `/ngsi-ld/v1${path}`;

// name: [request, what is forwarded, status of the source, of the answer]
const operations = (id) => ({
    'create entity (D001)': [() => ld.post('/entities', vehicle(id)), `POST ${at('/entities')}`, 201, 201, { fresh: true }],
    'delete entity (D002)': [() => ld.delete(`/entities/${id}`), `DELETE ${at(`/entities/${id}`)}`, 204, 204, { gone: true }],
    'append attributes (D003)': [() => ld.post(`/entities/${id}/attrs`, { speed: P(50), wheels: P(4) }), `POST ${at(`/entities/${id}/attrs/`)}`, 204, 204],
    'update attributes (D004)': [() => ld.patch(`/entities/${id}/attrs`, { speed: P(50) }), `PATCH ${at(`/entities/${id}/attrs/`)}`, 204, 204],
    'partial attribute update (D005)': [() => ld.patch(`/entities/${id}/attrs/speed`, { value: 50 }), `PATCH ${at(`/entities/${id}/attrs/speed`)}`, 204, 204],
    'delete attribute (D006)': [() => ld.delete(`/entities/${id}/attrs/speed`), `DELETE ${at(`/entities/${id}/attrs/speed`)}`, 204, 204],
    'replace entity (D007)': [() => ld.put(`/entities/${id}`, vehicle(id, { speed: P(50) })), `PUT ${at(`/entities/${id}`)}`, 204, 204],
    'merge entity (D008)': [() => ld.patch(`/entities/${id}`, { speed: P(50) }), `PATCH ${at(`/entities/${id}`)}`, 204, 204],
    'replace attribute (D009)': [() => ld.put(`/entities/${id}/attrs/speed`, P(50)), `PUT ${at(`/entities/${id}/attrs/speed`)}`, 204, 204],
    'batch create (D012)': [() => ld.post('/entityOperations/create', [vehicle(id)]), `POST ${batches}/create`, 201, 201, { fresh: true }],
    'batch upsert (D013)': [() => ld.post('/entityOperations/upsert', [vehicle(id, { speed: P(50) })]), `POST ${batches}/upsert`, 204, 204],
    'batch upsert that updates (D013)': [() => ld.post('/entityOperations/upsert?options=update', [vehicle(id, { speed: P(50) })]), `POST ${batches}/upsert?options=update`, 204, 204],
    'batch update (D014)': [() => ld.post('/entityOperations/update', [{ id, type: 'Vehicle', speed: P(50) }]), `POST ${batches}/update`, 204, 204],
    'batch update without overwriting (D014)': [() => ld.post('/entityOperations/update?options=noOverwrite', [{ id, type: 'Vehicle', wheels: P(4) }]), `POST ${batches}/update?options=noOverwrite`, 204, 204],
    'batch delete (D015)': [() => ld.post('/entityOperations/delete', [id]), `POST ${batches}/delete`, 204, 204, { gone: true }],
    'batch merge (D016)': [() => ld.post('/entityOperations/merge', [{ id, type: 'Vehicle', speed: P(50) }]), `POST ${batches}/merge`, 204, 204],
    'purge (D017)': [() => ld.delete(`/entities?type=Vehicle&id=${id}`), `DELETE ${at(`/entities?type=Vehicle&id=${id}`)}`, 204, 204, { gone: true }],
});
const known = async (id, make = true) => {
    if (make) assert.equal((await ld.post('/entities?local=true', vehicle(id))).status, 201);
    return (await here(id)).json;
};

for (const what of Object.keys(operations('x'))) {
    test(`${what}, inclusive: here and there`, async () => {
        const id = name(), [send, forwarded, told, status, { fresh, gone } = {}] = operations(id)[what];
        await known(id, !fresh);
        const reg = await register(ld, source.url, { type: 'Vehicle', idPattern: '.*' }, { operations: writes });
        source.answer = async (req, res) => res.writeHead(told, { 'Content-Type': 'application/json' }).end(told === 201 && req.path.includes('Operations') ? JSON.stringify([id]) : '');
        source.take();
        const res = await send();
        assert.equal(res.status, status, res.text);
        assert.deepEqual(seen(), [forwarded]);
        const now = await here(id);
        assert.equal(now.status, gone ? 404 : 200);
        if (!gone) assert.notEqual(now.json.speed?.value, fresh || what.includes('without') ? 50 : 40);
        await ld.delete(`/csourceRegistrations/${reg}`);
        await ld.delete(`/entities/${id}`);
    });

    test(`${what}, redirect: there only`, async () => {
        const id = name(), [send, forwarded, told, status] = operations(id)[what];
        const reg = await register(ld, source.url, { type: 'Vehicle', idPattern: '.*' }, { operations: writes, mode: 'redirect' });
        source.answer = async (req, res) => res.writeHead(told, { 'Content-Type': 'application/json' }).end(told === 201 && req.path.includes('Operations') ? JSON.stringify([id]) : '');
        source.take();
        const res = await send();
        assert.equal(res.status, status, res.text);
        assert.deepEqual(seen(), [forwarded]);
        assert.equal((await here(id)).status, 404);
        await ld.delete(`/csourceRegistrations/${reg}`);
    });

    test(`${what}, exclusive: one attribute there, the rest here`, async () => {
        const id = name(), [send, , told, , { fresh, gone } = {}] = operations(id)[what];
        const reg = await register(ld, source.url, { type: 'Vehicle', id }, { operations: writes, mode: 'exclusive', propertyNames: ['speed'] });
        if (!fresh) assert.equal((await ld.post('/entities?local=true', { id, type: 'Vehicle', brandName: P('Mercedes') })).status, 201);
        source.answer = async (req, res) => res.writeHead(told, { 'Content-Type': 'application/json' }).end(told === 201 && req.path.includes('Operations') ? JSON.stringify([id]) : '');
        source.take();
        const res = await send();
        assert.ok(res.status < 300, `${res.status} ${res.text}`);
        const asked = source.take();
        const concerned = !what.includes('without'); // its payload does not name the attribute
        assert.equal(asked.length, concerned ? 1 : 0, JSON.stringify(asked.map((r) => r.target)));
        if (asked[0]?.json && !Array.isArray(asked[0].json)) assert.equal(asked[0].json.brandName, undefined, 'only what is its own');
        const now = await here(id);
        assert.equal(now.status, gone ? 404 : 200);
        if (!gone) assert.deepEqual([now.json.speed, now.json.brandName.value], [undefined, 'Mercedes']);
        await ld.delete(`/csourceRegistrations/${reg}`);
        await ld.delete(`/entities/${id}`);
    });

    test(`${what}, a source that does not support it`, async () => {
        const id = name(), [send, , , , { fresh, gone } = {}] = operations(id)[what];
        await known(id, !fresh);
        source.answer = null;
        const added = await register(ld, source.url, { type: 'Vehicle', idPattern: '.*' }, { operations: ['retrieveEntity', 'queryEntity'] });
        source.take();
        const res = await send(); // inclusive: it is asked nothing, and nothing is wrong (4.3.6.2)
        assert.ok(res.status < 300 || res.status === 207, `${res.status} ${res.text}`);
        assert.deepEqual(seen(), []);
        assert.equal((await here(id)).status, gone ? 404 : 200);
        await ld.delete(`/csourceRegistrations/${added}`);
        await ld.delete(`/entities/${id}`);
    });
}

test('create where it exists here, there, at both (D001_03)', async () => {
    const reg = await register(ld, source.url, { type: 'Vehicle', idPattern: '.*' }, { operations: writes });
    const reply = (status) => { source.answer = async (req, res) => res.writeHead(status, { 'Content-Type': 'application/json' }).end(status < 300 ? '' : JSON.stringify({ type: 'https://uri.etsi.org/ngsi-ld/errors/AlreadyExists', title: 'it is there', status })); };
    const one = name();
    await known(one);
    reply(201);
    const local = await ld.post('/entities', vehicle(one));
    assert.equal(local.status, 207, local.text);
    assert.deepEqual([local.json.success, local.json.errors.map((e) => [e.entityId, e.error.status, e.registrationId])], [[one], [[one, 409, undefined]]]);
    const two = name();
    reply(409);
    const remote = await ld.post('/entities', vehicle(two));
    assert.equal(remote.status, 207, remote.text);
    assert.deepEqual(remote.json.errors.map((e) => [e.entityId, e.error.status, e.registrationId]), [[two, 409, reg]]);
    assertError(await ld.post('/entities', vehicle(two)), 409, 'AlreadyExists');
    await ld.delete(`/csourceRegistrations/${reg}`);
});

test('proxied registrations without the operation are a conflict, and nobody is asked (D001_02)', async () => {
    const id = name();
    const reg = await register(ld, source.url, { type: 'Vehicle', id }, { mode: 'exclusive', propertyNames: ['speed'], operations: ['retrieveEntity'] });
    source.take();
    assertError(await ld.post('/entities', { id, type: 'Vehicle', speed: P(1) }), 409, 'Conflict');
    assert.deepEqual(seen(), []);
    await ld.delete(`/csourceRegistrations/${reg}`);
});

// --- reading ---

const answers = (entity) => { source.answer = async (req, res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(req.path.endsWith(entity.id) ? entity : [entity])); };

test('retrieve and query: inclusive, exclusive, redirect, auxiliary (D010, D011)', async () => {
    for (const mode of ['inclusive', 'redirect', 'exclusive', 'auxiliary']) {
        const id = name(), only = mode === 'exclusive';
        const part = { id, type: 'Vehicle', speed: P(80) };
        await known(id);
        if (only) await ld.delete(`/entities/${id}/attrs/speed?local=true`);
        if (mode === 'redirect') await ld.delete(`/entities/${id}?local=true`);
        const reg = await register(ld, source.url, only ? { type: 'Vehicle', id } : { type: 'Vehicle', idPattern: `${id}$` }, { mode, operations: ['retrieveOps'], ...(only && { propertyNames: ['speed'] }) });
        answers(part);
        source.take();
        const one = await ld.get(`/entities/${id}`);
        assert.equal(one.status, 200, one.text);
        const expected = { inclusive: ['Mercedes', [40, 80]], redirect: [undefined, [80]], exclusive: ['Mercedes', [80]], auxiliary: ['Mercedes', [40]] }[mode];
        assert.equal(one.json.brandName?.value, expected[0], mode);
        assert.ok(expected[1].includes(one.json.speed.value), `${mode}: ${one.json.speed.value}`);
        assert.equal(seen()[0], `GET ${at(`/entities/${id}`)}${only ? '?attrs=speed' : ''}`);
        const all = await ld.get(`/entities?type=Vehicle&id=${id}`);
        assert.deepEqual(ids(all), [id]);
        assert.ok(expected[1].includes(all.json[0].speed.value));
        const asked = seen()[0];
        assert.ok(asked.startsWith(`GET ${at('/entities?type=Vehicle')}`) && asked.includes(`id=${id}`) && asked.includes('attrs=speed') === only, asked);
        assert.equal((await ld.get(`/entities/${id}?local=true`)).status, mode === 'redirect' ? 404 : 200);
        await ld.delete(`/csourceRegistrations/${reg}`);
        await ld.delete(`/entities/${id}`);
    }
});

test('the operation that the source has is used, whichever way the client asked (D011_03, D011_04)', async () => {
    const id = name();
    for (const [operation, method, path] of [['queryEntity', 'GET', at('/entities')], ['queryBatch', 'POST', `${batches}/query`]]) {
        const reg = await register(ld, source.url, { type: 'Vehicle', idPattern: '.*' }, { operations: [operation] });
        answers(vehicle(id));
        for (const ask of [() => ld.get('/entities?type=Vehicle'), () => ld.post('/entityOperations/query', { type: 'Query', entities: [{ type: 'Vehicle' }] })]) {
            source.take();
            assert.ok(ids(await ask()).includes(id));
            const [asked] = source.take();
            assert.deepEqual([asked.method, asked.path], [method, path]);
        }
        await ld.delete(`/csourceRegistrations/${reg}`);
    }
});

test('a query with conditions reaches the source; its entity counts only when it meets them (D011_01_02 to 05, D011_02)', async () => {
    const reg = await register(ld, source.url, { type: 'Vehicle', idPattern: '.*' }, { operations: ['retrieveOps'] });
    const id = name();
    answers(vehicle(id));
    for (const [query, hit] of [[`id=${id}&type=Vehicle`, true], [`id=${id}x&type=Vehicle`, false], ['type=Vehicle&q=speed==40', true], ['type=Vehicle&q=speed==41', false], ['type=Bus', false], [`type=Vehicle&idPattern=${encodeURIComponent(`${id}$`)}`, true], ['attrs=speed', true], ['attrs=none', false]])
        assert.equal(ids(await ld.get(`/entities?${query}`)).includes(id), hit, query);
    assertError(await ld.get(`/entities?id=${id}`), 400, 'BadRequestData'); // too wide, whoever has it (5.7.2.4)
    assert.ok(!ids(await ld.get('/entities?type=Vehicle&local=true')).includes(id));
    await ld.delete(`/csourceRegistrations/${reg}`);
});

test('every request says Via, and one that comes back is a loop (D018)', async () => {
    const id = name(), kinds = operations(id);
    const reg = await register(ld, source.url, { type: 'Vehicle', idPattern: '.*' }, { operations: [...writes, 'retrieveEntity', 'queryEntity', 'queryTemporal', 'retrieveTemporal', 'upsertTemporal', 'appendAttrsTemporal', 'deleteTemporal', 'retrieveEntityTypes', 'createSubscription'] });
    answers(vehicle(id));
    await ld.post('/entities?local=true', vehicle(id));
    source.take();
    const evolution = { id, type: 'Vehicle', speed: [{ ...P(1), observedAt: '2026-01-01T00:00:00Z' }] };
    const others = [() => ld.get(`/entities/${id}`), () => ld.get('/entities?type=Vehicle'), () => ld.get('/types'), () => ld.get(`/temporal/entities/${id}`), () => ld.get('/temporal/entities?type=Vehicle&timerel=after&timeAt=2020-01-01T00:00:00Z'),
        () => ld.post('/temporal/entities', evolution), () => ld.post(`/temporal/entities/${id}/attrs`, { speed: evolution.speed }), () => ld.delete(`/temporal/entities/${id}`)];
    let alias;
    for (const [send] of [...Object.values(kinds), ...others.map((f) => [f])]) {
        await send();
        for (const r of source.take()) {
            assert.match(r.headers.via ?? '', /^1\.1 \S+$/, `${r.method} ${r.target}`);
            [, alias] = r.headers.via.split(' ');
        }
        await ld.post('/entities?local=true', vehicle(id));
    }
    const back = { Via: `1.1 elsewhere, 1.1 ${alias}` };
    const loops = [['GET', `/entities/${id}`], ['GET', '/entities?type=Vehicle'], ['DELETE', `/entities/${id}`], ['PATCH', `/entities/${id}`, { speed: P(1) }], ['POST', '/entities', vehicle(name())],
        ['POST', '/entityOperations/upsert', [vehicle(id)]], ['POST', '/entityOperations/query', { type: 'Query', entities: [{ type: 'Vehicle' }] }], ['DELETE', '/entities?type=Vehicle'], ['GET', '/types'], ['GET', `/temporal/entities/${id}`],
        ['GET', '/temporal/entities?type=Vehicle&timerel=after&timeAt=2020-01-01T00:00:00Z'], ['POST', '/temporal/entities', evolution], ['DELETE', `/temporal/entities/${id}`]];
    for (const [method, path, body] of loops)
        assert.equal((await ld.request(method, path, { body, headers: back })).status, 508, `${method} ${path}`);
    assert.deepEqual(seen(), [], 'a loop goes no further');
    await ld.delete(`/csourceRegistrations/${reg}`);
});

await run(async () => {
    await ld.city.stop();
    await source.down();
});
