#!/usr/bin/env node
// Edge nodes: a part of the city is fetched, works without the line, and merges when it is back.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { eventually, sleep, startCity } from '../lib/city.mjs';
import { command } from '../lib/command.mjs';
import { startReceiver } from '../lib/receiver.mjs';
import { startEdge, together, upstream } from '../lib/edge.mjs';

const entities = '/ngsi-ld/v1/entities';
const shelter = (n, more = {}) => ({ id: `urn:ngsi-ld:Shelter:${n}`, type: 'Shelter', name: { type: 'Property', value: `S${n}` }, ...more });
const number = (value, more = {}) => ({ type: 'Property', value, ...more });

async function ok(answer, status) {
    const { status: got, text } = await answer;
    assert.equal(got, status, text);
}

const value = async (city, id, attr) => {
    const { json } = await city.get(`${entities}/${id}?options=keyValues`);
    return json?.[attr];
};

const history = async (city, id, attr) => {
    const { json } = await city.get(`/ngsi-ld/v1/temporal/entities/${id}?attrs=${attr}&options=temporalValues`);
    return (json?.[attr]?.values ?? []).map(([v]) => v);
};

test('a part of the city is fetched, changes go both ways, what is not of the part stays away', async () => {
    const city = await startCity();
    for (let n = 0; n < 30; n++) await ok(city.post(entities, shelter(n, { occupancy: number(n) })), 201);
    await ok(city.post(entities, { id: 'urn:x:tree', type: 'Tree', height: number(3) }), 201);
    const node = await startEdge(city, 'one', { args: ['--edge.types=Shelter'] });
    await together(city, node, '?types=Shelter');
    assert.equal((await node.get(`${entities}?type=Shelter&count=true&limit=0`)).headers.get('ngsild-results-count'), '30');
    assert.equal((await node.get(`${entities}/urn:x:tree`)).status, 404);
    const text = (await city.get(`${entities}/urn:ngsi-ld:Shelter:3?options=sysAttrs`)).json;
    assert.deepEqual((await node.get(`${entities}/urn:ngsi-ld:Shelter:3?options=sysAttrs`)).json.occupancy, text.occupancy);

    await ok(node.patch(`${entities}/urn:ngsi-ld:Shelter:3/attrs`, { occupancy: number(300) }), 204);
    await ok(city.patch(`${entities}/urn:ngsi-ld:Shelter:4/attrs`, { occupancy: number(400) }), 204);
    await ok(city.delete(`${entities}/urn:ngsi-ld:Shelter:5`), 204);
    await ok(node.delete(`${entities}/urn:ngsi-ld:Shelter:6`), 204);
    await ok(node.delete(`${entities}/urn:ngsi-ld:Shelter:7/attrs/occupancy`), 204);
    await ok(node.post(entities, shelter(100)), 201);
    await ok(city.post(entities, shelter(101)), 201);
    await together(city, node, '?types=Shelter');
    for (const side of [city, node]) {
        assert.equal(await value(side, 'urn:ngsi-ld:Shelter:3', 'occupancy'), 300);
        assert.equal(await value(side, 'urn:ngsi-ld:Shelter:4', 'occupancy'), 400);
        assert.equal((await side.get(`${entities}/urn:ngsi-ld:Shelter:5`)).status, 404);
        assert.equal((await side.get(`${entities}/urn:ngsi-ld:Shelter:6`)).status, 404);
        assert.equal(await value(side, 'urn:ngsi-ld:Shelter:7', 'occupancy'), undefined);
        assert.equal(await value(side, 'urn:ngsi-ld:Shelter:100', 'name'), 'S100');
        assert.equal(await value(side, 'urn:ngsi-ld:Shelter:101', 'name'), 'S101');
        assert.deepEqual((await side.get('/link/v1/conflicts')).json, []);
    }
    await node.stop();
    await city.stop();
});

