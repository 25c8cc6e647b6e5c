#!/usr/bin/env node
// What operators see of deliveries and do to them: dead letters, waiting notifications, pause and
// resume, skip with a reason, replay; nothing is lost or skipped silently, also over kill -9.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, sleep, startCity } from '../lib/city.mjs';
import { startReceiver } from '../lib/receiver.mjs';
import { run, test } from '../lib/tap.mjs';

const args = ['--client.allow_private=true', '--link.notify_retry_max_s=1', '--link.notify_refusals=2'];
const data = mkdtempSync(path.join(tmpdir(), 'marugoto-deliveries-'));
const receiver = await startReceiver();
let city = await startCity({ args, data });
const { store } = city;

const subscribe = async (name, extra = {}) => {
    const res = await city.post('/ngsi-ld/v1/subscriptions', {
        id: `urn:ngsi-ld:Subscription:${name}`, type: 'Subscription', subscriptionName: name, entities: [{ type: name }],
        notification: { format: 'keyValues', endpoint: { uri: `${receiver.url}/${name}` } }, ...extra,
    });
    assert.equal(res.status, 201, res.text);
    return `/link/v1/deliveries/urn:ngsi-ld:Subscription:${name}`;
};
const set = async (type, v) => {
    const res = await city.post('/ngsi-ld/v1/entityOperations/upsert?options=update',
        [{ id: `urn:ngsi-ld:${type}:1`, type, v: { type: 'Property', value: v } }]);
    assert.ok(res.status === 201 || res.status === 204, res.text);
};
const values = (name) => receiver.got(name).map((m) => m.body.data[0].v);
const look = async (at) => (await city.get(at)).json;
const order = async (at, action, body = {}) => city.post(`${at}/${action}`, body);
const ordered = async (...what) => {
    const res = await order(...what);
    assert.equal(res.status, 204, res.text);
};
const state = (at, want) => eventually(async () => {
    const d = await look(at);
    return d.state === want && d;
});
const refuse = (path_, status) => { receiver.answer = (req) => (req.url === path_ ? status : 204); };

test('a notification that is refused too often sets its subscription aside', async () => {
    const at = await subscribe('Dead');
    refuse('/Dead', 400);
    for (const v of [1, 2, 3]) await set('Dead', v);
    const d = await state(at, 'setAside');
    assert.equal(d.refusals, 2);
    assert.equal(d.lag, 3);
    assert.ok(d.waitingSince && d.lagSeconds >= 0);
    assert.match(d.lastError, /400/);
    assert.equal((await city.get('/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:Dead')).json.status, 'paused');
    const before = receiver.count;
    await sleep(1500);
    assert.equal(receiver.count, before, 'it is left alone');
    const { text } = await city.get('/metrics');
    assert.match(text, /marugoto_link_subscriptions\{state="setAside"\} 1/);
    assert.match(text, /marugoto_link_subscriptions_set_aside_total 1/);
});

test('an operator sees what waits', async () => {
    const at = '/link/v1/deliveries/urn:ngsi-ld:Subscription:Dead';
    const all = await look(`${at}/waiting`);
    assert.deepEqual(all.waiting.map((w) => w.data.v), [1, 2, 3]);
    assert.deepEqual(all.waiting.map((w) => w.change), ['created', 'updated', 'updated']);
    assert.deepEqual(all.waiting[0].attributes, ['v']);
    assert.equal(all.waiting[0].type, 'Dead');
    assert.equal(all.more, false);
    const first = await look(`${at}/waiting?limit=1`);
    assert.equal(first.waiting.length, 1);
    assert.equal(first.more, true);
    const rest = await look(`${at}/waiting?after=${first.lookedUpTo}`);
    assert.deepEqual(rest.waiting.map((w) => w.data.v), [2, 3]);
    assert.equal((await city.get(`${at}/waiting?limit=0`)).status, 400);
    assert.equal((await city.get('/link/v1/deliveries/urn:ngsi-ld:Subscription:None/waiting')).status, 404);
});

test('skipping needs a reason, is recorded, and the rest is told', async () => {
    const at = '/link/v1/deliveries/urn:ngsi-ld:Subscription:Dead';
    assert.equal((await order(at, 'skip')).status, 400);
    receiver.answer = () => 204;
    await ordered(at, 'skip', { reason: 'a test value' });
    await eventually(() => receiver.got('Dead').length === 2);
    assert.deepEqual(values('Dead'), [2, 3]);
    const d = await state(at, 'active');
    assert.equal(d.skipped, 1);
    assert.equal(d.actions[0].action, 'skip');
    assert.equal(d.actions[0].reason, 'a test value');
    assert.equal(d.actions[0].to - d.actions[0].from, 1);
    assert.equal((await order(at, 'skip', { reason: 'nothing there' })).status, 409);
});

