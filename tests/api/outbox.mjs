#!/usr/bin/env node
// The outbox against the world: receivers that are down or slow, and kill -9. Every change must
// arrive, in order for each (subscription, entity); repetitions carry the id of the first time.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, sleep, startCity } from '../lib/city.mjs';
import { startReceiver } from '../lib/receiver.mjs';
import { run, test } from '../lib/tap.mjs';

const args = ['--client.allow_private=true', '--link.notify_retry_max_s=2'];
const receiver = await startReceiver();
const cities = [];
const start = async (options) => {
    cities.push(await startCity(options));
    return cities.at(-1);
};

const subscribe = async (city, name, url = receiver.url, extra = {}) => {
    const res = await city.post('/ngsi-ld/v1/subscriptions', {
        id: `urn:ngsi-ld:Subscription:${name}`, type: 'Subscription', entities: [{ type: 'Counter' }],
        notification: { format: 'keyValues', endpoint: { uri: `${url}/${name}` } }, ...extra,
    });
    assert.equal(res.status, 201, res.text);
};
const counter = (k) => `urn:ngsi-ld:Counter:${k}`;
// One acknowledged update; resolves to false when the server did not acknowledge it.
const set = async (city, k, v) => {
    try {
        const res = await city.post('/ngsi-ld/v1/entityOperations/upsert?options=update',
            [{ id: counter(k), type: 'Counter', v: { type: 'Property', value: v } }]);
        return res.status === 201 || res.status === 204;
    } catch { return false; }
};

// What a receiver got: in order for each entity, nothing of the acknowledged missing.
function check(got, acknowledged) {
    const ids = new Map(), last = new Map(), values = new Map();
    let repeats = 0;
    for (const { body } of got) {
        for (const e of body.data) {
            if (ids.has(body.id)) {
                repeats++;
                assert.equal(ids.get(body.id), `${e.id} ${e.v}`, 'a repetition has the same id and content');
                continue;
            }
            ids.set(body.id, `${e.id} ${e.v}`);
            assert.ok(e.v > (last.get(e.id) ?? -1), `${e.id}: ${e.v} after ${last.get(e.id)}`);
            last.set(e.id, e.v);
            if (!values.has(e.id)) values.set(e.id, new Set());
            values.get(e.id).add(e.v);
        }
    }
    for (const [k, list] of acknowledged)
        for (const v of list) assert.ok(values.get(counter(k))?.has(v), `${k}: ${v} is lost`);
    return repeats;
}

test('a receiver that was down gets all of it, in order', async () => {
    const city = await start({ args });
    const acknowledged = new Map([[1, []], [2, []]]);
    await subscribe(city, 'down');
    for (let i = 0; i < 300; i++) {
        if (i === 50) await receiver.down();
        const k = 1 + (i % 2);
        assert.ok(await set(city, k, i));
        acknowledged.get(k).push(i);
    }
    await sleep(1500);
    assert.ok(receiver.got('down').length <= 50);
    await receiver.up();
    await eventually(() => receiver.got('down').length >= 300, 20000);
    check(receiver.got('down'), acknowledged);
    await city.stop();
});

test('a slow receiver does not hold up another', async () => {
    const city = await start({ args });
    const slow = await startReceiver();
    slow.answer = () => sleep(300).then(() => 204);
    for (let i = 0; i < 20; i++) await subscribe(city, `slow${i}`, slow.url);
    await subscribe(city, 'fast');
    for (let i = 0; i < 100; i++) assert.ok(await set(city, 1, i));
    await eventually(() => receiver.got('fast').length === 100, 20000);
    assert.ok(slow.count < 1900); // of 2000
    check(receiver.got('fast'), new Map([[1, [...Array(100).keys()]]]));
    await city.stop();
    await slow.down();
});

test('kill -9 under load: nothing lost, nothing out of order', async () => {
    const data = mkdtempSync(path.join(tmpdir(), 'marugoto-outbox-'));
    const keys = [...Array(8).keys()], names = ['k0', 'k1', 'k2'];
    const acknowledged = new Map(keys.map((k) => [k, []]));
    let v = 0, repeats = 0, store;
    receiver.answer = () => (Math.random() < 0.02 ? 503 : 204);
    for (let round = 0; round < 8; round++) {
        const city = await start({ args, data, store });
        store = city.store;
        if (round === 0) for (const name of names) await subscribe(city, name);
        let running = true;
        const writers = keys.map(async (k) => {
            while (running) {
                const value = v++;
                if (await set(city, k, value)) acknowledged.get(k).push(value);
                else break;
            }
        });
        await sleep(150 + Math.random() * 400);
        await city.kill();
        running = false;
        await Promise.all(writers);
    }
    receiver.answer = () => 204;
    const city = await start({ args, data, store });
    const total = [...acknowledged.values()].reduce((n, list) => n + list.length, 0);
    assert.ok(total > 100, `only ${total} changes`);
    await eventually(async () => (await city.get('/link/v1/deliveries')).json.every((d) => d.lag === 0), 30000, 200);
    for (const name of names) repeats += check(receiver.got(name), acknowledged);
    console.log(`# ${total} changes, ${names.length} subscriptions, 8 kills: 0 lost, ${repeats} repeated`);
    await city.stop();
    rmSync(data, { recursive: true, force: true });
});

test('a clean stop repeats nothing', async () => {
    const data = mkdtempSync(path.join(tmpdir(), 'marugoto-outbox-'));
    let city = await start({ args, data });
    await subscribe(city, 'clean');
    for (let i = 0; i < 20; i++) assert.ok(await set(city, 1, i));
    await eventually(() => receiver.got('clean').length === 20);
    await city.end('SIGTERM');
    city = await start({ args, data, store: city.store });
    assert.ok(await set(city, 1, 20));
    await eventually(() => receiver.got('clean').length === 21);
    await sleep(300);
    assert.equal(receiver.got('clean').length, 21);
    const res = await city.get('/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:clean');
    assert.equal(res.json.notification.timesSent, 21);
    await city.stop();
    rmSync(data, { recursive: true, force: true });
});

await run(() => {
    for (const city of cities) city.child.kill('SIGKILL'); // those of tests that failed
    return receiver.down();
});
