#!/usr/bin/env node
// Subscriptions to context source registrations: clauses 5.11, 5.2.12, 5.3.2.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventually, sleep } from '../lib/city.mjs';
import { assertError, startLd } from '../lib/ngsi.mjs';
import { startReceiver } from '../lib/receiver.mjs';
import { run, test } from '../lib/tap.mjs';

const data = mkdtempSync(path.join(tmpdir(), 'marugoto-test-'));
const args = ['--client.allow_private=true', '--link.notify_retry_max_s=1'];
let ld = await startLd({ args, data });
const receiver = await startReceiver();

let n = 0;
const register = async (more = {}) => {
    const body = { id: `urn:ngsi-ld:ContextSourceRegistration:${++n}`, type: 'ContextSourceRegistration', information: [{ entities: [{ type: 'Building' }] }], endpoint: 'http://source.example', ...more };
    const res = await ld.post('/csourceRegistrations', body);
    assert.equal(res.status, 201, res.text);
    return body;
};
const forget = async (...list) => { for (const r of list) assert.equal((await ld.delete(`/csourceRegistrations/${r.id}`)).status, 204); };
const base = (name, more = {}, notification = {}) => ({
    id: `urn:ngsi-ld:Subscription:${name}`, type: 'Subscription', entities: [{ type: 'Building' }], ...more,
    notification: { endpoint: { uri: `${receiver.url}/${name}`, ...notification.endpoint }, ...notification.params },
});
const subscribe = async (name, more, notification) => {
    const res = await ld.post('/csourceSubscriptions', base(name, more, notification));
    assert.equal(res.status, 201, res.text);
    return `/csourceSubscriptions/urn:ngsi-ld:Subscription:${name}`;
};
const told = async (name, count) => {
    await eventually(() => receiver.got(name).length >= count);
    return receiver.got(name).map((m) => m.body);
};
const short = (list) => list.map((b) => [b.triggerReason, ...b.data.map((r) => r.id)]);

test('made, read, listed, changed, deleted', async () => {
    const body = base('crud', { description: 'd', csf: 'own=="x"', temporalQ: { timerel: 'after', timeAt: '2020-01-01T00:00:00Z' }, scopeQ: '/a/#' });
    const made = await ld.post('/csourceSubscriptions', body);
    assert.equal(made.status, 201, made.text);
    const at = '/csourceSubscriptions/urn:ngsi-ld:Subscription:crud';
    assert.equal(made.headers.get('location'), `/ngsi-ld/v1${at}`);
    const { status, ...read } = (await ld.get(at)).json;
    assert.deepEqual(read, body);
    assert.equal(status, 'active');
    assert.equal((await ld.post('/csourceSubscriptions', body)).status, 409);
    assert.equal((await ld.patch(at, { description: 'e', temporalQ: null, isActive: false })).status, 204);
    const again = (await ld.get(at)).json;
    assert.deepEqual([again.description, again.temporalQ, again.status], ['e', undefined, 'paused']);
    const list = await ld.get('/csourceSubscriptions?limit=1&count=true&options=sysAttrs');
    assert.equal(list.headers.get('ngsild-results-count'), '1');
    assert.ok(list.json[0].createdAt);
    // they are no subscriptions to entities
    assert.deepEqual((await ld.get('/subscriptions')).json, []);
    assertError(await ld.get('/subscriptions/urn:ngsi-ld:Subscription:crud'), 404, 'ResourceNotFound');
    assertError(await ld.delete('/subscriptions/urn:ngsi-ld:Subscription:crud'), 404, 'ResourceNotFound');
    assert.deepEqual((await ld.city.get('/v2/subscriptions')).json, []);
    assert.equal((await ld.delete(at)).status, 204);
    assertError(await ld.get(at), 404, 'ResourceNotFound');
    assertError(await ld.patch(at, { description: 'x' }), 404, 'ResourceNotFound');
    assertError(await ld.delete(at), 404, 'ResourceNotFound');
    assertError(await ld.get('/csourceSubscriptions/nouri'), 400, 'BadRequestData');
});

test('what is refused', async () => {
    for (const bad of [{ type: 'Other' }, { entities: [] }, { entities: undefined }, { notification: undefined }, { temporalQ: {} }, { temporalQ: { timerel: 'around', timeAt: '2020-01-01T00:00:00Z' } },
        { temporalQ: { timerel: 'between', timeAt: '2020-01-01T00:00:00Z' } }, { csf: 'a==' }, { scopeQ: 'a b' }, { geoQ: { georel: 'near' } }, { expiresAt: '2001-01-01T00:00:00Z' }, { id: 'no uri' }])
        assertError(await ld.post('/csourceSubscriptions', { ...base('bad'), ...bad }), 400, 'BadRequestData');
});

