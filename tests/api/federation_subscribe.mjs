#!/usr/bin/env node
// Subscriptions that context sources have a part in (clauses 5.8.1.4, 5.8.2.4, 5.8.5.4, 5.8.6).
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { eventually, sleep } from '../lib/city.mjs';
import { base, startLd, assertError } from '../lib/ngsi.mjs';
import { startSource, register } from '../lib/source.mjs';
import { startReceiver } from '../lib/receiver.mjs';

const args = ['--client.allow_private=true', '--link.forward_ms=2000', '--link.forward_cooldown_ms=0'];
const here = await startLd({ args }), there = await startLd({ args }), beyond = await startLd({ args });
const receiver = await startReceiver();
const source = await startSource();
const operations = ['federationOps'];
const subscription = (id, more = {}) => ({ id, type: 'Subscription', entities: [{ type: 'Pump' }],
    notification: { endpoint: { uri: `${receiver.url}/${id.slice(-2)}` } }, ...more });
const copies = async (ld) => (await ld.get('/subscriptions')).json;
const told = (id) => receiver.got(id.slice(-2)).flatMap((n) => n.body.data);
const pump = (id, level) => ({ id, type: 'Pump', level: { type: 'Property', value: level } });

test('a change at the source reaches the subscriber, in order and in the form asked for', async () => {
    const id = 'urn:ngsi-ld:Subscription:s1';
    const reg = await register(here, there.city.url, { type: 'Pump' }, { operations });
    const res = await here.post('/subscriptions', subscription(id, { q: 'level>10', notification: { format: 'keyValues', endpoint: { uri: `${receiver.url}/s1` } } }));
    assert.equal(res.status, 201, res.text);
    const [copy] = await eventually(async () => { const all = await copies(there); return all.length && all; });
    assert.notEqual(copy.id, id);
    assert.match(copy.notification.endpoint.uri, /\/federation\/notified\/[A-Za-z0-9_-]{32}$/);
    assert.equal(copy.q, 'level>10');
    await there.create(pump('urn:x:pump:1', 11));
    for (let level = 12; level < 32; level++)
        assert.equal((await there.patch('/entities/urn:x:pump:1/attrs', { level })).status, 204);
    assert.equal((await there.patch('/entities/urn:x:pump:1/attrs', { level: 3 })).status, 204);
    await here.create(pump('urn:x:pump:2', 99));
    await eventually(() => told(id).length >= 22);
    const got = told(id);
    assert.deepEqual(got.filter((e) => e.id === 'urn:x:pump:1').map((e) => e.level), Array.from({ length: 21 }, (_, i) => 11 + i));
    assert.deepEqual(got.filter((e) => e.id === 'urn:x:pump:2').map((e) => e.level), [99]);
    for (const n of receiver.got('s1')) assert.equal(n.body.subscriptionId, id);
    // an attribute that goes, an entity that goes
    void reg;
});

test('update and deletion follow', async () => {
    const id = 'urn:ngsi-ld:Subscription:s1';
    assert.equal((await here.patch(`/subscriptions/${id}`, { q: 'level>50' })).status, 204);
    await eventually(async () => (await copies(there))[0]?.q === 'level>50');
    assert.equal((await here.patch(`/subscriptions/${id}`, { isActive: false })).status, 204);
    await eventually(async () => (await copies(there)).length === 0);
    assert.equal((await here.patch(`/subscriptions/${id}`, { isActive: true })).status, 204);
    await eventually(async () => (await copies(there)).length === 1);
    assert.equal((await here.delete(`/subscriptions/${id}`)).status, 204);
    await eventually(async () => (await copies(there)).length === 0);
});

