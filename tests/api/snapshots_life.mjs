#!/usr/bin/env node
// How snapshots live and end (clauses 5.3.4, 5.5.15, 5.16.6): notifications, a process that dies, nothing left behind, rights.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { bin, eventually } from '../lib/city.mjs';
import { test, run } from '../lib/tap.mjs';
import { assertError, ids, startLd } from '../lib/ngsi.mjs';
import { startReceiver } from '../lib/receiver.mjs';

const P = (value) => ({ type: 'Property', value });
const receiver = await startReceiver();
const args = ['--client.allow_private=true'];
const ld = await startLd({ args });
const sql = (city, text) => {
    const done = city.store
        ? spawnSync('psql', ['-q', '-At', '-v', 'ON_ERROR_STOP=1', '-d', city.store, '-c', text], { encoding: 'utf8' })
        : spawnSync('sqlite3', ['-batch', path.join(city.dir, 'city.db'), text], { encoding: 'utf8' });
    assert.equal(done.status, 0, done.stderr);
    return done.stdout.trim();
};
const room = (n, more = {}) => ({ id: `urn:ngsi-ld:Room:${n}`, type: 'Room', temperature: P(n), ...more });
const rooms = { type: 'Query', entities: [{ type: 'Room' }] };
const snapshot = (id, more = {}) => ({ id, type: 'Snapshot', snapshotQueries: [rooms], ...more });
const within = (id, more = {}) => ({ 'NGSILD-Snapshot': id, ...more });
const at = (id) => `/snapshots/${encodeURIComponent(id)}`;
async function make(on, body, headers = {}) {
    const res = await on.post('/snapshots', body, { headers });
    assert.equal(res.status, 201, res.text);
}
assert.equal((await ld.post('/entityOperations/create', [1, 2, 3].map((n) => room(n)))).status, 201);

test('its endpoint hears of each status, with its headers', async () => {
    const temporal = [{ ...rooms, temporalQ: { timerel: 'after', timeAt: '2000-01-01T00:00:00Z', timeproperty: 'modifiedAt' } }];
    await make(ld, snapshot('urn:x:told', { endpoint: `${receiver.url}/told`, receiverInfo: [{ key: 'X-Secret', value: 'abc' }], snapshotTemporalQueries: temporal }));
    const told = () => receiver.got('told');
    await eventually(() => told().length === 1);
    const { body, headers } = told()[0];
    assert.match(body.id, /^urn:ngsi-ld:SnapshotNotification:/);
    assert.deepEqual([body.type, body.snapshotId, body.snapshotStatus, body.snapshotPriority], ['SnapshotNotification', 'urn:x:told', 'success', 5]);
    assert.deepEqual(body.snapshotQueriesDetails, [{ resultStatus: 'success' }]);
    assert.deepEqual(body.temporalSnapshotQueriesDetails, [{ resultStatus: 'success' }]);
    assert.equal(body.expiresAt, (await ld.get(at('urn:x:told'))).json.expiresAt);
    assert.ok(Date.parse(body.notifiedAt) < Date.parse(body.expiresAt));
    assert.deepEqual([headers['x-secret'], headers['content-type'], headers['ngsild-tenant']], ['abc', 'application/json', undefined]);
    assert.equal((await ld.patch(at('urn:x:told'), { snapshotPriority: 9 })).status, 200);
    await eventually(() => told().length === 2);
    assert.equal(told()[1].body.snapshotPriority, 9);
    assert.equal((await ld.delete(at('urn:x:told'))).status, 204);
    await eventually(() => told().length === 3);
    assert.ok(Date.parse(told()[2].body.expiresAt) < Date.parse(told()[2].body.notifiedAt), 'it is gone');
    for (const wrong of [{ endpoint: 'ftp://x/' }, { endpoint: 'no uri' }, { receiverInfo: [{ key: 'a' }] }, { endpoint: receiver.url, receiverInfo: [{ key: 'Host', value: 'x' }] }])
        assertError(await ld.post('/snapshots', snapshot('urn:x:wrong', wrong)), 400, 'BadRequestData');
});