test('without the line both sides go on; afterwards all values are in both histories, in order, and told once', async () => {
    const city = await startCity({ args: ['--allow-private'] });
    await ok(city.post(entities, shelter(1, { occupancy: number(0) })), 201);
    const node = await startEdge(city, 'one', { args: ['--allow-private'] });
    await together(city, node);
    const receiver = await startReceiver();
    for (const [name, side] of [['city', city], ['node', node]])
        await ok(side.post('/ngsi-ld/v1/subscriptions', { id: 'urn:x:sub', type: 'Subscription', entities: [{ type: 'Shelter' }],
            notification: { format: 'keyValues', endpoint: { uri: `${receiver.url}/${name}`, accept: 'application/json' } } }), 201);
    node.line.cut();
    for (let n = 1; n <= 20; n++)
        await ok(node.patch(`${entities}/urn:ngsi-ld:Shelter:1/attrs`, { occupancy: number(n) }), 204);
    for (let n = 1; n <= 20; n++) await ok(city.patch(`${entities}/urn:ngsi-ld:Shelter:1/attrs`, { name: number(n) }), 204);
    await eventually(async () => (await upstream(node)).state === 'offline');
    assert.equal(await value(node, 'urn:ngsi-ld:Shelter:1', 'occupancy'), 20);
    assert.equal(await value(city, 'urn:ngsi-ld:Shelter:1', 'occupancy'), 0);
    await eventually(async () => (await upstream(node)).waiting >= 20, 60000);
    node.line.mend();
    await together(city, node);
    const counted = Array.from({ length: 21 }, (_, n) => n);
    for (const side of [city, node]) {
        const seen = await history(side, 'urn:ngsi-ld:Shelter:1', 'occupancy');
        assert.deepEqual(seen.slice(-20), counted.slice(1));
        assert.deepEqual((await history(side, 'urn:ngsi-ld:Shelter:1', 'name')).slice(-20), counted.slice(1));
        assert.deepEqual((await side.get('/link/v1/conflicts')).json, []);
    }
    for (const name of ['city', 'node']) {
        await eventually(() => receiver.got(name).length >= 40);
        await sleep(200);
        const told = receiver.got(name).map((one) => one.body.data[0]);
        assert.equal(told.length, 40);
        assert.equal(new Set(told.map((one) => `${one.name} ${one.occupancy}`)).size, 40);
    }
    await receiver.down();
    await node.stop();
    await city.stop();
});

test('both changed the same: the later observation is in effect, both values stand in the list, a choice settles it everywhere', async () => {
    const city = await startCity();
    const id = 'urn:ngsi-ld:Shelter:1';
    await ok(city.post(entities, shelter(1, { occupancy: number(0), beds: number(1), doors: number(1) })), 201);
    const node = await startEdge(city, 'one');
    await together(city, node);
    node.line.cut();
    await ok(node.patch(`${entities}/${id}/attrs`, { occupancy: number(10, { observedAt: '2026-01-01T10:00:00Z' }), beds: number(5) }), 204);
    await ok(city.patch(`${entities}/${id}/attrs`, { occupancy: number(20, { observedAt: '2026-01-01T09:00:00Z' }), beds: number(5) }), 204);
    await ok(city.delete(`${entities}/${id}/attrs/doors`), 204);
    await ok(node.patch(`${entities}/${id}/attrs`, { doors: number(2) }), 204);
    node.line.mend();
    await together(city, node);
    for (const side of [city, node]) {
        assert.equal(await value(side, id, 'occupancy'), 10);
        assert.equal(await value(side, id, 'beds'), 5);
        assert.equal(await value(side, id, 'doors'), 2);
        const seen = await history(side, id, 'occupancy');
        assert.ok(seen.includes(10) && seen.includes(20), `${seen}`);
        const { json } = await side.get('/link/v1/conflicts');
        assert.deepEqual(json.map((c) => c.attribute).sort(), ['doors', 'occupancy']);
        const one = json.find((c) => c.attribute === 'occupancy');
        assert.deepEqual(one.values.map((v) => [v.instance.value, v.inEffect]), [[10, true], [20, false]]);
        assert.ok(json.find((c) => c.attribute === 'doors').values.some((v) => v.deleted));
    }
    const { json } = await city.get('/link/v1/conflicts');
    const one = json.find((c) => c.attribute === 'occupancy');
    await ok(city.post(`/link/v1/conflicts/${one.id}`, { choose: 'nobody:1' }), 400);
    await ok(city.post(`/link/v1/conflicts/${one.id}`, { choose: one.values[1].key }), 204);
    await ok(city.post(`/link/v1/conflicts/${one.id}`, { choose: one.values[1].key }), 404);
    for (const lang of ['ja', 'easy', 'en', 'zh', 'ko', 'vi', 'pt']) {
        const page = await node.get(`/${lang}/console/nodes`);
        assert.equal(page.status, 200);
        assert.ok(page.text.includes(id) && page.text.includes('badge-'), lang);
        assert.doesNotMatch(page.text, /nodes\.|conflicts\./);
    }
    const doors = (await node.get('/link/v1/conflicts')).json.find((c) => c.attribute === 'doors');
    const deleted = doors.values.find((v) => v.deleted).key;
    const page = await node.get('/en/console/nodes');
    assert.ok(page.text.includes(`name="choose" value="${deleted}"`));
    const cookie = page.headers.get('set-cookie').split(';')[0];
    const form = { csrf: /name="csrf" value="([^"]+)"/.exec(page.text)[1], conflict: doors.id, choose: deleted };
    const post = (fields) => node.post('/en/console/nodes', new URLSearchParams(fields).toString(),
        { type: 'application/x-www-form-urlencoded', headers: { cookie } });
    await ok(post({ ...form, csrf: 'x' }), 403);
    await ok(post(form), 303);
    await ok(post(form), 404);
    await together(city, node);
    for (const side of [city, node]) {
        assert.equal(await value(side, id, 'occupancy'), 20);
        assert.equal(await value(side, id, 'doors'), undefined);
        assert.deepEqual((await side.get('/link/v1/conflicts')).json, []);
    }
    await node.stop();
    await city.stop();
});