test('split entities: what a source tells is put together with all the rest, then conditions count (clause 5.8.6)', async () => {
    const id = 'urn:ngsi-ld:Subscription:t1', tank = 'urn:x:tank:1', P = (value) => ({ type: 'Property', value });
    const regs = [await register(here, there.city.url, { type: 'Tank' }, { operations }), await register(here, beyond.city.url, { type: 'Tank' }, { operations: ['retrieveOps'] })];
    await here.create({ id: tank, type: 'Tank', limit: P(5) });
    await beyond.create({ id: tank, type: 'Tank', keeper: P('me') });
    const q = 'level>10;limit==5;keeper=="me"';
    assert.equal((await here.post('/subscriptions', subscription(id, { entities: [{ type: 'Tank' }], q, splitEntities: true, notificationTrigger: ['attributeCreated', 'attributeUpdated', 'entityDeleted'], notification: { attributes: ['level', 'limit'], format: 'keyValues', endpoint: { uri: `${receiver.url}/t1` } } }))).status, 201);
    const [copy] = await eventually(async () => { const all = await copies(there); return all.length && all; });
    assert.deepEqual([copy.q, copy.notification.attributes], [undefined, undefined], 'a part does not meet conditions by itself');
    await there.create({ id: tank, type: 'Tank', level: P(3) });
    await there.patch(`/entities/${tank}/attrs`, { level: 11 });
    await eventually(() => told(id).length === 1);
    assert.deepEqual(told(id)[0], { id: tank, type: 'Tank', level: 11, limit: 5 });
    await beyond.patch(`/entities/${tank}/attrs`, { keeper: 'you' });
    await there.patch(`/entities/${tank}/attrs`, { level: 12 });
    await beyond.patch(`/entities/${tank}/attrs`, { keeper: 'me' });
    await there.patch(`/entities/${tank}/attrs`, { level: 13 });
    await eventually(() => told(id).some((e) => e.level === 13));
    assert.ok(told(id).length <= 3, 'each change once');
    await there.delete(`/entities/${tank}`);
    await eventually(() => told(id).some((e) => e.deletedAt));
    // the other way: q goes along again, and is taken away when it goes
    assert.equal((await here.patch(`/subscriptions/${id}`, { splitEntities: false })).status, 204);
    await eventually(async () => (await copies(there))[0]?.q === q);
    assert.equal((await here.patch(`/subscriptions/${id}`, { q: 'urn:ngsi-ld:null' })).status, 204);
    await eventually(async () => (await copies(there))[0]?.q === undefined);
    assert.equal((await here.delete(`/subscriptions/${id}`)).status, 204);
    await eventually(async () => (await copies(there)).length === 0);
    for (const reg of regs) await here.delete(`/csourceRegistrations/${reg}`);
});

test('csf says which sources a subscription is about', async () => {
    const id = 'urn:ngsi-ld:Subscription:c1';
    const regs = [await register(here, there.city.url, { type: 'Well' }, { operations, owner: 'town' }), await register(here, beyond.city.url, { type: 'Well' }, { operations, owner: 'firm' })];
    assert.equal((await here.post('/subscriptions', subscription(id, { entities: [{ type: 'Well' }], csf: 'owner=="firm"' }))).status, 201);
    await eventually(async () => (await copies(beyond)).length === 1);
    assert.equal((await copies(there)).length, 0);
    assert.equal((await here.delete(`/subscriptions/${id}`)).status, 204);
    await eventually(async () => (await copies(beyond)).length === 0);
    for (const reg of regs) await here.delete(`/csourceRegistrations/${reg}`);
});

test('a source that comes later, and one that goes', async () => {
    const id = 'urn:ngsi-ld:Subscription:s2';
    assert.equal((await here.post('/subscriptions', subscription(id, { entities: [{ type: 'Gate' }] }))).status, 201);
    await here.create({ id: 'urn:x:gate:0', type: 'Gate', open: false });
    await sleep(1200);
    assert.equal((await copies(there)).length, 0);
    const reg = await register(here, there.city.url, { type: 'Gate' }, { operations });
    await eventually(async () => (await copies(there)).length === 1);
    await there.create({ id: 'urn:x:gate:1', type: 'Gate', open: true });
    await eventually(() => told(id).some((e) => e.id === 'urn:x:gate:1'));
    assert.equal((await here.delete(`/csourceRegistrations/${reg}`)).status, 204);
    await eventually(async () => (await copies(there)).length === 0);
    assert.equal((await here.delete(`/subscriptions/${id}`)).status, 204);
});

test('a subscription of this server only stays here', async () => {
    const id = 'urn:ngsi-ld:Subscription:s3';
    const reg = await register(here, there.city.url, { type: 'Lamp' }, { operations });
    assert.equal((await here.post('/subscriptions', subscription(id, { entities: [{ type: 'Lamp' }], localOnly: true }))).status, 201);
    const asked = 'urn:ngsi-ld:Subscription:s5'; // the same, said beside it (6.3.18)
    assert.equal((await here.post('/subscriptions?local=true', subscription(asked, { entities: [{ type: 'Lamp' }] }))).status, 201);
    const other = 'urn:ngsi-ld:Subscription:s4';
    assert.equal((await here.post('/subscriptions', subscription(other, { entities: [{ type: 'Lamp' }] }))).status, 201);
    await eventually(async () => (await copies(there)).length === 1);
    await sleep(700);
    assert.equal((await copies(there)).length, 1, 'the other one');
    assert.equal((await here.delete(`/csourceRegistrations/${reg}`)).status, 204);
    for (const s of [id, asked, other]) await here.delete(`/subscriptions/${s}`);
    await eventually(async () => (await copies(there)).length === 0);
});

