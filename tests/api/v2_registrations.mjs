#!/usr/bin/env node
// /v2/registrations, and what they are for: queries and updates that go on to a context provider,
// which is a second Marugoto.
import assert from 'node:assert/strict';
import http from 'node:http';
import { eventually } from '../lib/city.mjs';
import { run, test } from '../lib/tap.mjs';
import { assertError, ids, startV2 } from '../lib/v2.mjs';

// what is forwarded carries Via, so it is not from a neighbour
const args = ['--allow-private', '--link.forward_ms=1500', '--gate.writers=anyone'];
const v2 = await startV2({ args });
const far = await startV2({ args });
const provider = { http: { url: `${far.city.url}/v2` } };

async function register(dataProvided, more = {}, headers = {}) {
    const res = await v2.post('/registrations', { dataProvided, provider, ...more }, { headers });
    assert.equal(res.status, 201, res.text);
    const id = /^\/v2\/registrations\/([0-9a-f]{24})$/.exec(res.headers.get('location'))[1];
    return { id, end: async () => assert.equal((await v2.delete(`/registrations/${id}`, headers)).status, 204),
        read: async () => (await v2.get(`/registrations/${id}`, headers)).json };
}

test('a registration comes back; patch, list, delete', async () => {
    const body = { description: 'rooms', dataProvided: { entities: [{ id: 'Nobody1', type: 'Room' }, { idPattern: 'Nobody.*', typePattern: 'R.*' }],
        attrs: ['humidity'], expression: { georel: 'near;maxDistance:100', geometry: 'point', coords: '1,2' } },
        provider: { http: { url: 'http://127.0.0.1:1/v2' }, supportedForwardingMode: 'none', legacyForwarding: false },
        expires: '2040-01-01T14:00:00.000Z', status: 'active' };
    const res = await v2.post('/registrations', { ...body, unknown: 1 }, { headers: { 'Fiware-Service': 'regs', 'Fiware-ServicePath': '/a' } });
    assert.equal(res.status, 201, res.text);
    const path = res.headers.get('location').slice(3), service = { 'Fiware-Service': 'regs' };
    const { id, ...shown } = (await v2.get(path, service)).json;
    assert.deepEqual(shown, body);
    assert.equal((await v2.patch(path, { expires: '', description: 'other', status: 'inactive' }, { headers: service })).status, 204);
    const after = (await v2.get(path, service)).json;
    assert.deepEqual([after.expires, after.description, after.status, after.provider], [undefined, 'other', 'inactive', body.provider]);
    const bare = await register({ entities: [{ id: 'Nobody2' }] }, { provider: { http: { url: 'http://127.0.0.1:1' } } }, service);
    assert.deepEqual((await bare.read()).provider, { http: { url: 'http://127.0.0.1:1' }, supportedForwardingMode: 'all', legacyForwarding: false });
    const list = await v2.get('/registrations?options=count', service);
    assert.deepEqual(ids(list), [id, bare.id]);
    assert.equal(list.headers.get('fiware-total-count'), '2');
    assert.deepEqual(ids(await v2.get('/registrations?offset=1&limit=1', service)), [bare.id]);
    assert.deepEqual(ids(await v2.get('/registrations', { ...service, 'Fiware-ServicePath': '/a' })), [id]);
    assert.deepEqual(ids(await v2.get('/registrations')), []);
    await bare.end();
    assert.equal((await v2.delete(path, service)).status, 204);
    for (const method of ['get', 'delete']) assertError(await v2[method](path, service), 404, 'NotFound', /registration has not been found/);
    assertError(await v2.patch(path, { description: 'x' }, { headers: service }), 404, 'NotFound');
    const past = await register({ entities: [{ id: 'Nobody3' }] }, { expires: '2020-01-01' });
    assert.equal((await past.read()).status, 'expired');
    await past.end();
});