test('a node that was killed goes on where it was, with what it had taken meanwhile; so does the city', async () => {
    const data = mkdtempSync(path.join(tmpdir(), 'marugoto-edge-'));
    const cityData = mkdtempSync(path.join(tmpdir(), 'marugoto-edge-'));
    let city = await startCity({ data: cityData });
    const store = city.store ?? undefined;
    await ok(city.post(entities, shelter(1, { occupancy: number(0) })), 201);
    let node = await startEdge(city, 'one', { data });
    const { line, args, store: nodeStore } = node;
    await together(city, node);
    line.cut();
    await ok(node.patch(`${entities}/urn:ngsi-ld:Shelter:1/attrs`, { occupancy: number(7) }), 204);
    await node.kill();
    node = await startCity({ data, args, store: nodeStore ?? undefined });
    await ok(node.patch(`${entities}/urn:ngsi-ld:Shelter:1/attrs`, { occupancy: number(8) }), 204);
    await city.kill();
    city = await startCity({ data: cityData, store });
    line.to = city.port;
    line.mend();
    await together(city, node);
    assert.deepEqual((await history(city, 'urn:ngsi-ld:Shelter:1', 'occupancy')).slice(-3), [0, 7, 8]);
    const { json } = await city.get('/link/v1/sync/nodes');
    assert.equal(json.nodes[0].name, 'one');
    assert.ok(json.nodes[0].lastContact);
    const metrics = (await node.get('/metrics')).text;
    assert.match(metrics, /^marugoto_edge_waiting 0$/m);
    assert.match(metrics, /^marugoto_edge_last_contact_seconds [1-9]/m);
    await node.stop();
    await city.stop();
    line.close();
    for (const dir of [data, cityData]) rmSync(dir, { recursive: true, force: true });
});

test('who has no token, or one that was dismissed, is refused and told so', async () => {
    const city = await startCity();
    const node = await startEdge(city, 'one');
    await together(city, node);
    for (const [method, target] of [['POST', 'sessions'], ['GET', 'changes?node=a&after=0'], ['POST', 'changes'], ['POST', 'entities']]) {
        await ok(city.request(method, `/link/v1/sync/${target}`, method === 'POST' ? { body: {} } : {}), 401);
        await ok(city.request(method, `/link/v1/sync/${target}`, { headers: { authorization: 'Bearer nonsense' }, ...(method === 'POST' ? { body: {} } : {}) }), 401);
    }
    await ok(city.post('/link/v1/sync/nodes', { name: 'one' }), 409);
    await ok(city.post('/link/v1/sync/nodes', { name: 'a b' }), 400);
    await ok(city.delete('/link/v1/sync/nodes/one'), 204);
    await ok(city.delete('/link/v1/sync/nodes/one'), 404);
    await eventually(async () => (await upstream(node)).state === 'refused');
    await ok(node.post(entities, shelter(1)), 201);
    await node.stop();
    await city.stop();
});

