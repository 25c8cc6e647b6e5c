#!/usr/bin/env node
// Stores that are not what they were: a node or a city restored from an old backup, two nodes with one store, an
// id or a token that is damaged or lost. All of it is noticed, and nothing that anybody wrote is lost.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { eventually, startCity } from '../lib/city.mjs';
import { Line, together, upstream } from '../lib/edge.mjs';

const entities = '/ngsi-ld/v1/entities';
const id = 'urn:ngsi-ld:Shelter:1';
const dirs = [];
const folder = () => { const dir = mkdtempSync(path.join(tmpdir(), 'marugoto-copies-')); dirs.push(dir); return dir; };
// Folders are copied: these stores are files, whatever the others of the run are.
const store = (data) => `sqlite:${data}/city.db`;

async function ok(answer, status) {
    const { status: got, text } = await answer;
    assert.equal(got, status, text);
}

const write = (side, value) => ok(side.post('/ngsi-ld/v1/entityOperations/upsert?options=update',
    [{ id, type: 'Shelter', count: { type: 'Property', value } }]), 204);
const values = async (side) => {
    const { json } = await side.get(`/ngsi-ld/v1/temporal/entities/${id}?attrs=count&options=temporalValues`);
    return (json.count?.values ?? []).map(([value]) => value).sort();
};
const nodeId = async (side) => (await side.get('/link/v1/sync/nodes')).json.node;
const all = (prefix, n) => Array.from({ length: n }, (_, i) => `${prefix}${i}`);

async function enrol(city, name) {
    const { json } = await city.post('/link/v1/sync/nodes', { name });
    return json.token;
}

const start = (line, token, data) => startCity({ data, store: store(data),
    args: ['--edge', '--upstream', line.url, `--edge.token=${token}`, '--edge.poll_s=1', '--edge.verify_s=2'] });

const stopped = (side) => side.end('SIGTERM');

test('a node that was restored from an old backup goes on as another one; what it had sent since comes back to it', async () => {
    const city = await startCity();
    await ok(city.post(entities, { id, type: 'Shelter', count: { type: 'Property', value: 'first' } }), 201);
    const line = await new Line().open(city.port), data = folder(), backup = folder();
    const token = await enrol(city, 'one');
    let node = await start(line, token, data);
    await together(city, node);
    await write(node, 'before');
    await together(city, node);
    await stopped(node);
    cpSync(data, backup, { recursive: true });
    node = await start(line, token, data);
    for (const value of all('lost', 5)) await write(node, value);
    await together(city, node);
    const was = await nodeId(node);
    await node.kill();

    line.cut();
    node = await start(line, token, backup);
    assert.equal(await nodeId(node), was);
    for (const value of all('again', 12)) await write(node, value); // more than were lost: positions fit
    line.mend();
    await together(city, node);
    assert.notEqual(await nodeId(node), was);
    const wanted = ['first', 'before', ...all('lost', 5), ...all('again', 12)].sort();
    for (const side of [city, node]) {
        assert.deepEqual(await values(side), wanted);
        assert.equal((await side.get('/link/v1/conflicts')).json.length, 1); // neither had seen the other's
    }
    // Whoever still has the old store is told so.
    const old = await start(line, token, data);
    await eventually(async () => { const s = await upstream(old); return s.state === 'refused' && /copy/.test(s.error); }, 60000);
    for (const one of [old, node, city]) await one.stop();
    line.close();
});

