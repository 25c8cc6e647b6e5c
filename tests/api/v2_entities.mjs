#!/usr/bin/env node
// NGSIv2: entities, attributes and values, with each status, header and error.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { assertError, startV2 } from '../lib/v2.mjs';

const v2 = await startV2();
let n = 0;
const fresh = () => `Room${++n}`;
const room = (more = {}) => ({
    id: fresh(), type: 'Room',
    temperature: { type: 'Celsius', value: 21.5, metadata: { accuracy: { type: 'Number', value: 0.9 } } },
    pressure: { type: 'Number', value: 720, metadata: {} },
    ...more,
});
const text = { type: 'text/plain' };

test('the entry point and the version', async () => {
    const entry = await v2.get('');
    assert.deepEqual(entry.json, { entities_url: '/v2/entities', types_url: '/v2/types',
        subscriptions_url: '/v2/subscriptions', registrations_url: '/v2/registrations' });
    const version = await v2.city.get('/version');
    assert.match(version.json.orion.uptime, /^\d+ d, \d+ h, \d+ m, \d+ s$/);
    assert.ok(version.json.orion.version);
});

test('create answers 201 with the place of the entity, and it reads as it was sent', async () => {
    const e = room();
    const res = await v2.post('/entities', e);
    assert.equal(res.status, 201);
    assert.equal(res.headers.get('location'), `/v2/entities/${e.id}?type=Room`);
    assert.equal(res.text, '');
    assert.deepEqual(await v2.read(e.id), e);
});

test('what may be left out has its default', async () => {
    const id = fresh();
    assert.equal((await v2.post('/entities', { id, s: { value: 'x' }, n: {}, o: { value: {} } })).headers.get('location'), `/v2/entities/${id}?type=Thing`);
    assert.deepEqual(await v2.read(id), {
        id, type: 'Thing', s: { type: 'Text', value: 'x', metadata: {} },
        n: { type: 'None', value: null, metadata: {} }, o: { type: 'StructuredValue', value: {}, metadata: {} },
    });
});

test('numbers come back as they were sent', async () => {
    const id = fresh();
    assert.equal((await v2.post('/entities', `{"id":"${id}","a":{"value":1.0},"b":{"value":12345678901234567890},"c":{"value":[1]}}`)).status, 201);
    assert.match((await v2.get(`/entities/${id}`)).text, /"value":1\.0,.*"value":12345678901234567890,.*"value":\[1\]/);
});

test('an entity that exists: 422, or updated with upsert', async () => {
    const e = room();
    await v2.create(e);
    assertError(await v2.post('/entities', e), 422, 'Unprocessable', /Already Exists/);
    const res = await v2.post('/entities?options=upsert', { id: e.id, type: 'Room', extra: { value: 1 } });
    assert.equal(res.status, 204);
    assert.equal(res.headers.get('location'), `/v2/entities/${e.id}?type=Room`);
    assert.deepEqual(await v2.read(e.id), { ...e, extra: { type: 'Number', value: 1, metadata: {} } });
    const id = fresh();
    assert.equal((await v2.post('/entities?options=upsert,keyValues', { id, a: 5 })).status, 204);
    assert.equal((await v2.read(id)).a.value, 5);
});

test('keyValues on the way in', async () => {
    const id = fresh();
    assert.equal((await v2.post('/entities?options=keyValues', { id, type: 'Room', a: 5, b: 'x', c: { d: 1 }, e: null })).status, 201);
    assert.deepEqual(await v2.read(id, '?options=keyValues'), { id, type: 'Room', a: 5, b: 'x', c: { d: 1 }, e: null });
});

