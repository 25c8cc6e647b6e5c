#!/usr/bin/env node
// Subscriptions: create, read, list, change, delete; what is refused; what is told (clauses 5.8,
// 6.10, 6.11).
import assert from 'node:assert/strict';
import { eventually, sleep } from '../lib/city.mjs';
import { assertError, startLd } from '../lib/ngsi.mjs';
import { startReceiver } from '../lib/receiver.mjs';
import { run, test } from '../lib/tap.mjs';

const ld = await startLd({ args: ['--client.allow_private=true'] });
const receiver = await startReceiver();

const base = (extra = {}, notification = {}) => ({
    type: 'Subscription', entities: [{ type: 'Sensor' }], ...extra,
    notification: { endpoint: { uri: `${receiver.url}/x` }, ...notification },
});
const subscribe = async (id, extra, notification, options) => {
    const body = { id: `urn:ngsi-ld:Subscription:${id}`, ...base(extra, notification) };
    if (!notification?.endpoint) body.notification.endpoint = { uri: `${receiver.url}/${id}` };
    const res = await ld.post('/subscriptions', body, options);
    assert.equal(res.status, 201, res.text);
    return `/subscriptions/${body.id}`;
};
let made = 0;
const sensor = async (attrs = { t: 1 }, type = 'Sensor') => {
    const id = `urn:ngsi-ld:${type}:${++made}`;
    const entity = { id, type };
    for (const [name, value] of Object.entries(attrs)) entity[name] = { type: 'Property', value };
    assert.equal((await ld.post('/entities', entity)).status, 201);
    return id;
};
const told = (name, n) => eventually(() => receiver.got(name).length >= n && receiver.got(name));

test('create answers 201 and the address of the subscription', async () => {
    const res = await ld.post('/subscriptions', base());
    assert.equal(res.status, 201);
    const path = res.headers.get('location');
    assert.match(path, /^\/ngsi-ld\/v1\/subscriptions\/urn:ngsi-ld:Subscription:[0-9a-f-]+$/);
    const back = await ld.city.get(path);
    assert.equal(back.status, 200);
    assert.equal(back.json.type, 'Subscription');
    assert.equal(back.json.status, 'active');
    assert.deepEqual(back.json.entities, [{ type: 'Sensor' }]);
    assert.equal((await ld.city.delete(path)).status, 204);
    assertError(await ld.city.get(path), 404, 'ResourceNotFound');
    assertError(await ld.city.delete(path), 404, 'ResourceNotFound');
});

test('an id that is taken answers 409', async () => {
    const path = await subscribe('twice');
    const res = await ld.post('/subscriptions', { id: path.slice(15), ...base() });
    assertError(res, 409, 'AlreadyExists');
    await ld.delete(path);
});

test('what makes no sense is refused, and says why', async () => {
    const bad = [
        {}, [], { type: 'Subscription' }, base({ entities: [] }), base({ entities: undefined }),
        base({ q: 'a==' }), base({ throttling: -1 }), base({ timeInterval: 5, throttling: 5 }),
        base({ expiresAt: '2001-01-01T00:00:00Z' }), base({ expiresAt: 'tomorrow' }),
        base({ geoQ: { georel: 'near' } }), base({}, { format: 'xml' }), base({ typo: 1 }),
        base({}, { endpoint: { uri: 'nowhere' } }), base({}, { endpoint: { uri: 'file:///etc/passwd' } }),
        base({}, { endpoint: { uri: 'http://x/', accept: 'text/plain' } }),
    ];
    for (const body of bad) {
        const res = await ld.post('/subscriptions', body);
        assertError(res, 400, 'BadRequestData');
        assert.ok(res.json.detail.length > 10, res.text);
    }
    assertError(await ld.post('/subscriptions', '{"type":'), 400, 'InvalidRequest');
    assert.equal((await ld.post('/subscriptions', 'x', { type: 'text/plain' })).status, 415);
});

