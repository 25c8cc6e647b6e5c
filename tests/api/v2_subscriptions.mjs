#!/usr/bin/env node
// /v2/subscriptions: documents, conditions, what is told and how.
import assert from 'node:assert/strict';
import { eventually, sleep } from '../lib/city.mjs';
import { startReceiver } from '../lib/receiver.mjs';
import { haveBroker, startBroker } from '../lib/broker.mjs';
import { run, skip, test } from '../lib/tap.mjs';
import { assertError, startV2 } from '../lib/v2.mjs';

const v2 = await startV2({ args: ['--allow-private', '--link.notify_retry_max_s=1'] });
const receiver = await startReceiver();
let n = 0;

const subject = (extra = {}) => ({ entities: [{ idPattern: '.*', type: 'Room' }], ...extra });

// Makes a subscription to a path of its own; gives its id, the path, and what came.
async function subscribe({ entities, condition, notification = {}, headers, ...rest } = {}) {
    const name = `n${++n}`;
    const where = notification.http || notification.httpCustom ? {} : { http: { url: `${receiver.url}/${name}` } };
    const res = await v2.post('/subscriptions', {
        subject: { entities: entities ?? [{ idPattern: '.*', type: 'Room' }], ...(condition && { condition }) },
        notification: { ...where, ...notification }, ...rest,
    }, { headers });
    assert.equal(res.status, 201, res.text);
    const id = /^\/v2\/subscriptions\/([0-9a-f]{24})$/.exec(res.headers.get('location'))[1];
    return { id, name, got: () => receiver.got(name), end: () => v2.delete(`/subscriptions/${id}`, headers) };
}

async function change(id, attrs, query = '', headers = {}) {
    const res = await v2.post(`/entities/${id}/attrs${query}`, attrs, { headers });
    assert.equal(res.status, 204, res.text);
}

// A marker that everybody with that receiver hears after all that came before.
async function quiet(sub, count) {
    const mark = await subscribe({ entities: [{ id: 'Marker' }] });
    await v2.post('/entities?options=upsert', { id: 'Marker', type: 'Marker', n: { value: Math.random() } });
    await eventually(() => mark.got().length === 1);
    await mark.end();
    await sleep(100);
    assert.equal(sub.got().length, count, JSON.stringify(sub.got().map((g) => g.body ?? g.text)));
}

test('a subscription comes back as Orion shows it', async () => {
    const body = {
        description: 'rooms', expires: '2040-01-01T14:00:00.000Z', throttling: 5,
        subject: { entities: [{ id: 'Room1', type: 'Room' }, { idPattern: '^X', typePattern: 'R.*' }],
            condition: { attrs: ['temperature'], expression: { q: 'temperature>40', mq: 'temperature.accuracy<1',
                georel: 'near;maxDistance:15000', geometry: 'point', coords: '37.4,-6.0' },
                alterationTypes: ['entityCreate'], notifyOnMetadataChange: false } },
        notification: { http: { url: 'http://127.0.0.1:1/x', timeout: 3000 }, attrs: ['temperature'], metadata: ['a', '*'],
            attrsFormat: 'keyValues', onlyChangedAttrs: true, covered: true, maxFailsLimit: 7 },
    };
    const made = await v2.post('/subscriptions', body);
    assert.equal(made.status, 201);
    const path = made.headers.get('location').slice(3);
    const res = await v2.get(path);
    assert.equal(res.status, 200);
    const { id, ...shown } = res.json;
    assert.match(id, /^[0-9a-f]{24}$/);
    assert.deepEqual(shown, { ...body, status: 'active' });
    const bare = await subscribe({ entities: [{ id: 'Nobody' }] });
    const { id: other, ...plain } = (await v2.get(`/subscriptions/${bare.id}`)).json;
    assert.deepEqual(plain, { status: 'active',
        subject: { entities: [{ id: 'Nobody' }], condition: { attrs: [], notifyOnMetadataChange: true } },
        notification: { attrs: [], onlyChangedAttrs: false, attrsFormat: 'normalized', http: { url: `${receiver.url}/${bare.name}` }, covered: false } });
    assert.equal((await v2.delete(path)).status, 204);
    assertError(await v2.get(path), 404, 'NotFound', /subscription has not been found/);
    assertError(await v2.delete(path), 404, 'NotFound');
    assertError(await v2.patch(path, { description: 'x' }), 404, 'NotFound');
    assertError(await v2.get('/subscriptions/nonsense'), 404, 'NotFound');
    await bare.end();
});