test('what is no entity is refused', async () => {
    for (const body of [[], 5, 'text', {}, { type: 'T' }, { id: '' }, { id: 5 }, { id: 'a', type: '' }, { id: 'a', type: null },
        { id: 'a b' }, { id: 'a/b' }, { id: 'a?b' }, { id: 'a#b' }, { id: 'a&b' }, { id: 'a<b' }, { id: 'é' }, { id: 'x'.repeat(257) },
        { id: 'a', b: 1 }, { id: 'a', b: { value: 1, x: 1 } }, { id: 'a', 'b c': { value: 1 } }, { id: 'a', b: { value: 'x=y' } },
        { id: 'a', b: { value: 1, type: 'é' } }, { id: 'a', b: { value: 1, metadata: { m: 1 } } }, { id: 'a', 'geo:distance': { value: 1 } },
        { id: 'a', dateCreated: { value: '2026-01-01' } }, { id: 'a', w: { type: 'DateTime', value: 'soon' } },
        { id: 'a', w: { type: 'geo:point', value: '100, 1' } }])
        assertError(await v2.post('/entities', JSON.stringify(body)), 400, 'BadRequest');
    for (const body of ['{', '{"id":"a",}', '{"id":"a","id":"a"}', '\ufeff{}', '['.repeat(100)])
        assertError(await v2.post('/entities', body), 400, 'ParseError');
    assertError(await v2.post('/entities', '', {}), 411, 'ContentLengthRequired');
    assertError(await v2.post('/entities', '{"id":"a"}', text), 415, 'UnsupportedMediaType');
});

test('what is not acceptable', async () => {
    assertError(await v2.get('/entities', { Accept: 'text/html' }), 406, 'NotAcceptable');
    assert.equal((await v2.get('/entities', { Accept: '*/*' })).status, 200);
});

test('reading: forms, chosen attributes, builtins, metadata', async () => {
    const e = room();
    await v2.create(e);
    const { id } = e;
    assert.deepEqual(await v2.read(id, '?options=keyValues'), { id, type: 'Room', temperature: 21.5, pressure: 720 });
    assert.deepEqual(await v2.read(id, '?options=values&attrs=pressure,temperature'), [720, 21.5]);
    assert.deepEqual(await v2.read(id, '?attrs=pressure'), { id, type: 'Room', pressure: e.pressure });
    assert.deepEqual(await v2.read(id, '?attrs=nope'), { id, type: 'Room' });
    const all = await v2.read(id, '?attrs=dateModified,*');
    assert.deepEqual(Object.keys(all), ['id', 'type', 'dateModified', 'temperature', 'pressure']);
    assert.equal(all.dateModified.type, 'DateTime');
    assert.ok(Date.parse(all.dateModified.value) > Date.parse('2020-01-01'));
    assert.deepEqual(Object.keys(await v2.read(id, '?attrs=dateCreated')), ['id', 'type', 'dateCreated']);
    assert.deepEqual(Object.keys((await v2.read(id, '?metadata=dateCreated')).temperature.metadata), ['dateCreated']);
    assert.deepEqual(Object.keys((await v2.read(id, '?metadata=dateModified,*')).temperature.metadata), ['accuracy', 'dateModified']);
    assert.deepEqual(await (await v2.get(`/entities/${id}/attrs`)).json, { temperature: e.temperature, pressure: e.pressure });
    assert.deepEqual(await (await v2.get(`/entities/${id}/attrs?options=keyValues`)).json, { temperature: 21.5, pressure: 720 });
    const twice = fresh();
    await v2.create({ id: twice, a: { value: 1 }, b: { value: 2 }, c: { value: 1.0 } });
    assert.deepEqual(await v2.read(twice, '?options=unique'), [1, 2]);
});

test('reading what is not there', async () => {
    const e = room();
    await v2.create(e);
    assertError(await v2.get('/entities/none'), 404, 'NotFound', /not been found/);
    assertError(await v2.get(`/entities/${e.id}?type=Car`), 404, 'NotFound');
    assertError(await v2.get('/entities/none/attrs'), 404, 'NotFound');
    assertError(await v2.get(`/entities/${e.id}/attrs/none`), 404, 'NotFound', /attribute/);
    assertError(await v2.get(`/entities/${e.id}/attrs/none/value`), 404, 'NotFound');
    assertError(await v2.get('/entities/a%3Cb'), 400, 'BadRequest');
});