test('list has pages and a count', async () => {
    const paths = [];
    for (let i = 0; i < 5; i++) paths.push(await subscribe(`page${i}`));
    const page = await ld.get('/subscriptions?limit=2&offset=2&count=true');
    assert.equal(page.status, 200);
    assert.deepEqual(page.json.map((s) => s.id), [2, 3].map((i) => `urn:ngsi-ld:Subscription:page${i}`));
    assert.equal(page.headers.get('ngsild-results-count'), '5');
    assert.match(page.headers.get('link'), /offset=0>;rel="prev";type="application\/json"/);
    assert.match(page.headers.get('link'), /offset=4>;rel="next"/);
    assert.equal((await ld.get('/subscriptions?limit=0&count=true')).json.length, 0);
    assertError(await ld.get('/subscriptions?limit=0'), 400, 'BadRequestData');
    for (const path of paths) await ld.delete(path);
    assert.deepEqual((await ld.get('/subscriptions')).json, []);
});

test('patch changes members, removes with null, refuses nonsense', async () => {
    const path = await subscribe('patched', { q: 't>5', description: 'first' });
    assert.equal((await ld.patch(path, { q: null, description: 'second' })).status, 204);
    const back = (await ld.get(path)).json;
    assert.equal(back.q, undefined);
    assert.equal(back.description, 'second');
    assertError(await ld.patch(path, { entities: null }), 400, 'BadRequestData');
    assertError(await ld.patch(path, { q: '((' }), 400, 'BadRequestData');
    assertError(await ld.patch(path, { id: 'urn:other:1' }), 400, 'BadRequestData');
    assertError(await ld.patch('/subscriptions/urn:x:none', { description: 'x' }), 404, 'ResourceNotFound');
    assert.equal((await ld.get(path)).json.description, 'second');
    await ld.delete(path);
});

test('status follows isActive and expiresAt as clause 5.8.2 has it', async () => {
    const status = async () => (await ld.get(path)).json.status;
    const later = (ms) => new Date(Date.now() + ms).toISOString();
    const path = await subscribe('status', { expiresAt: later(600) });
    assert.equal((await ld.patch(path, { isActive: false })).status, 204);
    assert.equal(await status(), 'paused');
    await eventually(async () => await status() === 'expired');
    assert.equal((await ld.patch(path, { isActive: true })).status, 204);
    assert.equal(await status(), 'expired', 'isActive alone does not bring it back');
    assert.equal((await ld.patch(path, { isActive: false })).status, 204);
    assert.equal(await status(), 'expired');
    assert.equal((await ld.patch(path, { expiresAt: later(600000) })).status, 204);
    assert.equal(await status(), 'active', 'a new expiresAt does, paused or not');
    assertError(await ld.patch(path, { expiresAt: later(-1000), isActive: true }), 400, 'BadRequestData');
    assert.equal((await ld.patch(path, { expiresAt: later(60000), isActive: false })).status, 204);
    assert.equal(await status(), 'paused');
    await ld.delete(path);
});

test('patching notification replaces it as a whole; its counters stay', async () => {
    const path = await subscribe('whole', {}, { format: 'keyValues', attributes: ['t'] });
    await sensor({ t: 1 });
    await told('whole', 1);
    await eventually(async () => (await ld.get(path)).json.notification.timesSent === 1);
    assertError(await ld.patch(path, { notification: { format: 'concise' } }), 400, 'BadRequestData');
    const endpoint = { uri: `${receiver.url}/whole`, accept: 'application/ld+json' };
    assert.equal((await ld.patch(path, { notification: { endpoint, timesSent: 77 } })).status, 204);
    const { notification } = (await ld.get(path)).json;
    assert.equal(notification.format, undefined);
    assert.deepEqual(notification.endpoint, endpoint);
    assert.equal(notification.timesSent, 1);
    await ld.delete(path);
});

test('writing the same value again is no change', async () => {
    const path = await subscribe('same');
    const id = await sensor({ t: 1 });
    await told('same', 1);
    assert.equal((await ld.patch(`/entities/${id}/attrs`, { t: { type: 'Property', value: 1 } })).status, 204);
    assert.equal((await ld.patch(`/entities/${id}/attrs`, { t: { type: 'Property', value: 2 } })).status, 204);
    assert.equal((await told('same', 2))[1].body.data[0].t.value, 2);
    await ld.delete(path);
});