test('lists: pages, count, service, exactly that service path; NGSI-LD lists its own', async () => {
    const subs = [];
    for (let i = 0; i < 3; i++) subs.push(await subscribe({ headers: { 'Fiware-Service': 'lists', 'Fiware-ServicePath': i ? '/a/#' : '/a' } }));
    const service = { 'Fiware-Service': 'lists' };
    const all = await v2.get('/subscriptions?options=count', service);
    assert.deepEqual(all.json.map((s) => s.id), subs.map((s) => s.id));
    assert.equal(all.headers.get('fiware-total-count'), '3');
    const page = await v2.get('/subscriptions?limit=1&offset=1', service);
    assert.deepEqual(page.json.map((s) => s.id), [subs[1].id]);
    const there = await v2.get('/subscriptions?options=count', { ...service, 'Fiware-ServicePath': '/a' });
    assert.deepEqual(there.json.map((s) => s.id), [subs[0].id]);
    assert.equal(there.headers.get('fiware-total-count'), '1');
    assert.deepEqual((await v2.get('/subscriptions')).json, []);
    assert.deepEqual((await v2.get('/subscriptions', { 'Fiware-Service': 'nobody' })).json, []);
    assert.deepEqual((await v2.ld('GET', '/subscriptions', { headers: { 'NGSILD-Tenant': 'lists' } })).json, []);
    assertError(await v2.get(`/subscriptions/${subs[0].id}`), 404, 'NotFound');
    for (const s of subs) assert.equal((await v2.delete(`/subscriptions/${s.id}`, service)).status, 204);
});

test('what is refused', async () => {
    const http = { url: 'http://127.0.0.1:1/x' };
    const good = { subject: subject(), notification: { http } };
    const cases = [
        [{ notification: { http } }, /subject/], [{ subject: subject() }, /notification/],
        [{ ...good, subject: {} }, /entities/], [{ ...good, subject: { entities: [] } }, /empty/],
        [{ ...good, subject: { entities: [{ type: 'T' }] } }, /id nor idPattern/],
        [{ ...good, subject: { entities: [{ id: 'a', idPattern: 'b' }] } }, /id and idPattern/],
        [{ ...good, subject: { entities: [{ id: 'a', type: 'T', typePattern: 'b' }] } }, /typePattern/],
        [{ ...good, subject: { entities: [{ idPattern: '*' }] } }, /regular expression/],
        [{ ...good, subject: { entities: [{ idPattern: '' }] } }, /idPattern/],
        [{ ...good, subject: { entities: [{ id: 'a b' }] } }, /Invalid characters/],
        [{ ...good, subject: subject({ condition: {} }) }, /condition/],
        [{ ...good, subject: subject({ condition: { attrs: 'x' } }) }, /array/],
        [{ ...good, subject: subject({ condition: { expression: {} } }) }, /expression/],
        [{ ...good, subject: subject({ condition: { expression: { q: '' } } }) }, /q must/],
        [{ ...good, subject: subject({ condition: { expression: { q: 'a=' } } }) }, /expression/],
        [{ ...good, subject: subject({ condition: { expression: { georel: 'near;maxDistance:1' } } }) }, /go together/],
        [{ ...good, subject: subject({ condition: { alterationTypes: ['entityFoo'] } }) }, /alterationType/],
        [{ ...good, subject: subject({ condition: { notifyOnMetadataChange: 1 } }) }, /true or false/],
        [{ ...good, notification: {} }, /endpoint/],
        [{ ...good, notification: { http, httpCustom: http } }, /only one of/],
        [{ ...good, notification: { http: {} } }, /url/], [{ ...good, notification: { http: { url: 'foo' } } }, /Invalid URL/],
        [{ ...good, notification: { http: { ...http, timeout: 1800001 } } }, /timeout/],
        [{ ...good, notification: { http, attrs: ['a'], exceptAttrs: ['b'] } }, /exceptAttrs/],
        [{ ...good, notification: { http, exceptAttrs: [] } }, /empty exceptAttrs/],
        [{ ...good, notification: { http, attrsFormat: 'foo' } }, /invalid attrsFormat/],
        [{ ...good, notification: { http, covered: true } }, /covered true/],
        [{ ...good, notification: { http, covered: true, attrs: [] } }, /covered true/],
        [{ ...good, notification: { http, maxFailsLimit: 0 } }, /maxFailsLimit/],
        [{ ...good, notification: { httpCustom: { ...http, method: 'FOO' } } }, /method/],
        [{ ...good, notification: { httpCustom: { ...http, headers: {} } } }, /headers/],
        [{ ...good, notification: { httpCustom: { ...http, qs: {} } } }, /qs/],
        [{ ...good, notification: { httpCustom: { ...http, payload: 'a "b"' } } }, /Invalid characters/],
        [{ ...good, notification: { httpCustom: { ...http, payload: 'a', json: {} } } }, /only one of payload/],
        [{ ...good, notification: { httpCustom: { ...http, json: 'a' } } }, /json/],
        [{ ...good, notification: { httpCustom: { ...http, ngsi: { a: { value: 1, metadata: {} } } } } }, /ngsi/],
        [{ ...good, throttling: 'x' }, /throttling/], [{ ...good, expires: 'x' }, /expires/],
        [{ ...good, status: 'foo' }, /status/], [{ ...good, status: 'failed' }, /status/],
        [{ ...good, description: 'x'.repeat(1025) }, /description/], [{ ...good, description: '<x>' }, /Invalid characters/],
        [[], /object/], [{}, /empty payload/],
    ];
    for (const [body, why] of cases) assertError(await v2.post('/subscriptions', body), 400, 'BadRequest', why);
    assertError(await v2.post('/subscriptions', '{"a":', {}), 400, 'ParseError');
    assertError(await v2.post('/subscriptions', 'x', { type: 'text/plain' }), 415, 'UnsupportedMediaType');
    assertError(await v2.post('/subscriptions?options=foo', good), 400, 'BadRequest');
    assertError(await v2.post('/subscriptions', good, { headers: { Accept: 'text/html' } }), 406, 'NotAcceptable');
    assertError(await v2.post('/subscriptions', good, { headers: { 'Fiware-ServicePath': '/a,/b' } }), 400, 'BadRequest');
    const { id } = await subscribe();
    assertError(await v2.patch(`/subscriptions/${id}`, { status: 'x' }), 400, 'BadRequest');
    assertError(await v2.patch(`/subscriptions/${id}`, { subject: {} }), 400, 'BadRequest');
    assertError(await v2.patch(`/subscriptions/${id}`, {}), 400, 'BadRequest');
    await v2.delete(`/subscriptions/${id}`);
});