test('parameters and options', async () => {
    assertError(await v2.get('/entities?options=bogus'), 400, 'BadRequest', /options/);
    assertError(await v2.get('/entities?options='), 400, 'BadRequest', /Empty right-hand-side/);
    assertError(await v2.get('/entities?q='), 400, 'BadRequest', /Empty right-hand-side/);
    assert.equal((await v2.get('/entities?unknown=1')).status, 200);
});

test('POST attrs updates and appends; with append it only appends', async () => {
    const e = room();
    await v2.create(e);
    assert.equal((await v2.post(`/entities/${e.id}/attrs`, { pressure: { value: 1 }, noise: { value: 31.5 } })).status, 204);
    let now = await v2.read(e.id, '?options=keyValues');
    assert.deepEqual(now, { id: e.id, type: 'Room', temperature: 21.5, pressure: 1, noise: 31.5 });
    const strict = await v2.post(`/entities/${e.id}/attrs?options=append`, { noise: { value: 2 }, more: { value: 3 } });
    assertError(strict, 422, 'Unprocessable', /already exist: \[ noise \]/);
    now = await v2.read(e.id, '?options=keyValues');
    assert.equal(now.noise, 31.5);
    assert.equal(now.more, 3);
    assert.equal((await v2.post(`/entities/${e.id}/attrs?options=keyValues`, { noise: 7 })).status, 204);
    assertError(await v2.post('/entities/none/attrs', { a: { value: 1 } }), 404, 'NotFound');
    assertError(await v2.post(`/entities/${e.id}/attrs`, {}), 400, 'BadRequest', /empty payload/);
    assertError(await v2.post(`/entities/${e.id}/attrs`, { id: 'x', a: { value: 1 } }), 400, 'BadRequest');
    assertError(await v2.post(`/entities/${e.id}/attrs`, { type: 'x', a: { value: 1 } }), 400, 'BadRequest');
});

test('PATCH attrs updates what exists', async () => {
    const e = room();
    await v2.create(e);
    assert.equal((await v2.patch(`/entities/${e.id}/attrs`, { pressure: { value: 2 } })).status, 204);
    assertError(await v2.patch(`/entities/${e.id}/attrs`, { pressure: { value: 3 }, b: { value: 1 }, c: { value: 1 } }), 422, 'Unprocessable', /do not exist: \[ b, c \]/);
    assert.equal((await v2.read(e.id)).b, undefined);
    assertError(await v2.patch('/entities/none/attrs', { a: { value: 1 } }), 404, 'NotFound');
});

test('metadata stay unless they are overridden', async () => {
    const e = room();
    await v2.create(e);
    await v2.patch(`/entities/${e.id}/attrs`, { temperature: { value: 5, metadata: { note: { value: 'x' } } } });
    assert.deepEqual((await v2.read(e.id)).temperature, { type: 'Number', value: 5, metadata: { note: { type: 'Text', value: 'x' }, accuracy: { type: 'Number', value: 0.9 } } });
    await v2.patch(`/entities/${e.id}/attrs?options=overrideMetadata`, { temperature: { value: 6 } });
    assert.deepEqual((await v2.read(e.id)).temperature, { type: 'Number', value: 6, metadata: {} });
});

test('PUT attrs replaces all', async () => {
    const e = room();
    await v2.create(e);
    const before = await v2.read(e.id, '?attrs=dateCreated');
    assert.equal((await v2.put(`/entities/${e.id}/attrs`, { only: { value: true } })).status, 204);
    assert.deepEqual(await v2.read(e.id), { id: e.id, type: 'Room', only: { type: 'Boolean', value: true, metadata: {} } });
    assert.deepEqual(await v2.read(e.id, '?attrs=dateCreated'), before);
    assertError(await v2.put('/entities/none/attrs', { a: { value: 1 } }), 404, 'NotFound');
});