test('a receiver that was down is told later, also after a restart', async () => {
    const one = await startLd({ args });
    await one.create(room(1));
    receiver.answer = () => 503;
    const before = receiver.count;
    await make(one, snapshot('urn:x:late', { endpoint: `${receiver.url}/late` }));
    await eventually(() => receiver.count > before);
    await one.city.kill();
    receiver.answer = () => 204;
    const two = await startLd({ args, data: one.city.dir, store: one.city.store });
    await eventually(() => receiver.got('late').length > 0, 150000); // the sweep of a database is once a minute
    await two.city.stop();
});

test('whose making was cut off has failed, and says so', async () => {
    const one = await startLd({ args });
    await one.post('/entityOperations/create', Array.from({ length: 900 }, (_, n) => room(n)));
    const made = one.post('/snapshots', snapshot('urn:x:cut', { endpoint: `${receiver.url}/cut` })).catch(() => null);
    await eventually(async () => (await one.get(at('urn:x:cut'))).status === 200);
    await one.city.kill();
    await made;
    if (one.city.store) // another process might be at it still: as if ten minutes had gone by
        sql(one.city, 'UPDATE snapshot SET used = 1 WHERE made = 0');
    const two = await startLd({ args, data: one.city.dir, store: one.city.store });
    await eventually(async () => (await two.get(at('urn:x:cut'))).json.snapshotStatus !== 'preparing', 150000);
    const { snapshotStatus, snapshotQueriesDetails } = (await two.get(at('urn:x:cut'))).json;
    assert.ok(['failure', 'success'].includes(snapshotStatus), snapshotStatus); // success: the kill came too late
    assert.deepEqual(snapshotQueriesDetails, [{ resultStatus: snapshotStatus }]);
    await eventually(() => receiver.got('cut').some((n) => n.body.snapshotStatus === snapshotStatus), 150000);
    await two.city.stop();
});

test('one that is marked as being made when we start never will be', async () => {
    if (ld.city.store)
        return; // of a database somebody else may be at it
    const one = await startLd({ args });
    await one.create(room(1));
    await make(one, snapshot('urn:x:stuck'));
    await one.city.kill();
    sql(one.city, "UPDATE snapshot SET made = 0, doc = replace(doc, '\"success\"', '\"preparing\"')");
    const two = await startLd({ args, data: one.city.dir });
    const { snapshotStatus, snapshotQueriesDetails } = (await two.get(at('urn:x:stuck'))).json;
    assert.deepEqual([snapshotStatus, snapshotQueriesDetails[0].resultStatus], ['failure', 'failure']);
    await two.city.stop();
});

test('what is gone leaves nothing behind', async () => {
    const one = await startLd({ args });
    const tables = ['entity', 'entity_key', 'entity_num', 'entity_text', 'entity_geo', 'entity_name', 'hist', 'hist_attr', 'hist_recent', 'hist_hour', 'subscription', 'journal', 'journal_tenant', 'tenant', 'snapshot', 'sync_register', 'notify_position'];
    await one.post('/entityOperations/create', Array.from({ length: 300 }, (_, n) => room(n, { name: P(`room ${n}`), location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [139, 36] } } })));
    const count = () => tables.map((t) => `${t}: ${sql(one.city, `SELECT count(*) FROM ${t}`)}`).join(', ');
    await one.get('/entities?type=Room&limit=1');
    await make(one, snapshot('urn:x:first'));
    assert.equal((await one.delete(at('urn:x:first'))).status, 204);
    const before = count();
    await make(one, snapshot('urn:x:gone', { snapshotTemporalQueries: [{ ...rooms, temporalQ: { timerel: 'after', timeAt: '2000-01-01T00:00:00Z', timeproperty: 'modifiedAt' } }] }));
    const headers = within('urn:x:gone');
    assert.equal((await one.post('/entities', room('new'), { headers })).status, 201);
    assert.equal((await one.delete('/entities/urn:ngsi-ld:Room:1', headers)).status, 204);
    assert.equal((await one.post('/subscriptions', { id: 'urn:x:inside', type: 'Subscription', entities: [{ type: 'Room' }], notification: { endpoint: { uri: `${receiver.url}/inside` } } }, { headers })).status, 201);
    assert.notEqual(count(), before);
    assert.equal((await one.delete(at('urn:x:gone'))).status, 204);
    assert.equal(count(), before);
    assertError(await one.post('/entities', room('late'), { headers }), 404, 'ResourceNotFound');
    const checked = spawnSync(bin, ['check', '--data', one.city.dir, ...(one.city.store ? ['--store', one.city.store] : [])], { encoding: 'utf8' });
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
    await one.city.stop();
});