test('conditions reach over links; linked entities come along', async () => {
    const device = (n, level) => ({ id: `urn:ngsi-ld:Device:${n}`, type: 'Device', level: { type: 'Property', value: level }, name: { type: 'Property', value: `d${n}` } });
    for (const e of [device('low', 0.3), device('full', 0.9)]) assert.equal((await ld.post('/entities', e)).status, 201);
    const path = await subscribe('links', { entities: [{ type: 'Car' }], q: 'uses{level}<0.5' },
        { join: 'inline', pick: ['id', 'uses{name}'], format: 'simplified' });
    const car = (n) => ({ id: `urn:ngsi-ld:Car:${n}`, type: 'Car', uses: { type: 'Relationship', object: `urn:ngsi-ld:Device:${n}` } });
    for (const n of ['full', 'low']) assert.equal((await ld.post('/entities', car(n))).status, 201);
    const [first] = await told('links', 1);
    assert.deepEqual(first.body.data, [{ id: 'urn:ngsi-ld:Car:low', uses: { name: 'dlow' } }]);
    await ld.delete(path);
});

test('jsonldContext names what is told; one that cannot be had or is none is refused', async () => {
    const context = '/ngsi-ld/v1/jsonldContexts';
    const hosted = await ld.post('/jsonldContexts', { '@context': { heat: 'https://uri.etsi.org/ngsi-ld/default-context/t' } }, { type: 'application/ld+json' });
    assert.equal(hosted.status, 201, hosted.text);
    const url = hosted.headers.get('location');
    assert.ok(url.startsWith(context));
    const jsonldContext = `${ld.city.url}${url}`;
    const path = await subscribe('named', { jsonldContext });
    await sensor({ t: 7 });
    const [first] = await told('named', 1);
    assert.equal(first.body.data[0].heat.value, 7);
    assert.ok(first.headers.link.includes(jsonldContext), first.headers.link);
    assert.equal((await ld.get(path)).json.jsonldContext, jsonldContext);
    const gone = await ld.post('/subscriptions', base({ jsonldContext: 'http://127.0.0.1:9/none.jsonld' }));
    assertError(gone, 504, 'LdContextNotAvailable');
    assertError(await ld.patch(path, { jsonldContext: 'http://127.0.0.1:9/none.jsonld' }), 504, 'LdContextNotAvailable');
    assertError(await ld.patch(path, { jsonldContext: 'no URI' }), 400, 'BadRequestData');
    await ld.delete(path);
});

test('languages, datasets and GeoJSON', async () => {
    const geo = await subscribe('geo', { entities: [{ type: 'Place' }], lang: 'ja', datasetId: ['@none'] },
        { endpoint: { uri: `${receiver.url}/geo`, accept: 'application/geo+json' } });
    const res = await ld.post('/entities', {
        id: 'urn:ngsi-ld:Place:1', type: 'Place', title: { type: 'LanguageProperty', languageMap: { ja: '七尾', en: 'Nanao' } },
        n: [{ type: 'Property', value: 1 }, { type: 'Property', value: 2, datasetId: 'urn:d:2' }],
        location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [136.9, 37.0] } },
    });
    assert.equal(res.status, 201, res.text);
    const [first] = await told('geo', 1);
    assert.match(first.headers['content-type'], /^application\/geo\+json/);
    const [feature] = first.body.data.features;
    assert.deepEqual(feature.geometry, { type: 'Point', coordinates: [136.9, 37] });
    assert.equal(feature.properties.title.value, '七尾');
    assert.equal(feature.properties.n.value, 1);
    assert.ok(first.body.data['@context']);
    await ld.delete(geo);
});

test('tells a change with the asked attributes and format', async () => {
    const path = await subscribe('fmt', { watchedAttributes: ['t'] }, { attributes: ['t'], format: 'keyValues' });
    const id = await sensor({ t: 1, other: 2 });
    const [first] = await told('fmt', 1);
    assert.deepEqual(first.body.data, [{ id, type: 'Sensor', t: 1 }]);
    assert.equal(first.body.subscriptionId, path.slice(15));
    assert.match(first.headers.link, /ngsi-ld-core-context/);
    assert.equal((await ld.patch(`/entities/${id}/attrs`, { other: { type: 'Property', value: 3 } })).status, 204);
    assert.equal((await ld.patch(`/entities/${id}/attrs`, { t: { type: 'Property', value: 4 } })).status, 204);
    assert.equal((await told('fmt', 2))[1].body.data[0].t, 4);
    const read = await eventually(async () => {
        const { json } = await ld.get(path);
        return json.notification.timesSent === 2 && json;
    });
    assert.equal(read.notification.status, 'ok');
    assert.ok(read.notification.lastSuccess);
    await ld.delete(path);
});

