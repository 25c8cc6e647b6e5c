#!/usr/bin/env node
// Context sources that misbehave: whatever they do, what is here is answered in time, nothing foreign gets in, and what the client is told is true.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { eventually } from '../lib/city.mjs';
import { ids, startLd } from '../lib/ngsi.mjs';
import { register } from '../lib/source.mjs';
import { run, test } from '../lib/tap.mjs';

const budget = 1500;
const args = ['--client.allow_private=true', '--link.forward_ms=700', `--link.forward_budget_ms=${budget}`, '--link.forward_cooldown_ms=0', '--link.forward_bytes=64k'];
const ld = await startLd({ args });
const P = (value, more = {}) => ({ type: 'Property', value, ...more });
const V = (n) => `urn:ngsi-ld:Vehicle:${n}`;

// a source that is a program: (socket, request line) => what it does
let behave;
const sockets = new Set();
const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    socket.once('data', (data) => behave(socket, data.toString().split('\r\n')[0]));
});
await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
const url = `http://127.0.0.1:${server.address().port}`;
const head = (status, type, more = '') => `HTTP/1.1 ${status} X\r\nContent-Type: ${type}\r\n${more}`;
const whole = (body, { status = 200, type = 'application/json', more = '' } = {}) => `${head(status, type, more)}Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;
const theirs = JSON.stringify({ id: V(1), type: 'Vehicle', speed: P('theirs', { observedAt: '2099-01-01T00:00:00Z' }) });
const drip = (socket, text, ms) => {
    let i = 0;
    const timer = setInterval(() => { if (socket.destroyed || i >= text.length) clearInterval(timer); else socket.write(text[i++]); }, ms);
    timer.unref();
};

const hostile = {
    'says nothing': () => {},
    'closes at once': (s) => s.destroy(),
    'closes within the headers': (s) => s.end(head(200, 'application/json').slice(0, 20)),
    'closes within the body': (s) => s.end(`${head(200, 'application/json')}Content-Length: 1000\r\n\r\n${theirs}`),
    'closes within a chunk': (s) => s.end(`${head(200, 'application/json')}Transfer-Encoding: chunked\r\n\r\n50\r\n${theirs.slice(0, 20)}`),
    'sends headers one by one': (s) => drip(s, whole(theirs), 60),
    'sends the body one by one': (s) => { s.write(`${head(200, 'application/json')}Content-Length: ${theirs.length}\r\n\r\n`); drip(s, theirs, 60); },
    'speaks no HTTP': (s) => s.end('\x00\x01\x02 what?\r\n\r\n'),
    'sends garbage': (s) => s.end(whole('\xff\xfe{]]')),
    'sends a page': (s) => s.end(whole('<html><title>portal</title></html>', { type: 'text/html' })),
    'sends too much': (s) => s.end(whole(`[${'1,'.repeat(100000)}1]`)),
    'sends too much without a length': (s) => { s.write(`${head(200, 'application/json')}\r\n[`); const more = () => { while (!s.destroyed && s.write('1,'.repeat(1000))); }; s.on('drain', more); more(); },
    'says that it sends more than there is': (s) => s.write(`${head(200, 'application/json')}Content-Length: 99999999999\r\n\r\n{`),
    'sends endless headers': (s) => { s.write('HTTP/1.1 200 X\r\n'); const more = () => { while (!s.destroyed && s.write(`X-${'a'.repeat(50)}: ${'b'.repeat(500)}\r\n`)); }; s.on('drain', more); more(); },
    'goes on with 100': (s) => { s.write('HTTP/1.1 100 Continue\r\n\r\n'.repeat(200)); },
    'sends to itself for ever': (s) => s.end(whole('', { status: 302, more: `Location: ${url}/again\r\n` })),
    'sends to somebody else': (s) => s.end(whole('', { status: 307, more: 'Location: http://169.254.169.254/latest/meta-data\r\n' })),
    'nests deeply': (s) => s.end(whole(`${'['.repeat(20000)}${']'.repeat(20000)}`)),
    'names things twice': (s) => s.end(whole(theirs.replace('"type":"Vehicle"', '"type":"Vehicle","type":"Bus"'))),
    'sends half an entity': (s) => s.end(whole(theirs.slice(0, -2))),
    'fails': (s) => s.end(whole('{"detail":"secret of the source"}', { status: 500 })),
    'asks for a password': (s) => s.end(whole('{"detail":"secret of the source"}', { status: 401, more: 'WWW-Authenticate: Basic realm="x"\r\nSet-Cookie: a=b\r\n' })),
};

const timed = async (send) => {
    const began = Date.now(), res = await send();
    assert.ok(Date.now() - began < budget + 6000, `${Date.now() - began} ms`); // room for a slow machine, not for a second budget
    return res;
};

assert.equal((await ld.post('/entities', { id: V(1), type: 'Vehicle', speed: P('ours', { observedAt: '2026-01-01T00:00:00Z' }) })).status, 201);
const everything = ['retrieveEntity', 'queryEntity', 'queryBatch', 'retrieveTemporal', 'queryTemporal', 'retrieveEntityTypes', 'retrieveAttrTypes', 'retrieveEntityTypeInfo', 'updateEntity', 'updateAttrs', 'updateBatch', 'upsertBatch', 'createEntity', 'deleteEntity', 'mergeEntity', 'purgeEntity'];
const reads = {
    retrieve: [() => ld.get(`/entities/${V(1)}`), (j) => j.speed.value],
    query: [() => ld.get('/entities?type=Vehicle&count=true'), (j) => j[0].speed.value],
    'query as a body': [() => ld.post('/entityOperations/query', { type: 'Query', entities: [{ type: 'Vehicle' }] }), (j) => j[0].speed.value],
    types: [() => ld.get('/types'), (j) => (j.typeList.join() === 'Vehicle' ? 'ours' : j)],
    evolution: [() => ld.get(`/temporal/entities/${V(1)}`), (j) => [j.speed].flat()[0].value],
    evolutions: [() => ld.get('/temporal/entities?type=Vehicle&timerel=after&timeAt=2020-01-01T00:00:00Z'), (j) => [j[0].speed].flat()[0].value],
};

test('reading: what is here, in time, with a warning', async () => {
    const reg = await register(ld, url, { type: 'Vehicle' }, { operations: everything });
    for (const [how, does] of Object.entries(hostile)) {
        behave = does;
        for (const [what, [send, value]] of Object.entries(reads)) {
            if (how === 'names things twice' && /types|evol/.test(what)) continue; // of those the last one counts
            const res = await timed(send);
            assert.equal(res.status, 200, `${what}, one that ${how}: ${res.text}`);
            assert.equal(value(res.json), 'ours', `${what}, one that ${how}: ${res.text}`);
            assert.match(res.headers.get('ngsild-warning') ?? '', /^(111|199|299) /, `${what}, one that ${how}`);
            assert.doesNotMatch(res.text + [...res.headers].join(), /secret of the source|a=b|portal/, what);
        }
    }
    await ld.delete(`/csourceRegistrations/${reg}`);
});

test('writing: what the client is told is what happened here', async () => {
    const reg = await register(ld, url, { type: 'Vehicle' }, { operations: everything });
    let n = 10;
    for (const [how, does] of Object.entries(hostile)) {
        behave = does;
        const said = /^(sends (a page|garbage|half)|nests|names)/.test(how); // 200: it says that it has done it
        const one = await timed(() => ld.patch(`/entities/${V(1)}/attrs`, { speed: P(++n) }));
        assert.ok([204, 207].includes(one.status), `${how}: ${one.status}`);
        if (!said) {
            assert.equal(one.status, 207, how);
            assert.match(one.json.updated.join(), /speed$/, `${how}: ${one.text}`);
            assert.equal(one.json.notUpdated[0].registrationId, reg, `${how}: ${one.text}`);
        }
        assert.equal((await ld.get(`/entities/${V(1)}?local=true`)).json.speed.value, n);
        const many = await timed(() => ld.post('/entityOperations/upsert', [{ id: V(++n), type: 'Vehicle', speed: P(n) }]));
        assert.ok([201, 207].includes(many.status), `${how}: ${many.status} ${many.text}`);
        if (!said) assert.deepEqual([many.json.success, many.json.errors.map((e) => e.registrationId)], [[V(n)], [reg]], `${how}: ${many.text}`);
        assert.equal((await ld.get(`/entities/${V(n)}?local=true`)).status, 200);
        const gone = await timed(() => ld.delete(`/entities/${V(n)}`));
        assert.ok([204, 207].includes(gone.status));
        assert.equal((await ld.get(`/entities/${V(n)}?local=true`)).status, 404, 'deleted here');
    }
    await ld.delete(`/csourceRegistrations/${reg}`);
});

test('pages without end are read within the time of one call', async () => {
    let page = 0;
    behave = (s) => { setTimeout(() => s.end(whole(JSON.stringify([{ id: V(1000 + page++), type: 'Vehicle' }]), { more: 'Link: <x>; rel="next"\r\n' })), 400); };
    const reg = await register(ld, url, { type: 'Vehicle' });
    const res = await timed(() => ld.get('/entities?type=Vehicle'));
    assert.ok(ids(res).includes(V(1)));
    assert.ok(page < 8, `${page} pages`);
    assert.match(res.headers.get('ngsild-warning') ?? '', /^199 /, 'not all of it was read');
    await ld.delete(`/csourceRegistrations/${reg}`);
});

test('nothing but what the registration speaks of, in the tenant that asked', async () => {
    const org = { 'NGSILD-Tenant': 'org' };
    assert.equal((await ld.post('/entities', { id: V(1), type: 'Vehicle', speed: P('of org') }, { headers: org })).status, 201);
    const reg = await register(ld, url, { type: 'Vehicle', idPattern: 'Vehicle:5$' }, { propertyNames: ['speed'], headers: org, tenant: 'inner' });
    behave = (s, line) => s.end(whole(line.includes('/temporal') ? '[]' : JSON.stringify([{ id: V(5), type: ['Vehicle', 'Admin'], speed: P(5), owner: P('x') }, { id: V(1), type: 'Vehicle', speed: P('poison') }, { id: V(5), type: 'Spy', speed: P(6) }, { id: 'urn:x:other', type: 'Bus' }]), { more: 'NGSILD-Tenant: other\r\n' }));
    const res = await ld.get('/entities?type=Vehicle', org);
    assert.deepEqual(res.json.map((e) => [e.id, e.speed.value, e.owner]), [[V(1), 'of org', undefined], [V(5), 5, undefined]]);
    assert.equal(res.headers.get('ngsild-tenant'), 'org');
    assert.ok(!ids(await ld.get('/entities?type=Vehicle')).includes(V(5)), 'the default tenant has no such registration');
    assert.equal((await ld.get('/entities/urn:x:other', org)).status, 404);
    await ld.delete(`/csourceRegistrations/${reg}`, org);
});

test('a source that dies in the middle of writes: 207 where it may not have it', async () => {
    const real = await startLd({ args });
    const reg = await register(ld, real.city.url, { type: 'Boat' }, { operations: ['createEntity', 'createBatch', 'deleteEntity', 'queryEntity'] });
    const told = [];
    const load = Array.from({ length: 40 }, async (_, i) => {
        const id = `urn:x:Boat:${i}`;
        const res = await ld.post('/entities', { id, type: 'Boat', n: P(i) });
        told.push([id, res.status]);
        if (told.length === 15) await real.city.kill();
    });
    await Promise.all(load);
    const again = await startLd({ args, data: real.city.dir, store: real.city.store });
    const there = ids(await again.get('/entities?type=Boat&limit=100')), local = ids(await ld.get('/entities?type=Boat&local=true&limit=100'));
    for (const [id, status] of told) {
        assert.ok([201, 207].includes(status), String(status));
        assert.ok(local.includes(id), `${id} is here`);
        if (status === 201) assert.ok(there.includes(id), `${id} was told to be everywhere`);
    }
    assert.ok(told.some(([, status]) => status === 207));
    await ld.delete(`/csourceRegistrations/${reg}`);
    await again.city.stop();
});

test('we die in the middle of writes: what was told is true', async () => {
    let us = await startLd({ args });
    const there = await startLd({ args });
    await register(us, there.city.url, { type: 'Boat' }, { operations: ['createEntity', 'createBatch'] });
    const told = [];
    const agent = new http.Agent({ maxSockets: 20 });
    const load = Array.from({ length: 60 }, async (_, i) => {
        const id = `urn:x:Boat:${i}`;
        try {
            const res = await us.post('/entities', { id, type: 'Boat', n: P(i) });
            told.push([id, res.status]);
            if (told.length === 20) await us.city.kill();
        } catch { /* it did not hear what came of it */ }
    });
    await Promise.all(load);
    agent.destroy();
    us = await startLd({ args, data: us.city.dir, store: us.city.store });
    const far = ids(await there.get('/entities?type=Boat&limit=100')), near = ids(await us.get('/entities?type=Boat&local=true&limit=100'));
    assert.ok(told.length >= 20);
    for (const [id, status] of told) {
        assert.equal(status, 201);
        assert.ok(near.includes(id) && far.includes(id), id);
    }
    await eventually(async () => (await us.get('/entities?type=Boat&limit=100')).status === 200);
    await us.city.stop();
    await there.city.stop();
});

await run(async () => {
    await ld.city.stop();
    for (const socket of sockets) socket.destroy();
    server.close();
});