test('one attribute: read, update, remove', async () => {
    const e = room();
    await v2.create(e);
    const path = `/entities/${e.id}/attrs/temperature`;
    assert.deepEqual((await v2.get(path)).json, e.temperature);
    assert.deepEqual((await v2.get(`${path}?metadata=none`)).json.metadata, {});
    assert.equal((await v2.put(path, { value: 25.5, type: 'Kelvin', metadata: { unitCode: { value: 'KEL' } } })).status, 204);
    assert.equal((await v2.get(path)).json.type, 'Kelvin');
    assertError(await v2.put(`/entities/${e.id}/attrs/none`, { value: 1 }), 404, 'NotFound', /attribute/);
    assertError(await v2.put(path, { values: 1 }), 400, 'BadRequest');
    assertError(await v2.put('/entities/none/attrs/a', { value: 1 }), 404, 'NotFound');
    assert.equal((await v2.delete(path)).status, 204);
    assertError(await v2.delete(path), 404, 'NotFound', /attribute/);
    assert.deepEqual(Object.keys(await v2.read(e.id)), ['id', 'type', 'pressure']);
});

test('the value of an attribute: text for scalars, JSON for the rest', async () => {
    const id = fresh();
    await v2.create({ id, s: { value: 'x' }, n: { value: 1.5 }, b: { value: false }, z: { value: null }, o: { value: { a: [1] } } });
    for (const [name, want] of [['s', '"x"'], ['n', '1.5'], ['b', 'false'], ['z', 'null']]) {
        const res = await v2.get(`/entities/${id}/attrs/${name}/value`);
        assert.match(res.headers.get('content-type'), /^text\/plain/);
        assert.equal(res.text, want);
        assertError(await v2.get(`/entities/${id}/attrs/${name}/value`, { Accept: 'application/json' }), 406, 'NotAcceptable', /text\/plain/);
    }
    const o = await v2.get(`/entities/${id}/attrs/o/value`);
    assert.match(o.headers.get('content-type'), /^application\/json/);
    assert.deepEqual(o.json, { a: [1] });
    assert.match((await v2.get(`/entities/${id}/attrs/o/value`, { Accept: 'text/plain' })).headers.get('content-type'), /^text\/plain/);
    assertError(await v2.get(`/entities/${id}/attrs/o/value`, { Accept: 'text/html' }), 406, 'NotAcceptable');
});

test('setting a value keeps type and metadata', async () => {
    const e = room();
    await v2.create(e);
    const path = `/entities/${e.id}/attrs/temperature`;
    for (const [body, want] of [['"hot"', 'hot'], ['25.0', 25], ['true', true], ['null', null], ['-1e3', -1000], ['""', '']]) {
        assert.equal((await v2.put(`${path}/value`, body, text)).status, 204);
        assert.deepEqual((await v2.get(path)).json, { type: 'Celsius', value: want, metadata: e.temperature.metadata });
    }
    assert.equal((await v2.put(`${path}/value`, { a: 1 })).status, 204);
    assert.deepEqual((await v2.get(path)).json.value, { a: 1 });
    for (const body of ['hot', '"', '1 2', '{"a":1}', '0x10', 'True', '"a;b"'])
        assertError(await v2.put(`${path}/value`, body, text), 400, 'BadRequest');
    assertError(await v2.put(`${path}/value`, '5'), 400, 'BadRequest', /Neither JSON Object nor JSON Array/);
    assertError(await v2.put(`${path}/value`, '{'), 400, 'ParseError');
    assertError(await v2.put(`${path}/value`, '5', { type: 'text/csv' }), 415, 'UnsupportedMediaType');
    assertError(await v2.put(`/entities/${e.id}/attrs/none/value`, '5', text), 404, 'NotFound');
    assert.deepEqual((await v2.get(path)).json.value, { a: 1 }, 'what was refused changed nothing');
});