test('a notification: body and headers; there is no first one', async () => {
    await v2.create({ id: 'R1', type: 'Room', temperature: { value: 20, metadata: { accuracy: { value: 0.9 } } } });
    const sub = await subscribe();
    await quiet(sub, 0);
    await change('R1', { temperature: { value: 21 } }, '', { 'Fiware-Correlator': 'abc-1' });
    const [got] = await eventually(() => sub.got().length && sub.got());
    assert.equal(got.method, 'POST');
    assert.deepEqual(got.body, { subscriptionId: sub.id, data: [{ id: 'R1', type: 'Room',
        temperature: { type: 'Number', value: 21, metadata: { accuracy: { type: 'Number', value: 0.9 } } } }] });
    assert.equal(got.headers['ngsiv2-attrsformat'], 'normalized');
    assert.equal(got.headers['fiware-servicepath'], '/');
    assert.equal(got.headers['fiware-correlator'], 'abc-1; cbnotif=1');
    assert.equal(got.headers['fiware-service'], undefined);
    assert.match(got.headers['content-type'], /^application\/json/);
    const shown = await eventually(async () => {
        const { notification } = (await v2.get(`/subscriptions/${sub.id}`)).json;
        return notification.lastSuccess && notification;
    });
    assert.equal(shown.timesSent, 1);
    assert.equal(shown.lastSuccessCode, 204);
    assert.ok(shown.lastNotification);
    assert.equal(shown.lastFailure, undefined);
    await sub.end();
});

test('service and service path', async () => {
    const headers = (path) => ({ 'Fiware-Service': 'parks', 'Fiware-ServicePath': path });
    const below = await subscribe({ headers: headers('/m/#') });
    const exact = await subscribe({ headers: headers('/m') });
    const everywhere = await subscribe({ headers: { 'Fiware-Service': 'parks' } });
    for (const [i, path] of ['/m', '/m/x', '/o'].entries())
        await v2.create({ id: `S${i}`, type: 'Room', a: { value: 1 } }, { headers: headers(path) });
    await v2.create({ id: 'S9', type: 'Room', a: { value: 1 } });
    await eventually(() => everywhere.got().length === 3);
    await eventually(() => below.got().length === 2 && exact.got().length === 1);
    assert.deepEqual(everywhere.got().map((g) => [g.body.data[0].id, g.headers['fiware-servicepath'], g.headers['fiware-service']]),
        [['S0', '/m', 'parks'], ['S1', '/m/x', 'parks'], ['S2', '/o', 'parks']]);
    for (const s of [below, exact, everywhere]) await v2.delete(`/subscriptions/${s.id}`, { 'Fiware-Service': 'parks' });
});

test('formats', async () => {
    const formats = ['normalized', 'keyValues', 'values', 'simplifiedNormalized', 'simplifiedKeyValues', 'legacy'];
    const subs = await Promise.all(formats.map((attrsFormat) => subscribe({ entities: [{ id: 'F1' }], notification: { attrsFormat, attrs: ['b', 'a'] } })));
    await v2.create({ id: 'F1', type: 'Room', a: { value: 1 }, b: { value: 'x' }, c: { value: null } });
    const first = await Promise.all(subs.map((s) => eventually(() => s.got()[0])));
    const full = { id: 'F1', type: 'Room', b: { type: 'Text', value: 'x', metadata: {} }, a: { type: 'Number', value: 1, metadata: {} } };
    const simple = { id: 'F1', type: 'Room', b: 'x', a: 1 };
    const wrap = (i, e) => ({ subscriptionId: subs[i].id, data: [e] });
    assert.deepEqual(first.map((g) => g.body), [wrap(0, full), wrap(1, simple), wrap(2, ['x', 1]), full, simple,
        { subscriptionId: subs[5].id, originator: 'localhost', contextResponses: [{ contextElement: { type: 'Room', isPattern: 'false', id: 'F1',
            attributes: [{ name: 'b', type: 'Text', value: 'x' }, { name: 'a', type: 'Number', value: '1' }] }, statusCode: { code: '200', reasonPhrase: 'OK' } }] }]);
    assert.deepEqual(first.map((g) => g.headers['ngsiv2-attrsformat']), formats);
    for (const s of subs) await s.end();
});

