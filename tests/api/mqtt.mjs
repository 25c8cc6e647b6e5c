#!/usr/bin/env node
// Notifications over MQTT (clause 7), with Debian's mosquitto on loopback.
import assert from 'node:assert/strict';
import { haveBroker, startBroker } from '../lib/broker.mjs';
import { eventually, sleep } from '../lib/city.mjs';
import { assertError, startLd } from '../lib/ngsi.mjs';
import { run, skip, test } from '../lib/tap.mjs';

const quick = ['--link.notify_retry_max_s=1'];
const brokers = [], cities = [];
const broker = async (options) => {
    if (!haveBroker) skip('mosquitto is not installed');
    brokers.push(await startBroker(options));
    return brokers.at(-1);
};
const city = async (...args) => {
    cities.push(await startLd({ args: [...quick, ...args] }));
    return cities.at(-1);
};
const loopback = '--client.allow_private=true';

const subscribe = async (ld, name, uri, endpoint = {}, more = {}) => {
    const body = {
        id: `urn:ngsi-ld:Subscription:${name}`, type: 'Subscription', entities: [{ type: 'Sensor' }],
        notification: { endpoint: { uri, ...endpoint } }, ...more,
    };
    const res = await ld.post('/subscriptions', body);
    assert.equal(res.status, 201, res.text);
    return `/subscriptions/${body.id}`;
};
const set = async (ld, v) => {
    const res = await ld.post('/entityOperations/upsert?options=update',
        [{ id: 'urn:ngsi-ld:Sensor:1', type: 'Sensor', v: { type: 'Property', value: v } }]);
    assert.ok(res.status === 201 || res.status === 204, res.text);
};
const values = (heard) => heard.all.map((m) => m.json.body.data[0].v.value);
const delivery = async (ld, id) => (await ld.city.get('/link/v1/deliveries')).json.find((d) => d.id.endsWith(id));

test('a message is metadata and body; QoS and version are the subscription\'s', async () => {
    const mqtt = await broker();
    const ld = await city(loopback);
    const heard = await mqtt.listen('#');
    const at = `mqtt://127.0.0.1:${mqtt.port}`;
    const infos = { receiverInfo: [{ key: 'test-receiver-key', value: 'info' }] };
    await subscribe(ld, 'plain', `${at}/city/plain`, infos);
    await subscribe(ld, 'two', `${at}/city/two`, {
        accept: 'application/ld+json',
        notifierInfo: [{ key: 'MQTT-QoS', value: '2' }, { key: 'MQTT-Version', value: 'mqtt3.1.1' }],
    });
    await subscribe(ld, 'one', `${at}/city/%E4%B8%83%E5%B0%BE/one`, { notifierInfo: [{ key: 'MQTT-QoS', value: '1' }] });
    await set(ld, 1);
    await eventually(() => heard.all.length === 3);
    const by = (topic) => heard.all.find((m) => m.topic === topic);
    const plain = by('city/plain'), two = by('city/two'), one = by('city/七尾/one');
    assert.equal(plain.qos, 0);
    assert.equal(one.qos, 1);
    assert.equal(two.qos, 2);
    assert.deepEqual(Object.keys(plain.json), ['metadata', 'body']);
    assert.equal(plain.json.metadata['Content-Type'], 'application/json');
    assert.match(plain.json.metadata.Link, /ngsi-ld-core-context.*rel="http:\/\/www.w3.org\/ns\/json-ld#context"/);
    assert.equal(plain.json.metadata['test-receiver-key'], 'info');
    assert.equal(plain.json.body.type, 'Notification');
    assert.equal(plain.json.body.data[0].id, 'urn:ngsi-ld:Sensor:1');
    assert.equal(two.json.metadata['Content-Type'], 'application/ld+json');
    assert.equal(two.json.metadata.Link, undefined);
    assert.ok(two.json.body['@context']);
    const read = await eventually(async () => {
        const { json } = await ld.get('/subscriptions/urn:ngsi-ld:Subscription:two');
        return json.notification.timesSent === 1 && json;
    });
    assert.equal(read.notification.status, 'ok');
});