test('marugoto edge enroll gives a token, beside the running city and without it', async () => {
    const data = mkdtempSync(path.join(tmpdir(), 'marugoto-edge-'));
    const city = await startCity({ data });
    const store = city.store ?? `sqlite:${data}/city.db`;
    const enroll = (name) => command(['edge', 'enroll', name, '--data', data, '--store', store, '--port', String(city.port), '--app.log_level=warn']);
    const beside = enroll('beside');
    assert.equal(beside.code, 0, beside.err);
    const token = /--edge\.token=(\S+)/.exec(beside.out)[1];
    const hello = () => city.post('/link/v1/sync/sessions', { node: 'abc', newest: 0, received: 0 }, { headers: { authorization: `Bearer ${token}` } });
    await ok(hello(), 200);
    assert.match(enroll('beside').err, /enrolled already/);
    await city.end('SIGTERM');
    const alone = enroll('alone');
    assert.equal(alone.code, 0, alone.err);
    assert.match(alone.out, /--edge\.token=\S{32}/);
    assert.equal(enroll('a b').code, 1);
    assert.equal(command(['edge', '--data', data]).code, 2);
    await city.stop(); // its database goes
    rmSync(data, { recursive: true, force: true });
});

test('an area and a scope; the line carries no more than it may', async () => {
    const city = await startCity();
    const at = (n, lon, scope) => ({ ...shelter(n, { location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [lon, 36.5] } } }), scope });
    for (let n = 0; n < 20; n++) await ok(city.post(entities, at(n, 139 + n / 10, n % 2 ? '/east' : '/west/a')), 201);
    const node = await startEdge(city, 'one', { args: ['--edge.area=139,36,140.05,37', '--edge.scope=/west/#', '--edge.bytes_per_s=20k', '--edge.batch_bytes=2k'] });
    const params = '?types=&scope=%2Fwest%2F%23&area=139,36,140.05,37';
    await together(city, node, params);
    assert.equal((await node.get(`${entities}?type=Shelter&limit=100`)).json.length, 6);
    const began = Date.now();
    const before = node.line.bytes;
    for (let n = 0; n < 40; n++) await ok(city.patch(`${entities}/urn:ngsi-ld:Shelter:0/attrs`, { note: number(crypto.randomUUID().repeat(20)) }), 204);
    await together(city, node, params);
    const rate = (node.line.bytes - before) / ((Date.now() - began) / 1000);
    assert.ok(rate < 40000, `${rate} bytes/s`);
    await ok(city.patch(`${entities}/urn:ngsi-ld:Shelter:18/attrs`, { location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [139.5, 36.5] } } }), 204);
    await together(city, node, params);
    assert.equal(await value(node, 'urn:ngsi-ld:Shelter:18', 'name'), 'S18');
    await node.stop();
    await city.stop();
});

test('another part is chosen while the city went on: states are compared and exchanged, deletions too', async () => {
    const data = mkdtempSync(path.join(tmpdir(), 'marugoto-edge-'));
    const city = await startCity();
    for (let n = 0; n < 300; n++) await ok(city.post(entities, shelter(n)), 201);
    await ok(city.post(entities, { id: 'urn:x:tree', type: 'Tree', height: number(3) }), 201);
    let node = await startEdge(city, 'one', { data, args: ['--edge.types=Shelter'] });
    const { line, args, store } = node;
    await together(city, node, '?types=Shelter');
    line.cut();
    for (let n = 0; n < 50; n++) await ok(city.delete(`${entities}/urn:ngsi-ld:Shelter:${n}`), 204);
    for (let n = 50; n < 100; n++) await ok(city.patch(`${entities}/urn:ngsi-ld:Shelter:${n}/attrs`, { name: number(n) }), 204);
    await ok(node.delete(`${entities}/urn:ngsi-ld:Shelter:200`), 204);
    await ok(node.patch(`${entities}/urn:ngsi-ld:Shelter:201/attrs`, { name: number(1) }), 204);
    await ok(node.patch(`${entities}/urn:ngsi-ld:Shelter:201/attrs`, { name: number(2) }), 204);
    await node.kill();
    line.mend();
    node = await startCity({ data, store: store ?? undefined, args: args.filter((one) => !one.startsWith('--edge.types')) });
    await together(city, node);
    const count = await node.get(`${entities}?type=Shelter,Tree&count=true&limit=0`);
    assert.equal(count.headers.get('ngsild-results-count'), '250');
    assert.deepEqual((await history(city, 'urn:ngsi-ld:Shelter:201', 'name')).slice(-2), [1, 2]);
    assert.ok((await upstream(node)).verifiedAt);
    await node.stop();
    await city.stop();
    line.close();
    rmSync(data, { recursive: true, force: true });
});

await run();