test('legacy: values of every sort, metadata, no attributes, custom notifications', async () => {
    const s = await subscribe({ entities: [{ idPattern: '^L' }], notification: { attrsFormat: 'legacy' } });
    const custom = await subscribe({ entities: [{ idPattern: '^L' }], notification: { attrsFormat: 'legacy', httpCustom: { url: `${receiver.url}/legacycustom` } } });
    await v2.create({ id: 'L1', type: 'Room', on: { value: true }, off: { value: null }, place: { type: 'geo:point', value: '41.3, 2.1' }, deep: { value: { a: [1, null] } },
        t: { value: 21.5, type: 'Float', metadata: { exact: { value: true, type: 'Boolean' }, from: { value: { n: 1 }, type: 'Sensor' } } } });
    await v2.create({ id: 'L2', type: 'Empty' });
    await eventually(() => s.got().length === 2);
    const [one, two] = s.got().map((g) => g.body.contextResponses[0].contextElement);
    assert.deepEqual(one.attributes, [{ name: 'on', type: 'Boolean', value: 'true' }, { name: 'off', type: 'None', value: null }, { name: 'place', type: 'geo:point', value: '41.3, 2.1' },
        { name: 'deep', type: 'StructuredValue', value: { a: [1, null] } },
        { name: 't', type: 'Float', value: '21.5', metadatas: [{ name: 'exact', type: 'Boolean', value: 'true' }, { name: 'from', type: 'Sensor', value: { n: 1 } }] }]);
    assert.deepEqual(two, { type: 'Empty', isPattern: 'false', id: 'L2' });
    const told = await eventually(() => receiver.got('legacycustom')[0]);
    assert.deepEqual([told.body.contextResponses[0].contextElement.id, told.headers['ngsiv2-attrsformat']], ['L1', 'legacy']);
    await s.end();
    await custom.end();
});

test('attrs, exceptAttrs, builtins, covered, onlyChangedAttrs, metadata', async () => {
    const entities = [{ id: 'A1' }];
    const make = (notification) => subscribe({ entities, notification: { attrsFormat: 'keyValues', ...notification } });
    const except = await make({ exceptAttrs: ['b'] });
    const builtin = await make({ attrs: ['*', 'alterationType', 'servicePath', 'dateCreated'] });
    const covered = await make({ attrs: ['a', 'zz'], covered: true, attrsFormat: 'normalized' });
    const only = await make({ onlyChangedAttrs: true });
    const onlyOf = await make({ onlyChangedAttrs: true, attrs: ['b', 'alterationType'] });
    const metadata = await make({ attrsFormat: 'normalized', metadata: ['previousValue', 'actionType'], attrs: ['a', 'b', 'c'] });
    await v2.create({ id: 'A1', type: 'Room', a: { value: 1, metadata: { m: { value: 2 } } }, b: { value: 5 } });
    await change('A1', { a: { value: 2 }, c: { value: 7 } });
    const all = [except, builtin, covered, only, onlyOf, metadata];
    await eventually(() => all.every((s) => s.got().length === 2));
    const told = (s, i) => s.got()[i].body.data[0];
    const head = { id: 'A1', type: 'Room' };
    assert.deepEqual(told(except, 1), { ...head, a: 2, c: 7 });
    const { dateCreated, ...rest } = told(builtin, 0);
    assert.ok(Date.parse(dateCreated));
    assert.deepEqual(rest, { ...head, a: 1, b: 5, alterationType: 'entityCreate', servicePath: '/' });
    assert.equal(told(builtin, 1).alterationType, 'entityChange');
    assert.deepEqual(told(covered, 1).zz, { type: 'None', value: null, metadata: {} });
    assert.deepEqual(told(only, 0), { ...head, a: 1, b: 5 });
    assert.deepEqual(told(only, 1), { ...head, a: 2, c: 7 });
    assert.deepEqual(told(onlyOf, 1), { ...head, alterationType: 'entityChange' });
    const number = (value, metadata2) => ({ type: 'Number', value, metadata: metadata2 });
    const action = (value) => ({ type: 'Text', value });
    assert.deepEqual(told(metadata, 0), { ...head, a: number(1, { actionType: action('append') }), b: number(5, { actionType: action('append') }) });
    assert.deepEqual(told(metadata, 1), { ...head,
        a: number(2, { previousValue: { type: 'Number', value: 1 }, actionType: action('update') }),
        b: number(5, {}), c: number(7, { actionType: action('append') }) });
    for (const s of all) await s.end();
});