test('types keep their rules when a value is set', async () => {
    const id = fresh();
    await v2.create({ id, at: { type: 'geo:point', value: '1, 2' }, day: { type: 'DateTime', value: '2026-01-01T00:00:00Z' } });
    assertError(await v2.put(`/entities/${id}/attrs/at/value`, '"3"', text), 400, 'BadRequest');
    assert.equal((await v2.put(`/entities/${id}/attrs/at/value`, '"3, 4"', text)).status, 204);
    assert.deepEqual((await v2.get(`/entities/${id}/attrs/at`)).json, { type: 'geo:point', value: '3, 4', metadata: {} });
    assertError(await v2.put(`/entities/${id}/attrs/day/value`, '5', text), 400, 'BadRequest', /date/);
});

test('deleting', async () => {
    const e = room();
    await v2.create(e);
    assertError(await v2.delete(`/entities/${e.id}?type=Car`), 404, 'NotFound');
    assert.equal((await v2.delete(`/entities/${e.id}?type=Room`)).status, 204);
    assertError(await v2.delete(`/entities/${e.id}`), 404, 'NotFound');
    await v2.create(e);
});

test('one id, several types', async () => {
    const id = fresh();
    await v2.create({ id, type: 'Car', a: { value: 1 } });
    await v2.create({ id, type: 'Room', a: { value: 2 } });
    await v2.create({ id, a: { value: 3 } });
    assertError(await v2.post('/entities', { id, type: 'Room' }), 422, 'Unprocessable');
    for (const res of [await v2.get(`/entities/${id}`), await v2.get(`/entities/${id}/attrs/a`), await v2.delete(`/entities/${id}`),
        await v2.patch(`/entities/${id}/attrs`, { a: { value: 9 } }), await v2.put(`/entities/${id}/attrs/a/value`, '9', text)])
        assertError(res, 409, 'TooManyResults');
    assert.equal((await v2.read(id, '?type=Room')).a.value, 2);
    assert.equal((await v2.read(id, '?type=Thing')).a.value, 3);
    assert.equal((await v2.patch(`/entities/${id}/attrs?type=Room`, { a: { value: 9 } })).status, 204);
    assert.equal((await v2.read(id, '?type=Car')).a.value, 1);
    assert.deepEqual((await v2.get(`/entities?id=${id}&orderBy=type&options=values`)).json, [[1], [9], [3]]);
    assert.equal((await v2.delete(`/entities/${id}?type=Car`)).status, 204);
    assert.equal((await v2.delete(`/entities/${id}?type=Thing`)).status, 204);
    assert.equal((await v2.read(id)).type, 'Room');
});

test('service paths part entities', async () => {
    const id = fresh();
    const at = (path) => ({ 'Fiware-ServicePath': path });
    await v2.create({ id, type: 'T', a: { value: 1 } }, { headers: at('/city') });
    await v2.create({ id, type: 'T', a: { value: 2 } }, { headers: at('/city/park') });
    await v2.create({ id, type: 'T', a: { value: 3 } });
    const there = async (path) => (await v2.get(`/entities?id=${id}&options=values&orderBy=a`, path ? at(path) : {})).json.flat();
    assert.deepEqual(await there(), [1, 2, 3]);
    assert.deepEqual(await there('/'), [3]);
    assert.deepEqual(await there('/#'), [1, 2, 3]);
    assert.deepEqual(await there('/city'), [1]);
    assert.deepEqual(await there('/city/#'), [1, 2]);
    assert.deepEqual(await there('/city/park,/'), [2, 3]);
    assert.deepEqual(await there('/other'), []);
    assertError(await v2.get(`/entities/${id}`), 409, 'TooManyResults');
    assert.equal((await v2.read(id, '', at('/city'))).a.value, 1);
    assert.equal((await v2.patch(`/entities/${id}/attrs`, { a: { value: 30 } })).status, 204, 'without the header changes are made at /');
    assert.deepEqual(await there(), [1, 2, 30]);
    assertError(await v2.patch(`/entities/${id}/attrs`, { a: { value: 0 } }, { headers: at('/other') }), 404, 'NotFound');
    assert.equal((await v2.city.request('DELETE', `/v2/entities/${id}`, { headers: at('/city/park') })).status, 204);
    assert.deepEqual(await there(), [1, 30]);
    for (const bad of ['city', '/a b', '/a//b', '/a-b', '/' + 'x'.repeat(51), '/1/2/3/4/5/6/7/8/9/10/11'])
        assertError(await v2.get('/entities', at(bad)), 400, 'BadRequest', /[sS]ervice ?Path|component/);
    assertError(await v2.post('/entities', { id: fresh() }, { headers: at('/a/#') }), 400, 'BadRequest');
    assertError(await v2.post('/entities', { id: fresh() }, { headers: at('/a,/b') }), 400, 'BadRequest');
});