test('a broker that is away for a while loses nothing and nothing overtakes', async () => {
    const mqtt = await broker();
    const door = await mqtt.door();
    const ld = await city(loopback);
    const heard = await mqtt.listen('#');
    for (const qos of ['1', '2']) {
        await subscribe(ld, `away${qos}`, `mqtt://127.0.0.1:${door.port}/away${qos}`,
            { notifierInfo: [{ key: 'MQTT-QoS', value: qos }] });
    }
    const all = [...Array(80).keys()];
    for (const i of all) {
        if (i === 20) await door.shut();
        if (i === 60) {
            await eventually(async () => (await delivery(ld, 'away1')).state === 'retrying');
            await door.open();
        }
        await set(ld, i);
    }
    for (const name of ['away1', 'away2']) {
        const got = () => heard.all.filter((m) => m.topic === name);
        await eventually(async () => (await delivery(ld, name)).lag === 0, 20000);
        await eventually(() => new Set(values({ all: got() })).size === all.length, 20000);
        const ids = new Set(), list = [];
        for (const m of got()) {
            if (!ids.has(m.json.body.id)) list.push(m.json.body.data[0].v.value); // else a repetition
            ids.add(m.json.body.id);
        }
        assert.deepEqual(list, all, name);
    }
});

test('users and passwords go to the broker, and are not shown to others', async () => {
    const mqtt = await broker({ user: 'city', password: 'p@ss:1' });
    const ld = await city(loopback);
    const heard = await mqtt.listen('#');
    await subscribe(ld, 'in', `mqtt://city:p%40ss%3A1@127.0.0.1:${mqtt.port}/in`);
    await subscribe(ld, 'out', `mqtt://city:wrong@127.0.0.1:${mqtt.port}/out`);
    await set(ld, 1);
    await eventually(() => heard.all.length === 1);
    assert.equal(heard.all[0].topic, 'in');
    const out = await eventually(async () => {
        const d = await delivery(ld, 'out');
        return d.failed > 0 && d;
    });
    assert.match(out.lastError, /not auth/i);
    assert.equal(out.endpoint, `mqtt://city:***@127.0.0.1:${mqtt.port}/out`);
});

test('mqtts believes a certificate only when its issuer is trusted and its name is right', async () => {
    const mqtt = await broker({ tls: true });
    const good = await city(loopback, `--client.ca_file=${mqtt.ca}`);
    const heard = await mqtt.listen('#');
    await subscribe(good, 'name', `mqtts://localhost:${mqtt.port}/name`, { notifierInfo: [{ key: 'MQTT-QoS', value: '1' }] });
    await subscribe(good, 'number', `mqtts://127.0.0.1:${mqtt.port}/number`);
    await set(good, 1);
    await eventually(() => heard.all.length === 1);
    assert.equal(heard.all[0].topic, 'name');
    assert.match((await eventually(async () => {
        const d = await delivery(good, 'number');
        return d.failed > 0 && d;
    })).lastError, /TLS/);
    const stranger = await city(loopback);
    await subscribe(stranger, 'stranger', `mqtts://localhost:${mqtt.port}/stranger`);
    await set(stranger, 1);
    await eventually(async () => (await delivery(stranger, 'stranger')).failed > 0);
    assert.equal(heard.all.length, 1);
});

test('private addresses are refused unless they are allowed', async () => {
    const mqtt = await broker();
    const ld = await city();
    const heard = await mqtt.listen('#');
    await subscribe(ld, 'private', `mqtt://127.0.0.1:${mqtt.port}/private`);
    await set(ld, 1);
    const d = await eventually(async () => {
        const now = await delivery(ld, 'private');
        return now.failed > 0 && now;
    });
    assert.match(d.lastError, /private/);
    await sleep(200);
    assert.equal(heard.all.length, 0);
});

test('what is no MQTT endpoint is refused', async () => {
    const ld = await city();
    const bad = [
        ['mqtt://broker'], ['mqtt://broker/'], ['mqtt:///t'], ['mqtt://broker:0/t'], ['mqtt://broker:99999/t'],
        ['mqtt://broker/a/#'], ['mqtt://broker/+/b'], ['mqtt://broker/%00'],
        ['mqtt://broker/t', { notifierInfo: [{ key: 'MQTT-QoS', value: '7' }] }],
        ['mqtt://broker/t', { notifierInfo: [{ key: 'MQTT-Version', value: 'mqtt9' }] }],
    ];
    for (const [uri, endpoint] of bad) {
        const res = await ld.post('/subscriptions', {
            type: 'Subscription', entities: [{ type: 'Sensor' }], notification: { endpoint: { uri, ...endpoint } },
        });
        assertError(res, 400, 'BadRequestData');
    }
});

await run(async () => {
    for (const ld of cities) await ld.city.stop();
    for (const mqtt of brokers) await mqtt.stop();
});