test('conditions: attrs, expression, patterns', async () => {
    const byAttr = await subscribe({ condition: { attrs: ['p'] } });
    const byQ = await subscribe({ condition: { expression: { q: 'p>10', mq: 'p.m==1' } } });
    const byGeo = await subscribe({ condition: { expression: { georel: 'near;maxDistance:1000', geometry: 'point', coords: '40,-3' } } });
    const byPattern = await subscribe({ entities: [{ idPattern: '^C[12]$', typePattern: '^Ro' }] });
    const typed = await subscribe({ entities: [{ id: 'C1', type: 'Other' }] });
    await v2.create({ id: 'C1', type: 'Room', p: { value: 11, metadata: { m: { value: 1 } } } });
    await change('C1', { other: { value: 1 } });
    await change('C1', { p: { value: 5 } });
    await v2.create({ id: 'C3', type: 'Room', location: { type: 'geo:point', value: '40.001, -3' } });
    await v2.create({ id: 'C2', type: 'Roof', p: { value: 1 } });
    await v2.create({ id: 'C1', type: 'Other', p: { value: 1 } });
    await eventually(() => typed.got().length === 1 && byPattern.got().length === 4);
    await quiet(byAttr, 2);
    assert.equal(byQ.got().length, 2);
    assert.deepEqual(byGeo.got().map((g) => g.body.data[0].id), ['C3']);
    for (const s of [byAttr, byQ, byGeo, byPattern, typed]) await s.end();
});

test('alteration types, updates that change nothing, forcedUpdate, metadata changes', async () => {
    const of = (types, more) => subscribe({ entities: [{ id: 'T1' }], condition: { ...(types && { alterationTypes: types }), ...more },
        notification: { attrs: ['alterationType'], attrsFormat: 'keyValues' } });
    const standard = await of(null, { attrs: [] });
    const update = await of(['entityUpdate']);
    const create = await of(['entityCreate']);
    const del = await of(['entityDelete'], { attrs: ['zz'] });
    const noMeta = await of(null, { notifyOnMetadataChange: false });
    await v2.create({ id: 'T1', type: 'Room', a: { value: 1 } });
    await change('T1', { a: { value: 1 } });
    await change('T1', { a: { value: 1 } }, '?options=forcedUpdate');
    await change('T1', { a: { value: 1, metadata: { m: { value: 1 } } } });
    await change('T1', { a: { value: 2 } });
    const forced = await v2.post('/op/update?options=forcedUpdate', { actionType: 'append', entities: [{ id: 'T1', type: 'Room', a: { value: 2 } }] });
    assert.equal(forced.status, 204);
    assert.equal((await v2.delete('/entities/T1')).status, 204);
    await eventually(() => del.got().length === 1);
    await quiet(del, 1);
    const kinds = (s) => s.got().map((g) => g.body.data[0].alterationType);
    assert.deepEqual(kinds(standard), ['entityCreate', 'entityChange', 'entityChange', 'entityChange', 'entityChange']);
    assert.deepEqual(kinds(update), ['entityUpdate', 'entityChange', 'entityChange', 'entityChange', 'entityChange']);
    assert.deepEqual(kinds(create), ['entityCreate']);
    assert.deepEqual(kinds(del), ['entityDelete']);
    assert.deepEqual(kinds(noMeta), ['entityCreate', 'entityChange', 'entityChange', 'entityChange']);
    for (const s of [standard, update, create, del, noMeta]) await s.end();
});

test('changes by NGSI-LD are told too', async () => {
    const sub = await subscribe({ entities: [{ id: 'urn:ngsi-ld:Room:ld' }] });
    const res = await v2.ld('POST', '/entities', { body: { id: 'urn:ngsi-ld:Room:ld', type: 'Room', a: { type: 'Property', value: 1 } } });
    assert.equal(res.status, 201);
    const [got] = await eventually(() => sub.got().length && sub.got());
    assert.deepEqual(got.body.data, [{ id: 'urn:ngsi-ld:Room:ld', type: 'Room', a: { type: 'Number', value: 1, metadata: {} } }]);
    await sub.end();
});

test('custom notifications: url, qs, headers, method, text', async () => {
    const url = `${receiver.url}/custom/\${id}`;
    const sub = await subscribe({ entities: [{ id: 'K1' }], headers: { 'Fiware-Service': 'kiosk' }, notification: { httpCustom: {
        url, method: 'PUT', qs: { type: '${type}', v: '${a}&${none}', '${a}': 'k' },
        headers: { 'X-A': '${text}%3D', 'X-${type}': 'y', 'Fiware-Correlator': 'mine', 'Fiware-Servicepath': '', 'Content-Type': 'text/x' },
        payload: 'v %22${a}%22 ${none}| ${obj} ${nul} ${flag} ${service} ${servicePath} ${broken' } } });
    await v2.create({ id: 'K1', type: 'Kiosk', a: { value: 23.40 }, text: { value: 'säft' }, obj: { value: { x: [1, 'y'] } }, nul: { value: null }, flag: { value: true } },
        { headers: { 'Fiware-Service': 'kiosk', 'Fiware-ServicePath': '/k', 'Fiware-Correlator': 'c; cbnotif=2' } });
    const got = await eventually(() => receiver.all.find((g) => g.name.startsWith('custom/K1')));
    assert.equal(got.method, 'PUT');
    assert.equal(got.name, 'custom/K1?type=Kiosk&v=23.4%26&23.4=k');
    assert.equal(got.text, 'v "23.4" | {"x":[1,"y"]} null true kiosk /k ${broken');
    assert.equal(got.headers['content-type'], 'text/x');
    assert.equal(Buffer.from(got.headers['x-a'], 'latin1').toString(), 'säft=');
    assert.equal(got.headers['x-kiosk'], 'y');
    assert.equal(got.headers['fiware-correlator'], 'c; cbnotif=3');
    assert.equal(got.headers['fiware-servicepath'], undefined);
    assert.equal(got.headers['ngsiv2-attrsformat'], 'custom');
    assert.equal((await v2.delete(`/subscriptions/${sub.id}`, { 'Fiware-Service': 'kiosk' })).status, 204);
});