test('what is refused', async () => {
    const good = { dataProvided: { entities: [{ id: 'a' }] }, provider };
    const cases = [
        [{ provider }, /dataProvided/], [{ dataProvided: good.dataProvided }, /provider/],
        [{ ...good, dataProvided: {} }, /entities/], [{ ...good, dataProvided: { entities: [] } }, /entities/],
        [{ ...good, dataProvided: { entities: [{ type: 'T' }] } }, /id nor idPattern/],
        [{ ...good, dataProvided: { entities: [{ id: 'a', idPattern: 'b' }] } }, /id and idPattern/],
        [{ ...good, dataProvided: { entities: [{ id: 'a', type: 'b', typePattern: 'b' }] } }, /typePattern/],
        [{ ...good, dataProvided: { entities: [{ idPattern: '*' }] } }, /regular expression/],
        [{ ...good, dataProvided: { entities: [{ id: 'a b' }] } }, /Invalid characters/],
        [{ ...good, dataProvided: { entities: [{ id: 'a' }], attrs: 'x' } }, /attrs/],
        [{ ...good, dataProvided: { entities: [{ id: 'a' }], attrs: [1] } }, /attribute name/],
        [{ ...good, dataProvided: { entities: [{ id: 'a' }], expression: { georel: 'x' } } }, /georel/],
        [{ ...good, provider: {} }, /http/], [{ ...good, provider: { http: { url: 'ftp://x' } } }, /Invalid URL/],
        [{ ...good, provider: { ...provider, supportedForwardingMode: 'x' } }, /supportedForwardingMode/],
        [{ ...good, provider: { ...provider, legacyForwarding: true } }, /legacyForwarding/],
        [{ ...good, expires: 'x' }, /expires/], [{ ...good, status: 'x' }, /status/],
        [{ ...good, description: 'x'.repeat(1025) }, /description/], [{ ...good, description: 'a"b' }, /Invalid characters/],
        [{}, /empty payload/], [[], /object/],
    ];
    for (const [body, why] of cases) assertError(await v2.post('/registrations', body), 400, 'BadRequest', why);
    assertError(await v2.post('/registrations', '{'), 400, 'ParseError');
    assertError(await v2.post('/registrations', good, { headers: { 'Fiware-ServicePath': '/a/#' } }), 400, 'BadRequest', /#/);
    const one = await register({ entities: [{ id: 'a' }] });
    assertError(await v2.patch(`/registrations/${one.id}`, { provider: {} }), 400, 'BadRequest');
    assertError(await v2.patch(`/registrations/${one.id}`, {}), 400, 'BadRequest');
    await one.end();
});

test('an entity: what is here first, the rest from the provider; nothing is stored', async () => {
    await far.create({ id: 'Q1', type: 'Room', humidity: { value: 40, metadata: { m: { value: 'x' } } }, temperature: { value: 99 } });
    const reg = await register({ entities: [{ id: 'Q1', type: 'Room' }], attrs: ['humidity', 'temperature'] });
    const remote = { id: 'Q1', type: 'Room', humidity: { type: 'Number', value: 40, metadata: { m: { type: 'Text', value: 'x' } } },
        temperature: { type: 'Number', value: 99, metadata: {} } };
    assert.deepEqual(await v2.read('Q1'), remote);
    assertError(await v2.get('/entities/Q1?options=skipForwarding'), 404, 'NotFound');
    assertError(await v2.get('/entities/Q1?type=Car'), 404, 'NotFound');
    await v2.create({ id: 'Q1', type: 'Room', temperature: { value: 20 }, own: { value: 1 } });
    assert.deepEqual(await v2.read('Q1', '?options=keyValues'), { id: 'Q1', type: 'Room', temperature: 20, own: 1, humidity: 40 });
    assert.deepEqual(await v2.read('Q1', '?options=keyValues&attrs=humidity'), { id: 'Q1', type: 'Room', humidity: 40 });
    assert.deepEqual(await v2.read('Q1', '?options=keyValues,skipForwarding'), { id: 'Q1', type: 'Room', temperature: 20, own: 1 });
    assert.deepEqual((await v2.get('/entities/Q1/attrs?options=keyValues')).json, { temperature: 20, own: 1, humidity: 40 });
    assert.equal((await v2.get('/entities/Q1/attrs/humidity')).json.value, 40);
    assert.equal((await v2.get('/entities/Q1/attrs/humidity/value')).text, '40');
    assertError(await v2.get('/entities/Q1/attrs/humidity?options=skipForwarding'), 404, 'NotFound');
    assertError(await v2.get('/entities/Q1/attrs/nothing'), 404, 'NotFound');
    const info = await eventually(async () => {
        const { forwardingInformation: i } = await reg.read();
        return i?.timesSent >= 6 && i;
    });
    assert.ok(info.lastForwarding && info.lastSuccess && !info.lastFailure);
    await reg.end();
    assert.deepEqual(await v2.read('Q1', '?options=keyValues'), { id: 'Q1', type: 'Room', temperature: 20, own: 1 });
});

test('lists and POST /op/query: joined, filtered and ordered as if all were here', async () => {
    for (let i = 1; i <= 3; i++) await far.create({ id: `L${i}`, type: 'Lamp', level: { value: i * 10 } });
    await v2.create({ id: 'L1', type: 'Lamp', name: { value: 'one' } });
    await v2.create({ id: 'L9', type: 'Lamp', level: { value: 15 } });
    const reg = await register({ entities: [{ idPattern: '^L', type: 'Lamp' }] });
    const all = await v2.get('/entities?type=Lamp&options=keyValues,count');
    assert.deepEqual(all.json, [{ id: 'L1', type: 'Lamp', name: 'one', level: 10 }, { id: 'L9', type: 'Lamp', level: 15 },
        { id: 'L2', type: 'Lamp', level: 20 }, { id: 'L3', type: 'Lamp', level: 30 }]);
    assert.equal(all.headers.get('fiware-total-count'), '4');
    assert.deepEqual(ids(await v2.get('/entities?type=Lamp&limit=2&offset=1')), ['L9', 'L2']);
    assert.deepEqual(ids(await v2.get('/entities?type=Lamp&q=level%3C25&orderBy=!level')), ['L2', 'L9', 'L1']);
    assert.deepEqual(ids(await v2.get('/entities?type=Lamp&q=name;level==10')), ['L1']);
    assert.deepEqual(ids(await v2.get('/entities?id=L2,L9')), ['L9', 'L2']);
    assert.deepEqual(ids(await v2.get('/entities?idPattern=^L[13]$')), ['L1', 'L3']);
    assert.deepEqual(ids(await v2.get('/entities?type=Lamp&options=skipForwarding')), ['L1', 'L9']);
    assert.deepEqual((await v2.get('/entities?id=L3&attrs=level&options=values')).json, [[30]]);
    const query = await v2.post('/op/query', { entities: [{ id: 'L3', type: 'Lamp' }, { idPattern: 'L1', type: 'Lamp' }], attrs: ['level'] });
    assert.deepEqual(query.json.map((e) => [e.id, e.level.value, e.name]), [['L1', 10, undefined], ['L3', 30, undefined]]);
    assert.deepEqual(ids(await v2.get('/entities?type=Chair')), []);
    await reg.end();
});

test('updates of what is not here go to the provider', async () => {
    await far.create({ id: 'U1', type: 'Valve', open: { value: false }, rate: { value: 1 }, other: { value: 1 } });
    const reg = await register({ entities: [{ id: 'U1', type: 'Valve' }], attrs: ['open', 'rate'] });
    assert.equal((await v2.patch('/entities/U1/attrs?type=Valve', { open: { value: true } })).status, 204);
    assert.equal((await far.read('U1')).open.value, true);
    assert.equal((await v2.put('/entities/U1/attrs/rate', { value: 2, metadata: { m: { value: 3 } } })).status, 204);
    assert.deepEqual((await far.read('U1')).rate, { type: 'Number', value: 2, metadata: { m: { type: 'Number', value: 3 } } });
    assert.equal((await v2.put('/entities/U1/attrs/rate/value', '7', { type: 'text/plain' })).status, 204);
    assert.equal((await far.read('U1')).rate.value, 7);
    await v2.create({ id: 'U1', type: 'Valve', name: { value: 'a' } });
    assert.equal((await v2.patch('/entities/U1/attrs?options=keyValues', { name: 'b', rate: 8 })).status, 204);
    assert.equal((await far.read('U1')).rate.value, 8);
    assert.equal((await far.read('U1')).name, undefined);
    assert.deepEqual(await v2.read('U1', '?options=keyValues,skipForwarding'), { id: 'U1', type: 'Valve', name: 'b' });
    const batch = await v2.post('/op/update', { actionType: 'update', entities: [{ id: 'U1', type: 'Valve', open: { value: false }, name: { value: 'c' } }] });
    assert.equal(batch.status, 204, batch.text);
    assert.equal((await far.read('U1')).open.value, false);
    assertError(await v2.patch('/entities/U1/attrs', { other: { value: 5 } }), 422, 'Unprocessable', /do not exist/);
    assertError(await v2.patch('/entities/U1/attrs', { other: { value: 5 }, rate: { value: 9 } }), 422, 'Unprocessable', /other/);
    assert.equal((await far.read('U1')).rate.value, 9);
    assertError(await v2.patch('/entities/U1/attrs?options=skipForwarding', { rate: { value: 10 } }), 422, 'Unprocessable');
    assertError(await v2.put('/entities/U1/attrs/open?options=skipForwarding', { value: true }), 404, 'NotFound');
    assertError(await v2.patch('/entities/U2/attrs', { rate: { value: 10 } }), 404, 'NotFound');
    // appending makes attributes here
    assert.equal((await v2.post('/entities/U1/attrs', { rate: { value: 1 } })).status, 204);
    assert.equal((await far.read('U1')).rate.value, 9);
    assert.equal((await v2.read('U1')).rate.value, 1);
    await reg.end();
});

test('modes, status and expiry decide; the service path too', async () => {
    await far.create({ id: 'M1', type: 'Room', a: { value: 1 } });
    const read = async () => (await v2.get('/entities/M1')).status;
    const write = async () => (await v2.patch('/entities/M1/attrs', { a: { value: 2 } })).status;
    const reg = await register({ entities: [{ id: 'M1' }] });
    for (const [mode, expected] of [['none', [404, 404]], ['query', [200, 404]], ['update', [404, 204]], ['all', [200, 204]]]) {
        assert.equal((await v2.patch(`/registrations/${reg.id}`, { provider: { ...provider, supportedForwardingMode: mode } })).status, 204);
        assert.deepEqual([await read(), await write()], expected, mode);
    }
    for (const patch of [{ status: 'inactive' }, { status: 'active', expires: '2020-01-01T00:00:00Z' }]) {
        assert.equal((await v2.patch(`/registrations/${reg.id}`, patch)).status, 204);
        assert.deepEqual([await read(), await write()], [404, 404]);
    }
    await reg.end();
    await far.create({ id: 'M2', type: 'Room', a: { value: 1 } }, { headers: { 'Fiware-Service': 'paths', 'Fiware-ServicePath': '/p' } });
    const there = await register({ entities: [{ id: 'M2' }] }, {}, { 'Fiware-Service': 'paths', 'Fiware-ServicePath': '/p' });
    const at = async (path) => (await v2.get('/entities/M2', { 'Fiware-Service': 'paths', ...(path && { 'Fiware-ServicePath': path }) })).status;
    assert.deepEqual([await at('/p'), await at('/#'), await at(), await at('/q'), await at('/')], [200, 200, 200, 404, 404]);
    await there.end();
});

test('what providers get: bodies and headers', async () => {
    const seen = [];
    const fake = http.createServer(async (req, res) => {
        let text = '';
        for await (const part of req) text += part;
        seen.push({ url: req.url, method: req.method, headers: req.headers, body: JSON.parse(text) });
        const update = req.url.endsWith('update');
        res.writeHead(update ? 204 : 200, { 'Content-Type': 'application/json' }).end(update ? undefined : '[]');
    });
    await new Promise((done) => fake.listen(0, '127.0.0.1', done));
    const service = { 'Fiware-Service': 'fake', 'Fiware-ServicePath': '/f' };
    const headers = { ...service, 'Fiware-Correlator': 'c1' };
    const reg = await register({ entities: [{ id: 'H1', type: 'T' }], attrs: ['a', 'b'] },
        { provider: { http: { url: `http://127.0.0.1:${fake.address().port}/base/` } } }, service);
    assertError(await v2.get('/entities/H1?attrs=a,zz', headers), 404, 'NotFound');
    assert.equal((await v2.patch('/entities/H1/attrs', { b: { value: 1 } }, { headers })).status, 204);
    const [query, update] = seen;
    assert.deepEqual([query.method, query.url], ['POST', '/base/op/query']);
    assert.deepEqual(query.body, { entities: [{ id: 'H1', type: 'T' }], attrs: ['a'] });
    assert.equal(query.headers['fiware-service'], 'fake');
    assert.equal(query.headers['fiware-servicepath'], '/f');
    assert.equal(query.headers['fiware-correlator'], 'c1; cbfwd=1');
    assert.match(query.headers.via, /^1\.1 /);
    assert.deepEqual([update.method, update.url], ['POST', '/base/op/update']);
    assert.deepEqual(update.body, { actionType: 'update', entities: [{ id: 'H1', b: { type: 'Number', value: 1, metadata: {} } }] });
    await reg.end();
    fake.close();
});

test('providers that fail: 404, counted, and what is here is answered in time', async () => {
    let answer = (res) => res.writeHead(500).end();
    const fake = http.createServer((req, res) => answer(res));
    await new Promise((done) => fake.listen(0, '127.0.0.1', done));
    const reg = await register({ entities: [{ id: 'E1' }] }, { provider: { http: { url: `http://127.0.0.1:${fake.address().port}` } } });
    const answers = [(res) => res.writeHead(500).end(), (res) => res.writeHead(404).end('{}'), (res) => res.writeHead(200).end('no json'),
        (res) => res.writeHead(200).end('[{"id":"E1"},1]'), (res) => res.writeHead(200).end('{}'), () => {}];
    for (const [i, one] of answers.entries()) {
        answer = one;
        const began = Date.now();
        const res = await v2.get('/entities/E1');
        if (i === 3) assert.deepEqual(res.json, { id: 'E1', type: 'Thing' });
        else assertError(res, 404, 'NotFound');
        assert.ok(Date.now() - began < 20000);
    }
    answer = (res) => res.writeHead(404).end();
    assertError(await v2.patch('/entities/E1/attrs', { a: { value: 1 } }), 404, 'NotFound');
    await v2.create({ id: 'E1', type: 'Room', a: { value: 1 } });
    answer = () => {};
    assert.equal((await v2.read('E1')).a.value, 1);
    await eventually(async () => (await reg.read()).status === 'failed');
    assert.ok((await reg.read()).forwardingInformation.lastFailure);
    await reg.end();
    fake.closeAllConnections();
    fake.close();
});

test('two brokers that are each other\'s provider do not go round in circles', async () => {
    const there = await register({ entities: [{ idPattern: '.*', type: 'Ring' }] });
    const back = await far.post('/registrations', { dataProvided: { entities: [{ idPattern: '.*', type: 'Ring' }] }, provider: { http: { url: `${v2.city.url}/v2` } } });
    assert.equal(back.status, 201);
    assertError(await v2.get('/entities/ring1?type=Ring'), 404, 'NotFound');
    assertError(await v2.patch('/entities/ring1/attrs?type=Ring', { a: { value: 1 } }), 404, 'NotFound');
    await far.create({ id: 'ring1', type: 'Ring', a: { value: 1 } });
    assert.equal((await v2.read('ring1', '?type=Ring')).a.value, 1);
    assert.deepEqual(ids(await v2.get('/entities?type=Ring')), ['ring1']);
    assert.equal((await v2.patch('/entities/ring1/attrs?type=Ring', { a: { value: 2 } })).status, 204);
    assert.equal((await far.read('ring1')).a.value, 2);
    await there.end();
});

test('registrations survive a restart', async () => {
    let one = await startV2({ args });
    const res = await one.post('/registrations', { dataProvided: { entities: [{ id: 'Q1' }] }, provider });
    await one.city.kill();
    one = await startV2({ args, data: one.city.dir, store: one.city.store });
    assert.equal(`/v2/registrations/${(await one.get('/registrations')).json[0].id}`, res.headers.get('location'));
    assert.equal((await one.read('Q1')).humidity.value, 40);
    await one.city.stop();
});

await run(async () => {
    await v2.city.stop();
    await far.city.stop();
});