test('replay tells again from a position or an instant', async () => {
    const at = await subscribe('Again');
    await set('Again', 1);
    await eventually(() => receiver.got('Again').length === 1);
    await sleep(20);
    const time = new Date().toISOString();
    await sleep(20);
    await set('Again', 2);
    await set('Again', 3);
    await eventually(() => receiver.got('Again').length === 3);
    await eventually(async () => (await look(at)).lag === 0);
    const { cursor } = await look(at);
    const ids = receiver.got('Again').map((m) => m.body.id);
    await ordered(at, 'replay', { time, reason: 'the receiver lost its disk' });
    await eventually(() => receiver.got('Again').length === 5);
    assert.deepEqual(values('Again'), [1, 2, 3, 2, 3]);
    assert.deepEqual(receiver.got('Again').slice(3).map((m) => m.body.id), ids.slice(1), 'the same ids');
    await eventually(async () => (await look(at)).lag === 0);
    await ordered(at, 'replay', { position: cursor });
    await eventually(() => receiver.got('Again').length === 6);
    assert.equal(values('Again').at(-1), 3);
    assert.equal((await order(at, 'replay')).status, 400);
    assert.equal((await order(at, 'replay', { position: 1e9 })).status, 400);
    assert.equal((await order(at, 'replay', { position: 1, time })).status, 400);
    assert.equal((await order(at, 'replay', { when: 1 })).status, 400);
});

test('pause keeps everything, also over kill -9; resume tells it', async () => {
    const at = await subscribe('Hold');
    await set('Hold', 1);
    await eventually(() => receiver.got('Hold').length === 1);
    await ordered(at, 'pause', { reason: 'the receiver moves' });
    for (const v of [2, 3, 4]) await set('Hold', v);
    assert.equal((await look(at)).state, 'held');
    assert.equal((await order(at, 'pause')).status, 409);
    assert.equal((await order(at, 'retry')).status, 409);
    await city.kill();
    city = await startCity({ args, data, store });
    const d = await look(at);
    assert.equal(d.state, 'held');
    assert.equal(d.lag, 3);
    assert.equal(d.actions[0].reason, 'the receiver moves');
    assert.equal((await city.patch('/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:Hold', { description: 'x' })).status, 204);
    assert.equal((await look(at)).state, 'held', 'its owner does not undo it');
    await sleep(300);
    assert.equal(receiver.got('Hold').length, 1);
    await ordered(at, 'resume');
    await eventually(() => receiver.got('Hold').length === 4);
    assert.deepEqual(values('Hold'), [1, 2, 3, 4]);
    assert.equal((await order(at, 'resume')).status, 409);
});

test('set aside outlives kill -9; its owner brings it back by changing it', async () => {
    const at = await subscribe('Wrong');
    refuse('/Wrong', 404);
    for (const v of [1, 2]) await set('Wrong', v);
    await state(at, 'setAside');
    await sleep(500); // written down
    await city.kill();
    city = await startCity({ args, data, store });
    assert.equal((await look(at)).state, 'setAside');
    const fixed = { notification: { format: 'keyValues', endpoint: { uri: `${receiver.url}/Right` } } };
    assert.equal((await city.patch('/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:Wrong', fixed)).status, 204);
    await eventually(() => receiver.got('Right').length === 2);
    assert.deepEqual(values('Right'), [1, 2]);
});

test('what mends itself with time sets nothing aside', async () => {
    const at = await subscribe('Busy');
    refuse('/Busy', 503);
    await set('Busy', 1);
    await eventually(async () => (await look(at)).attempts >= 3, 15000);
    assert.equal((await look(at)).state, 'retrying');
    assert.equal((await look(at)).refusals, 0);
    receiver.answer = () => 204;
    await ordered(at, 'retry');
    await eventually(() => receiver.got('Busy').length === 1);
});

test('orders that make no sense are refused', async () => {
    const at = await subscribe('Odd', { isActive: false });
    assert.equal((await order(at, 'resume')).status, 409);
    assert.equal((await order(at, 'dance')).status, 404);
    assert.equal((await order('/link/v1/deliveries/urn:ngsi-ld:Subscription:None', 'pause')).status, 404);
    const periodic = await subscribe('Tick', { timeInterval: 60 });
    assert.equal((await order(periodic, 'replay', { position: 1 })).status, 409);
    assert.deepEqual((await look(`${periodic}/waiting`)).waiting, []);
});

await run(async () => {
    await city.stop();
    await receiver.down();
    rmSync(data, { recursive: true, force: true });
});