test('custom notifications: no payload, json, ngsi, default body', async () => {
    const make = (name, custom, more) => subscribe({ entities: [{ id: 'J1' }], notification: { ...more, httpCustom: { url: `${receiver.url}/${name}`, ...custom } } });
    const subs = [
        await make('cnull', { payload: null }),
        await make('cjson', { json: { t: '${a}', s: 'T ${a} ${none}', list: ['${none}', '${obj}', 4], '${a}': true } }),
        await make('cngsi', { ngsi: { id: 'prefix:${id}', type: 'newType', a: { value: '${a}${a}' }, added: { value: '${obj}', type: 'Calculated' } } }, { attrs: ['a', 'added'] }),
        await make('cbody', { payload: '' }, { attrsFormat: 'keyValues' }),
    ];
    await v2.create({ id: 'J1', type: 'Room', a: { value: 7, metadata: { m: { value: 1 } } }, obj: { value: { k: 1 } } });
    const one = (name) => eventually(() => receiver.got(name)[0]);
    const none = await one('cnull');
    assert.equal(none.text, '');
    assert.equal(none.headers['ngsiv2-attrsformat'], 'custom');
    const json = await one('cjson');
    assert.deepEqual(json.body, { t: 7, s: 'T 7 null', list: [null, { k: 1 }, 4], '${a}': true });
    assert.equal(json.headers['content-type'], 'application/json');
    const ngsi = await one('cngsi');
    assert.deepEqual(ngsi.body, { subscriptionId: subs[2].id, data: [{ id: 'prefix:J1', type: 'newType',
        a: { type: 'Text', value: '77', metadata: {} }, added: { type: 'Calculated', value: { k: 1 }, metadata: {} } }] });
    assert.equal(ngsi.headers['ngsiv2-attrsformat'], 'normalized');
    const body = await one('cbody');
    assert.deepEqual(body.body, { subscriptionId: subs[3].id, data: [{ id: 'J1', type: 'Room', a: 7, obj: { k: 1 } }] });
    assert.equal(body.headers['ngsiv2-attrsformat'], 'keyValues');
    for (const s of subs) await s.end();
});

test('mqtt and mqttCustom: topic, QoS, retain, user; the password is not shown', async () => {
    if (!haveBroker) skip('mosquitto is not installed');
    const broker = await startBroker({ user: 'us er', password: 'p@ss:w' });
    const heard = await broker.listen('#');
    const to = { url: `mqtt://127.0.0.1:${broker.port}`, user: 'us er', passwd: 'p@ss:w' };
    const make = async (notification) => {
        const res = await v2.post('/subscriptions', { subject: { entities: [{ id: 'Q1' }] }, notification });
        assert.equal(res.status, 201, res.text);
        return res.headers.get('location').slice(3);
    };
    const plain = await make({ mqtt: { ...to, topic: 'city/plain', qos: 1 }, attrsFormat: 'keyValues' });
    const custom = await make({ mqttCustom: { ...to, topic: 'city/${type}/${id}', qos: 2, json: { v: '${a}' } } });
    const text = await make({ mqttCustom: { ...to, topic: 'city/text', payload: '%22${a}%22' } });
    await v2.create({ id: 'Q1', type: 'Quay', a: { value: 7 } });
    await eventually(() => heard.all.length === 3);
    const by = (topic) => heard.all.find((m) => m.topic === topic);
    assert.deepEqual(by('city/plain').json, { subscriptionId: plain.split('/').pop(), data: [{ id: 'Q1', type: 'Quay', a: 7 }] });
    assert.equal(by('city/plain').qos, 1);
    assert.deepEqual(by('city/Quay/Q1').json, { v: 7 });
    assert.equal(by('city/Quay/Q1').qos, 2);
    assert.equal(by('city/text').text, '"7"');
    const shown = await eventually(async () => {
        const { notification } = (await v2.get(plain)).json;
        return notification.lastSuccess && notification;
    });
    assert.deepEqual(shown.mqtt, { ...to, passwd: '*****', topic: 'city/plain', qos: 1 });
    assert.equal(shown.lastSuccessCode, undefined);
    assert.ok(!(await v2.city.get('/link/v1/deliveries')).text.includes('p@ss'));
    for (const path of [plain, custom, text]) assert.equal((await v2.delete(path)).status, 204);
    await broker.stop();
});