test('what is there is told at first, then each change with its reason', async () => {
    const a = await register({ information: [{ entities: [{ type: 'Building' }], propertyNames: ['name'] }, { entities: [{ type: 'Tower' }] }] });
    const other = await register({ information: [{ entities: [{ type: 'Tower' }] }] });
    const at = await subscribe('all');
    const [first] = await told('all', 1);
    assert.equal(first.type, 'ContextSourceNotification');
    assert.equal(first.subscriptionId, 'urn:ngsi-ld:Subscription:all');
    assert.match(first.id, /^urn:ngsi-ld:Notification:/);
    assert.match(first.notifiedAt, /Z$/);
    assert.deepEqual(first.data, [{ ...a, information: [a.information[0]] }]); // only what matches
    const b = await register();
    await ld.patch(`/csourceRegistrations/${b.id}`, { description: 'x' });
    await ld.patch(`/csourceRegistrations/${other.id}`, { information: [{ entities: [{ type: 'Building' }] }] });
    await ld.patch(`/csourceRegistrations/${a.id}`, { information: [{ entities: [{ type: 'Tower' }] }] });
    await ld.patch(`/csourceRegistrations/${a.id}`, { description: 'of no concern' });
    await forget(b);
    const all = await told('all', 6);
    assert.deepEqual(short(all), [['newlyMatching', a.id], ['newlyMatching', b.id], ['updated', b.id], ['newlyMatching', other.id], ['noLongerMatching', a.id], ['noLongerMatching', b.id]]);
    assert.equal(all[2].data[0].description, 'x');
    const { notification } = (await ld.get(at)).json;
    assert.equal(notification.timesSent, 6);
    assert.ok(notification.lastNotification && notification.lastSuccess && !notification.lastFailure);
    await ld.delete(at);
    await forget(a, other);
});

test('who hears what: entities, attributes, csf, scopes, places, times', async () => {
    const box = [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]];
    const subs = [
        await subscribe('id', { entities: [{ type: 'Building', id: 'urn:b:1' }] }),
        await subscribe('attrs', { watchedAttributes: ['level'] }, { params: { attributes: ['name'] } }),
        await subscribe('csf', { csf: 'own=="x"' }),
        await subscribe('scope', { scopeQ: '/a/#' }),
        await subscribe('place', { geoQ: { georel: 'within', geometry: 'Polygon', coordinates: box } }),
        await subscribe('time', { temporalQ: { timerel: 'after', timeAt: '2020-01-01T00:00:00Z' } }),
        await subscribe('plain'),
    ];
    const made = [
        await register({ information: [{ entities: [{ type: 'Building', id: 'urn:b:1' }], propertyNames: ['level'] }] }),
        await register({ information: [{ entities: [{ type: 'Building', id: 'urn:b:2' }], propertyNames: ['other'] }], own: 'x' }),
        await register({ information: [{ entities: [{ type: 'Building', idPattern: 'b:1$' }] }], scope: '/a/b', location: { type: 'Point', coordinates: [5, 5] } }),
        await register({ observationInterval: { startAt: '2021-01-01T00:00:00Z' } }),
    ].map((r) => r.id);
    // the first message tells of all that are there when it is made, which may be some of these
    const of = (name) => receiver.got(name).flatMap((m) => m.body.data.map((r) => made.indexOf(r.id)));
    await eventually(() => of('plain').length >= 3 && of('time').length >= 1);
    const heard = Object.fromEntries(['id', 'attrs', 'csf', 'scope', 'place', 'time', 'plain'].map((name) => [name, of(name)]));
    assert.deepEqual(heard, { id: [0, 2], attrs: [0, 2], csf: [1], scope: [2], place: [2], time: [3], plain: [0, 1, 2] });
    for (const at of subs) await ld.delete(at);
    await forget(...made.map((id) => ({ id })));
});

test('in the terms of the subscriber, with headers', async () => {
    const context = { Haus: 'https://example.org/Building' };
    const res = await ld.post('/csourceSubscriptions', { '@context': context, ...base('ld', { entities: [{ type: 'Haus' }] }, { endpoint: { accept: 'application/ld+json', receiverInfo: [{ key: 'X-Auth', value: 'k' }] } }) }, { type: 'application/ld+json' });
    assert.equal(res.status, 201, res.text);
    const r = await register({ information: [{ entities: [{ type: 'https://example.org/Building' }] }] });
    const [body] = await told('ld', 1);
    assert.equal(body.data[0].information[0].entities[0].type, 'Haus');
    assert.ok(body['@context']);
    assert.equal(receiver.got('ld')[0].headers['x-auth'], 'k');
    await ld.delete('/csourceSubscriptions/urn:ngsi-ld:Subscription:ld');
    await forget(r);
});

test('periodically, whatever happens', async () => {
    const r = await register();
    const at = await subscribe('timed', { timeInterval: 1 });
    const all = await told('timed', 3);
    assert.deepEqual(short(all.slice(0, 3)), Array(3).fill(['newlyMatching', r.id]));
    await ld.delete(at);
    await forget(r);
});

test('nothing is lost while the receiver or we are down', async () => {
    const at = await subscribe('down');
    const [port] = [receiver.port];
    await receiver.down();
    const made = [];
    for (let i = 0; i < 5; i++) made.push(await register());
    await eventually(async () => (await ld.get(at)).json.notification.timesFailed > 0);
    assert.equal((await ld.get(at)).json.notification.status, 'failed');
    const { waiting } = (await ld.city.get('/link/v1/deliveries/urn:ngsi-ld:Subscription:down/waiting')).json;
    assert.deepEqual(waiting.map((w) => [w.entity, w.type, w.change]), made.map((r) => [r.id, 'ContextSourceRegistration', 'created']));
    await ld.city.kill();
    ld = await startLd({ args, data, store: ld.city.store });
    await register();
    assert.equal(port, receiver.port);
    await receiver.up();
    const all = await told('down', 6);
    assert.deepEqual([...new Set(all.map((b) => b.data[0].id))].slice(0, 5), made.map((r) => r.id));
    assert.equal((await ld.patch(at, { isActive: false })).status, 204);
    const before = receiver.got('down').length;
    await register();
    await sleep(200);
    assert.equal(receiver.got('down').length, before);
    await ld.delete(at);
});

await run(async () => {
    await ld.city.stop();
    rmSync(data, { recursive: true, force: true });
    await receiver.down();
});