test('services part everything', async () => {
    const id = fresh();
    const inside = { 'Fiware-Service': 'OpenIoT' };
    await v2.create({ id, a: { value: 1 } }, { headers: inside });
    assertError(await v2.get(`/entities/${id}`), 404, 'NotFound');
    assert.equal((await v2.read(id, '', { 'fiware-service': 'openiot' })).a.value, 1);
    assert.deepEqual((await v2.get('/entities?options=count', { 'Fiware-Service': 'nobody' })).json, []);
    assertError(await v2.get(`/entities/${id}`, { 'Fiware-Service': 'nobody' }), 404, 'NotFound');
    assertError(await v2.patch(`/entities/${id}/attrs`, { a: { value: 0 } }, { headers: { 'Fiware-Service': 'nobody' } }), 404, 'NotFound');
    assertError(await v2.get('/entities', { 'Fiware-Service': 'a-b' }), 400, 'BadRequest', /tenant/);
    assertError(await v2.get('/entities', { 'Fiware-Service': 'x'.repeat(51) }), 400, 'BadRequest', /tenant/);
});

test('entities that expire', async () => {
    const id = fresh();
    await v2.create({ id, a: { value: 1 }, dateExpires: { type: 'DateTime', value: '2099-01-01T00:00:00Z' } });
    assert.deepEqual(Object.keys(await v2.read(id)), ['id', 'type', 'a']);
    assert.equal((await v2.read(id, '?attrs=dateExpires')).dateExpires.value, '2099-01-01T00:00:00Z');
    assert.equal((await v2.post(`/entities/${id}/attrs`, { dateExpires: { type: 'DateTime', value: '2020-01-01' } })).status, 204);
    assertError(await v2.get(`/entities/${id}`), 404, 'NotFound');
    assert.deepEqual((await v2.get(`/entities?id=${id}`)).json, []);
    await v2.create({ id, b: { value: 2 } });
    assert.deepEqual(await v2.read(id, '?options=keyValues'), { id, type: 'Thing', b: 2 });
    assert.deepEqual(Object.keys(await v2.read(id, '?attrs=dateExpires,*')), ['id', 'type', 'b']);
    assertError(await v2.post(`/entities/${id}/attrs`, { dateExpires: { value: 'never' } }), 400, 'BadRequest');
});

test('the correlator comes back', async () => {
    assert.equal((await v2.get('/entities', { 'Fiware-Correlator': 'abc-1' })).headers.get('fiware-correlator'), 'abc-1');
    assert.ok((await v2.get('/entities')).headers.get('fiware-correlator'));
});

test('two that create the same entity at once: one succeeds', async () => {
    const id = fresh();
    const all = await Promise.all(Array.from({ length: 20 }, () => v2.post('/entities', { id, type: 'T' })));
    assert.deepEqual(all.map((r) => r.status).sort(), [201, ...Array(19).fill(422)]);
    const types = await Promise.all(Array.from({ length: 20 }, (_, i) => v2.post('/entities', { id, type: `T${i}` })));
    assert.ok(types.every((r) => r.status === 201));
    assert.equal((await v2.get(`/entities?id=${id}&limit=100`)).json.length, 21);
});

await run(() => v2.city.stop());