test('what is refused of mqtt', async () => {
    const to = { url: 'mqtt://127.0.0.1:1', topic: 't' };
    const cases = [[{ ...to, url: 'http://127.0.0.1' }, /mqtt:/], [{ ...to, url: 'mqtt://127.0.0.1/path' }, /host and port/],
        [{ url: to.url }, /topic/], [{ ...to, topic: '' }, /topic/], [{ ...to, topic: 'a/#' }, /topic/], [{ ...to, qos: 3 }, /qos/],
        [{ ...to, retain: 1 }, /retain/], [{ ...to, user: 'x' }, /passwd/]];
    for (const [mqtt, why] of cases)
        assertError(await v2.post('/subscriptions', { subject: subject(), notification: { mqtt } }), 400, 'BadRequest', why);
    assertError(await v2.post('/subscriptions', { subject: subject(), notification: { mqttCustom: { ...to, payload: 'a', json: {} } } }), 400, 'BadRequest', /only one of payload/);
});

test('a template that makes no URL is not sent, counts as a failure and holds nobody up', async () => {
    const sub = await subscribe({ entities: [{ id: 'U1' }], notification: { httpCustom: { url: '${target}' } } });
    await v2.create({ id: 'U1', type: 'Room', target: { value: 'nowhere' } });
    await change('U1', { target: { value: `${receiver.url}/u1` } });
    const got = await eventually(() => receiver.got('u1')[0]);
    assert.equal(got.body.data[0].target.value, `${receiver.url}/u1`);
    const shown = (await v2.get(`/subscriptions/${sub.id}`)).json.notification;
    assert.ok(shown.lastFailure && shown.lastFailureReason);
    await sub.end();
});

test('failures: status failed, failsCounter, then delivered and active', async () => {
    const sub = await subscribe({ entities: [{ id: 'X1' }] });
    receiver.answer = (req) => (req.url === `/${sub.name}` ? 503 : 204);
    await v2.create({ id: 'X1', type: 'Room', a: { value: 1 } });
    const shown = await eventually(async () => {
        const s = (await v2.get(`/subscriptions/${sub.id}`)).json;
        return s.status === 'failed' && s;
    });
    assert.ok(shown.notification.failsCounter >= 1);
    assert.match(shown.notification.lastFailureReason, /503/);
    receiver.answer = () => 204;
    await eventually(() => sub.got().length === 1);
    await eventually(async () => (await v2.get(`/subscriptions/${sub.id}`)).json.status === 'active');
    assert.equal((await v2.get(`/subscriptions/${sub.id}`)).json.notification.failsCounter, undefined);
    await sub.end();
});

test('maxFailsLimit switches off; a patch of the status switches on', async () => {
    const sub = await subscribe({ entities: [{ id: 'X2' }], notification: { maxFailsLimit: 1 } });
    receiver.answer = (req) => (req.url === `/${sub.name}` ? 500 : 204);
    await v2.create({ id: 'X2', type: 'Room', a: { value: 1 } });
    await eventually(async () => (await v2.get(`/subscriptions/${sub.id}`)).json.status === 'inactive');
    receiver.answer = () => 204;
    assert.equal((await v2.patch(`/subscriptions/${sub.id}`, { description: 'still off' })).status, 204);
    assert.equal((await v2.get(`/subscriptions/${sub.id}`)).json.status, 'inactive');
    assert.equal((await v2.patch(`/subscriptions/${sub.id}`, { status: 'active' })).status, 204);
    await change('X2', { a: { value: 2 } });
    await eventually(() => sub.got().length === 1);
    assert.equal(sub.got()[0].body.data[0].a.value, 2);
    await sub.end();
});

test('oneshot, inactive, expired', async () => {
    const once = await subscribe({ entities: [{ id: 'O1' }], status: 'oneshot' });
    const off = await subscribe({ entities: [{ id: 'O1' }], status: 'inactive' });
    const past = await subscribe({ entities: [{ id: 'O1' }], expires: '2020-01-01T00:00:00Z' });
    const state = async (s) => (await v2.get(`/subscriptions/${s.id}`)).json.status;
    assert.deepEqual([await state(once), await state(off), await state(past)], ['oneshot', 'inactive', 'expired']);
    await v2.create({ id: 'O1', type: 'Room', a: { value: 1 } });
    await change('O1', { a: { value: 2 } });
    await eventually(async () => await state(once) === 'inactive');
    await quiet(once, 1);
    assert.equal(off.got().length + past.got().length, 0);
    assert.equal((await v2.patch(`/subscriptions/${once.id}`, { status: 'oneshot' })).status, 204);
    assert.equal((await v2.patch(`/subscriptions/${off.id}`, { status: 'active' })).status, 204);
    assert.equal((await v2.patch(`/subscriptions/${past.id}`, { expires: '' })).status, 204);
    assert.deepEqual([await state(once), await state(off), await state(past)], ['oneshot', 'active', 'active']);
    await change('O1', { a: { value: 3 } });
    await eventually(() => once.got().length === 2 && off.got().length === 1 && past.got().length === 1);
    for (const s of [once, off, past]) await s.end();
});