test('three brokers in a row, and in a ring', async () => {
    const id = 'urn:ngsi-ld:Subscription:s5';
    await register(here, there.city.url, { type: 'Train' }, { operations });
    await register(there, beyond.city.url, { type: 'Train' }, { operations });
    await register(beyond, here.city.url, { type: 'Train' }, { operations });
    assert.equal((await here.post('/subscriptions', subscription(id, { entities: [{ type: 'Train' }] }))).status, 201);
    await eventually(async () => (await copies(beyond)).length === 1);
    await beyond.create({ id: 'urn:x:train:1', type: 'Train', at: 'Nanao' });
    await eventually(() => told(id).some((e) => e.id === 'urn:x:train:1'));
    await sleep(1500);
    assert.equal((await copies(here)).length, 1, 'it does not come back');
    assert.equal(told(id).length, 1, 'told once');
    assert.equal((await here.delete(`/subscriptions/${id}`)).status, 204);
    await eventually(async () => (await copies(beyond)).length === 0);
});

test('a source that is down gets its copy when it is back; the receiver too', async () => {
    const id = 'urn:ngsi-ld:Subscription:s6';
    await source.down();
    await register(here, source.url + '/a', { type: 'Boat' }, { operations, tenant: 'port', contextSourceInfo: [{ key: 'X-Key', value: 'k' }] });
    assert.equal((await here.post('/subscriptions', subscription(id, { entities: [{ type: 'Boat' }], watchedAttributes: ['speed'] }))).status, 201);
    await sleep(1200);
    await source.up();
    source.reply('POST', `/a${base}/subscriptions`, 201);
    const made = await eventually(() => source.requests.find((r) => r.method === 'POST'), 30000);
    assert.equal(made.headers['ngsild-tenant'], 'port');
    assert.equal(made.headers['x-key'], 'k');
    assert.match(made.headers.via, /^1\.1 /);
    assert.deepEqual(made.json.watchedAttributes, ['speed']);
    assert.equal(made.json.notification.endpoint.uri.startsWith(here.city.url), true);
    assert.ok(!made.body.includes(receiver.url), 'the subscriber stays unknown');
    const path = new URL(made.json.notification.endpoint.uri).pathname;
    const notify = (data, more = {}) => here.city.post(path, { id: 'urn:n:1', type: 'Notification', subscriptionId: made.json.id, data, ...more });
    // hostile and strange ones
    assert.equal((await here.city.post(path.slice(0, -1), { data: [] })).status, 404);
    assert.equal((await notify('x')).status, 400);
    assertError(await notify([{ id: 'no uri', type: 'Boat' }]), 400, 'BadRequestData');
    assertError(await notify([{ id: 'urn:x:boat:1' }]), 400, 'BadRequestData');
    assert.equal((await here.city.post(path, '{"data":')).status, 400);
    await receiver.down();
    assert.equal((await notify([{ id: 'urn:x:boat:1', type: 'Boat', speed: { type: 'Property', value: 3 } }])).status, 200);
    assert.equal((await notify([{ id: 'urn:x:boat:1', type: 'Boat', speed: { type: 'Property', value: 'urn:ngsi-ld:null' } }])).status, 200);
    assert.equal((await notify({ id: 'urn:x:boat:1', type: 'Boat', deletedAt: '2026-01-01T00:00:00Z' })).status, 200);
    await receiver.up();
    await eventually(() => told(id).length === 3);
    assert.deepEqual(told(id)[0], { id: 'urn:x:boat:1', type: 'Boat', speed: { type: 'Property', value: 3 } });
    assert.ok(told(id)[2].deletedAt);
    source.reply('DELETE', `/a${base}/subscriptions/${made.json.id}`, 204);
    assert.equal((await here.delete(`/subscriptions/${id}`)).status, 204);
    await eventually(() => source.requests.some((r) => r.method === 'DELETE' && r.path.endsWith(made.json.id)));
    await eventually(async () => (await notify([])).status === 404);
});

test('a source that refuses is not asked again and again', async () => {
    source.take();
    await register(here, source.url + '/b', { type: 'Crane' }, { operations });
    source.reply('POST', `/b${base}/subscriptions`, 400);
    assert.equal((await here.post('/subscriptions', subscription('urn:ngsi-ld:Subscription:s7', { entities: [{ type: 'Crane' }] }))).status, 201);
    await eventually(() => source.requests.some((r) => r.path.startsWith('/b')));
    assert.equal((await here.post('/subscriptions', subscription('urn:ngsi-ld:Subscription:s8', { entities: [{ type: 'Other' }] }))).status, 201);
    await sleep(1300);
    assert.equal(source.take().filter((r) => r.path.startsWith('/b')).length, 1);
});

test('a subscription that came through us is a loop', async () => {
    const alias = (await here.get('/info/sourceIdentity')).json.contextSourceAlias;
    assertError(await here.post('/subscriptions', subscription('urn:ngsi-ld:Subscription:s9'), { headers: { Via: `1.1 ${alias}` } }), 508, 'LoopDetected');
});

await run(async () => {
    await receiver.down();
    await source.down();
    for (const ld of [here, there, beyond]) await ld.city.stop();
});