test('expired ones go by themselves, and make room for their name at once', async () => {
    await make(ld, snapshot('urn:x:short', { snapshotLifetime: 'PT1S', endpoint: `${receiver.url}/short` }));
    await eventually(async () => (await ld.get(at('urn:x:short'))).status === 404);
    await make(ld, snapshot('urn:x:short'));
    assert.equal(ids(await ld.get('/entities?type=Room', within('urn:x:short'))).length, 3);
    await eventually(() => sql(ld.city, "SELECT count(*) FROM snapshot WHERE id LIKE 'snapshot:%'") === '0', 150000);
    await eventually(() => receiver.got('short').some((n) => Date.parse(n.body.expiresAt) < Date.parse(n.body.notifiedAt)));
    assert.equal(ids(await ld.get('/entities?type=Room', within('urn:x:short'))).length, 3);
});

test('who follows a snapshot is told which one; there is no registry in it', async () => {
    const tenant = { 'NGSILD-Tenant': 'org' };
    await ld.post('/entities', room(1), { headers: tenant });
    await make(ld, snapshot('urn:x:followed'), tenant);
    const headers = within('urn:x:followed', tenant);
    assert.equal((await ld.post('/subscriptions', { type: 'Subscription', entities: [{ type: 'Room' }], notification: { endpoint: { uri: `${receiver.url}/followed` } } }, { headers })).status, 201);
    assert.equal((await ld.patch('/entities/urn:ngsi-ld:Room:1/attrs', { temperature: P(50) }, { headers: tenant })).status, 204);
    assert.equal((await ld.patch('/entities/urn:ngsi-ld:Room:1/attrs', { temperature: P(51) }, { headers })).status, 204);
    await eventually(() => receiver.got('followed').length === 1);
    const [told] = receiver.got('followed');
    assert.deepEqual([told.headers['ngsild-tenant'], told.headers['ngsild-snapshot'], told.body.data[0].temperature.value], ['org', 'urn:x:followed', 51]);
    assertError(await ld.get('/csourceRegistrations?type=Room', headers), 422, 'OperationNotSupported');
    assertError(await ld.post('/csourceSubscriptions', { type: 'Subscription' }, { headers }), 422, 'OperationNotSupported');
});

test('purging: by members of snapshots only', async () => {
    assertError(await ld.delete('/snapshots?q=temperature>1'), 400, 'BadRequestData');
    await make(ld, snapshot('urn:x:purged', { snapshotPriority: 1 }));
    assert.equal((await ld.delete('/snapshots?q=snapshotPriority==1')).status, 204);
    assert.equal((await ld.get(at('urn:x:purged'))).status, 404);
});