test('a patch: members of notification one by one, all else whole', async () => {
    const sub = await subscribe({ entities: [{ id: 'P1' }], notification: { attrs: ['a'], attrsFormat: 'keyValues' }, throttling: 1 });
    assert.equal((await v2.patch(`/subscriptions/${sub.id}`, { notification: { exceptAttrs: ['b'] }, subject: { entities: [{ id: 'P2' }] }, throttling: 0, description: 'x' })).status, 204);
    const shown = (await v2.get(`/subscriptions/${sub.id}`)).json;
    assert.equal(shown.notification.attrs, undefined);
    assert.deepEqual(shown.notification.exceptAttrs, ['b']);
    assert.equal(shown.notification.attrsFormat, 'keyValues');
    assert.deepEqual(shown.subject.entities, [{ id: 'P2' }]);
    await v2.create({ id: 'P1', type: 'Room', a: { value: 1 } });
    await v2.create({ id: 'P2', type: 'Room', a: { value: 1 }, b: { value: 1 } });
    await eventually(() => sub.got().length === 1);
    assert.deepEqual(sub.got()[0].body.data, [{ id: 'P2', type: 'Room', a: 1 }]);
    assert.equal((await v2.patch(`/subscriptions/${sub.id}`, { notification: { httpCustom: { url: `${receiver.url}/p2` } } })).status, 204);
    await change('P2', { a: { value: 2 } });
    await eventually(() => receiver.got('p2').length === 1);
    assert.equal((await v2.get(`/subscriptions/${sub.id}`)).json.notification.http, undefined);
    await sub.end();
});

test('throttling joins what came in the pause, nothing is lost', async () => {
    const sub = await subscribe({ entities: [{ idPattern: '^H' }], throttling: 1, notification: { attrsFormat: 'keyValues' } });
    await v2.create({ id: 'H1', type: 'Room', a: { value: 1 } });
    await eventually(() => sub.got().length === 1);
    await change('H1', { a: { value: 2 } });
    await v2.create({ id: 'H2', type: 'Room', a: { value: 1 } }, { headers: { 'Fiware-ServicePath': '/h' } });
    await change('H1', { a: { value: 3 } });
    const last = () => sub.got().at(-1).body.data;
    await eventually(() => sub.got().flatMap((g) => g.body.data).some((e) => e.a === 3));
    const all = sub.got().flatMap((g) => g.body.data).map((e) => `${e.id}${e.a}`);
    assert.ok(all.includes('H21'));
    assert.ok(last().length >= 1);
    for (const g of sub.got()) assert.equal(g.headers['fiware-servicepath'].split(',').length, g.body.data.length);
    await sub.end();
});

test('a federated broker takes the notification at /v2/op/notify', async () => {
    const other = await startV2();
    const sub = await subscribe({ entities: [{ id: 'N1' }], notification: { http: { url: `${other.city.url}/v2/op/notify` } } });
    await v2.create({ id: 'N1', type: 'Room', a: { value: 1, metadata: { m: { value: 'x' } } } }, { headers: { 'Fiware-ServicePath': '/fed' } });
    const there = await eventually(async () => {
        const res = await other.get('/entities/N1', { 'Fiware-ServicePath': '/fed' });
        return res.status === 200 && res.json;
    });
    assert.deepEqual(there, await v2.read('N1', '', { 'Fiware-ServicePath': '/fed' }));
    await sub.end();
    await other.city.stop();
});

test('subscriptions survive a kill: document, counters, state, what was not delivered', async () => {
    const options = { args: ['--allow-private', '--link.notify_retry_max_s=1'] };
    let city = await startV2(options);
    const down = await startReceiver();
    const post = (more) => city.post('/subscriptions', { subject: { entities: [{ id: 'D1' }] }, notification: { http: { url: `${down.url}/d` } }, ...more }, { headers: { 'Fiware-ServicePath': '/d' } });
    assert.equal((await post()).status, 201);
    await down.down();
    for (let i = 0; i < 5; i++)
        assert.ok((await city.post('/entities?options=upsert', { id: 'D1', type: 'Room', a: { value: i } }, { headers: { 'Fiware-ServicePath': '/d', 'Fiware-Correlator': `k${i}` } })).status < 300);
    const before = (await city.get('/subscriptions')).json[0];
    await city.city.kill();
    city = await startV2({ ...options, data: city.city.dir, store: city.city.store });
    await down.up();
    await eventually(() => down.got('d').length >= 5, 30000);
    assert.deepEqual(down.got('d').map((g) => g.body.data[0].a.value), [0, 1, 2, 3, 4]);
    assert.deepEqual(down.got('d').map((g) => g.headers['fiware-correlator']), [0, 1, 2, 3, 4].map((i) => `k${i}; cbnotif=1`));
    const after = (await city.get('/subscriptions')).json[0];
    assert.equal(after.id, before.id);
    assert.deepEqual(after.subject, before.subject);
    await city.city.stop();
    await down.down();
});

await run(async () => {
    await v2.city.stop();
    await receiver.down();
});