test('two nodes with one store: one is refused, and goes on with an enrolment of its own; all is there', async () => {
    const city = await startCity();
    await ok(city.post(entities, { id, type: 'Shelter', count: { type: 'Property', value: 'first' } }), 201);
    const line = await new Line().open(city.port), one = folder(), two = folder();
    const token = await enrol(city, 'one');
    let a = await start(line, token, one);
    await together(city, a);
    await stopped(a);
    cpSync(one, two, { recursive: true });
    a = await start(line, token, one);
    for (const value of all('a', 6)) await write(a, value);
    await together(city, a);
    let b = await start(line, token, two);
    for (const value of all('b', 6)) await write(b, value);
    let refused;
    await eventually(async () => {
        for (const side of [a, b]) if ((await upstream(side)).state === 'refused') refused = side;
        return refused;
    }, 60000);
    const other = refused === a ? b : a;
    await together(city, other);
    assert.match((await upstream(refused)).error, /copy of this node/);
    const late = refused === a ? 'a' : 'b';
    await write(refused, `${late}-late`);
    await stopped(refused);
    const again = await start(line, await enrol(city, 'two'), refused === a ? one : two);
    await together(city, again);
    await together(city, other);
    const wanted = ['first', ...all('a', 6), ...all('b', 6), `${late}-late`].sort();
    for (const side of [city, other, again]) assert.deepEqual(await values(side), wanted);
    assert.notEqual(await nodeId(other), await nodeId(again));
    const { json } = await city.get('/link/v1/sync/nodes');
    assert.deepEqual(json.nodes.map((n) => n.name), ['one', 'two']);
    for (const side of [other, again, city]) await side.stop();
    line.close();
});

test('a city that was restored from an old backup gets back what its nodes have', async () => {
    const cityData = folder(), backup = folder();
    let city = await startCity({ data: cityData, store: store(cityData) });
    await ok(city.post(entities, { id, type: 'Shelter', count: { type: 'Property', value: 'first' } }), 201);
    const line = await new Line().open(city.port), data = folder();
    const node = await start(line, await enrol(city, 'one'), data);
    await together(city, node);
    await stopped(city);
    cpSync(cityData, backup, { recursive: true });
    city = await startCity({ data: cityData, store: store(cityData) });
    line.to = city.port;
    for (const value of all('city', 4)) await write(city, value);
    await together(city, node);
    for (const value of all('node', 4)) await write(node, value);
    await together(city, node);
    await city.kill();

    city = await startCity({ data: backup, store: store(backup) });
    for (const value of all('new', 20)) await write(city, value); // the journal is longer than it was
    line.to = city.port;
    await together(city, node);
    const wanted = ['first', ...all('city', 4), ...all('node', 4), ...all('new', 20)].sort();
    for (const side of [city, node]) assert.deepEqual(await values(side), wanted);
    for (const side of [node, city]) await side.stop();
    line.close();
});

test('a damaged id is replaced, a lost token is replaced by a new enrolment; a token file that cannot be read is told', async () => {
    const city = await startCity();
    await ok(city.post(entities, { id, type: 'Shelter', count: { type: 'Property', value: 'first' } }), 201);
    const line = await new Line().open(city.port), data = folder();
    let token = await enrol(city, 'one');
    let node = await start(line, token, data);
    await together(city, node);
    const was = await nodeId(node);
    line.cut();
    await write(node, 'unsent');
    await stopped(node);
    const sql = spawnSync('sqlite3', ['-batch', path.join(data, 'city.db'), "UPDATE sync_self SET node = '?damaged?'"], { encoding: 'utf8' });
    assert.equal(sql.status, 0, sql.stderr);
    await ok(city.delete('/link/v1/sync/nodes/one'), 204);
    line.mend();
    node = await start(line, token, data);
    await eventually(async () => (await upstream(node)).state === 'refused', 60000);
    assert.notEqual(await nodeId(node), was);
    await stopped(node);
    const file = path.join(data, 'token');
    writeFileSync(file, `${await enrol(city, 'one')}\n`, { mode: 0o600 });
    node = await start(line, `file:${file}`, data);
    await together(city, node);
    for (const side of [city, node]) assert.deepEqual(await values(side), ['first', 'unsent']);
    await stopped(node);
    rmSync(file);
    await assert.rejects(start(line, `file:${file}`, data), /token/);
    await city.stop();
    line.close();
});

await run();
for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