test('keys and policies hold in a snapshot as in its tenant', async () => {
    const one = await startLd({ args });
    const { city } = one;
    const put = async (name, body) => assert.equal((await city.put(`/link/v1/policies/${name}`, body)).status, 200);
    const key = async (name, policies) => {
        const res = await city.post('/link/v1/keys', { name, policies });
        assert.equal(res.status, 201, res.text);
        return { Authorization: `Bearer ${res.json.key}` };
    };
    await put('own', { rules: [{ rights: ['read', 'write', 'subscribe'], types: ['Room'] }] });
    await put('look', { rules: [{ rights: ['read'], types: ['Room'] }, { effect: 'deny', rights: ['read'], types: ['Room'], attrs: ['secret'] }] });
    const writer = await key('writer', ['own']), reader = await key('reader', ['look']), other = await key('other', ['own']), root = await key('root', ['admin']);
    await one.post('/entities', room(1, { secret: P('s') }));
    await one.post('/entities', { id: 'urn:x:Resident:1', type: 'Resident', phone: P('090') });
    // the writer's own snapshot: it reads and writes in it; nobody else finds it
    await make(one, snapshot('urn:x:mine'), writer);
    assert.equal((await one.get('/entities/urn:ngsi-ld:Room:1', within('urn:x:mine', writer))).status, 200);
    const written = await one.patch('/entities/urn:ngsi-ld:Room:1/attrs', { temperature: P(7) }, { headers: within('urn:x:mine', writer) });
    assert.equal(written.status, 204, written.text);
    assert.equal((await one.post('/entities', room(2), { headers: within('urn:x:mine', writer) })).status, 201);
    assertError(await one.post('/entities', { id: 'urn:x:Bench:1', type: 'Bench' }, { headers: within('urn:x:mine', writer) }), 403, 'about:blank');
    for (const who of [other, reader]) {
        assertError(await one.get('/entities?type=Room', within('urn:x:mine', who)), 404, 'ResourceNotFound');
        assert.ok([403, 404].includes((await one.get(at('urn:x:mine'), who)).status));
        assert.ok([403, 404].includes((await one.delete(at('urn:x:mine'), who)).status));
        assert.ok([403, 404].includes((await one.post(`${at('urn:x:mine')}/clone`, { type: 'Snapshot' }, { headers: who })).status));
    }
    // one that nobody known made is for all, by their rights
    await make(one, snapshot('urn:x:ours', { snapshotQueries: [rooms, { type: 'Query', entities: [{ type: 'Resident' }] }], receiverInfo: [{ key: 'X-Key', value: 'for-the-receiver' }], endpoint: `${receiver.url}/ours` }));
    await put('everyone', { rules: [{ effect: 'deny', rights: ['read'], types: ['Resident'] }] });
    const seen = await one.get('/entities/urn:ngsi-ld:Room:1', within('urn:x:ours', reader));
    assert.deepEqual([seen.status, seen.json.secret, seen.json.temperature.value], [200, undefined, 1]);
    assert.equal((await one.get('/entities/urn:x:Resident:1', within('urn:x:ours', reader))).status, 404);
    assert.equal((await one.patch('/entities/urn:ngsi-ld:Room:1/attrs', { temperature: P(8) }, { headers: within('urn:x:ours', reader) })).status, 403);
    assert.equal((await one.patch('/entities/urn:ngsi-ld:Room:1/attrs', { temperature: P(9) }, { headers: within('urn:x:ours', writer) })).status, 204);
    assert.equal((await one.read('urn:ngsi-ld:Room:1')).temperature.value, 1, 'outside nothing changed');
    // who follows it hears what they may see of its tenant
    assert.equal((await one.post('/subscriptions', { type: 'Subscription', entities: [{ type: 'Resident' }, { type: 'Room' }], notification: { endpoint: { uri: `${receiver.url}/listens` } } }, { headers: within('urn:x:ours', writer) })).status, 201);
    assert.equal((await one.patch('/entities/urn:x:Resident:1/attrs', { phone: P('091') }, { headers: within('urn:x:ours', root) })).status, 204);
    assert.equal((await one.patch('/entities/urn:ngsi-ld:Room:1/attrs', { temperature: P(10) }, { headers: within('urn:x:ours', root) })).status, 204);
    await eventually(() => receiver.got('listens').length > 0);
    assert.ok(receiver.got('listens').every((n) => n.body.data.every((e) => e.type === 'Room')));
    // a policy that comes later counts, in old copies too
    await put('everyone', { rules: [{ effect: 'deny', rights: ['read'], types: ['Resident'] }, { effect: 'deny', rights: ['read'], types: ['Room'], attrs: ['temperature'] }] });
    assert.equal((await one.get('/entities/urn:ngsi-ld:Room:1', within('urn:x:mine', writer))).json.temperature, undefined);
    await city.stop();
});

await run(async () => {
    await ld.city.stop();
    await receiver.down();
});