test('json-ld, receiverInfo and tenants reach the receiver', async () => {
    const headers = { 'NGSILD-Tenant': 'bridge' };
    await subscribe('t1', {}, {
        endpoint: { uri: `${receiver.url}/t1`, accept: 'application/ld+json', receiverInfo: [{ key: 'X-Token', value: 'abc' }] },
    }, { headers });
    await sensor(); // in another tenant
    const res = await ld.post('/entities', { id: 'urn:ngsi-ld:Sensor:b', type: 'Sensor', t: { type: 'Property', value: 9 } }, { headers });
    assert.equal(res.status, 201);
    const [first] = await told('t1', 1);
    assert.equal(first.headers['ngsild-tenant'], 'bridge');
    assert.equal(first.headers['x-token'], 'abc');
    assert.match(first.headers['content-type'], /^application\/ld\+json/);
    assert.ok(first.body['@context']);
    assert.equal(first.body.data[0].id, 'urn:ngsi-ld:Sensor:b');
    assertError(await ld.get('/subscriptions/urn:ngsi-ld:Subscription:t1'), 404, 'ResourceNotFound');
    assert.equal((await ld.get('/subscriptions/urn:ngsi-ld:Subscription:t1', headers)).status, 200);
});

test('pausing and going on', async () => {
    const path = await subscribe('pause');
    assert.equal((await ld.patch(path, { isActive: false })).status, 204);
    assert.equal((await ld.get(path)).json.status, 'paused');
    await sensor({ t: 'unheard' });
    assert.equal((await ld.patch(path, { isActive: true })).status, 204);
    await sensor({ t: 'heard' });
    assert.equal((await told('pause', 1))[0].body.data[0].t.value, 'heard');
    await ld.delete(path);
});

test('expires by itself', async () => {
    const path = await subscribe('exp', { expiresAt: new Date(Date.now() + 700).toISOString() });
    await eventually(async () => (await ld.get(path)).json.status === 'expired');
    await sensor();
    await sleep(200);
    assert.equal(receiver.got('exp').length, 0);
    await ld.delete(path);
});

test('throttling tells the latest state once', async () => {
    const path = await subscribe('thr', { throttling: 1 });
    const id = await sensor({ t: 0 });
    await told('thr', 1);
    for (let i = 1; i <= 5; i++) await ld.patch(`/entities/${id}/attrs`, { t: { type: 'Property', value: i } });
    const all = await told('thr', 2);
    assert.equal(all[1].body.data.length, 1);
    assert.equal(all[1].body.data[0].t.value, 5);
    await ld.delete(path);
});

test('timeInterval tells all that match again and again', async () => {
    const id = await sensor({ t: 1 }, 'Slow');
    const path = await subscribe('per', { entities: [{ type: 'Slow' }], timeInterval: 1 });
    const all = await told('per', 2);
    assert.deepEqual(all[0].body.data.map((e) => e.id), [id]);
    assert.notEqual(all[0].body.id, all[1].body.id);
    await ld.delete(path);
});

test('the console sees endpoints that refuse', async () => {
    receiver.answer = (req) => (req.url === '/bad' ? 410 : 204);
    const path = await subscribe('bad', { subscriptionName: 'to a wall' });
    await sensor();
    const row = await eventually(async () => {
        const { json } = await ld.city.get('/link/v1/deliveries');
        return json.find((d) => d.id === path.slice(15) && d.failed > 0);
    });
    assert.equal(row.state, 'retrying');
    assert.equal(row.name, 'to a wall');
    assert.match(row.lastError, /410/);
    assert.ok(row.nextAttempt);
    assert.equal((await ld.get(path)).json.notification.status, 'failed');
    receiver.answer = () => 204;
    await told('bad', 1);
    await ld.delete(path);
});

await run(async () => {
    await ld.city.stop();
    await receiver.down();
});
