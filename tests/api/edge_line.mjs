#!/usr/bin/env node
// The line: no more on it than edge.bytes_per_s, packed; a very slow one is enough, by small steps that stay when it
// breaks; and kill -9 of either side in the middle of a first copy, of rows and of a repair.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { eventually, sleep, startCity } from '../lib/city.mjs';
import { startEdge, together, upstream } from '../lib/edge.mjs';

const entities = '/ngsi-ld/v1/entities';
const temporal = '/ngsi-ld/v1/temporal/entities';
const id = (n) => `urn:ngsi-ld:Sensor:${n}`;
const ago = (ms) => new Date(Date.now() - ms).toISOString();
// Half of it packs, half does not.
const text = () => `${'observed at the usual place '.repeat(4)}${randomBytes(60).toString('hex')}`;
const number = (value, more = {}) => ({ type: 'Property', value, ...more });

async function ok(answer, status) {
    const { status: got, text: body } = await answer;
    assert.equal(got, status, body);
}

// n entities with a past of m instances each.
async function fill(city, n, m) {
    for (let i = 0; i < n; i++)
        await ok(city.post(entities, { id: id(i), type: 'Sensor', level: number(0, { observedAt: ago(0) }), note: number(text()) }), 201);
    for (let i = 0; i < n; i++)
        await ok(city.post(`${temporal}/${id(i)}/attrs`, { level: Array.from({ length: m }, (_, k) => number(i * 1000 + k, { observedAt: ago(3600000 + k * 60000) })) }), 204);
}

const traces = async (side, n) => {
    let sum = 0;
    for (let i = 0; i < n; i++) {
        const { json } = await side.get(`${temporal}/${id(i)}?attrs=level&options=temporalValues`);
        sum += json?.level?.values?.length ?? 0;
    }
    return sum;
};

test('edge.bytes_per_s bounds both directions together, and messages are packed', async () => {
    const city = await startCity();
    await fill(city, 20, 20);
    const node = await startEdge(city, 'one', { args: ['--edge.bytes_per_s=10k', '--edge.batch_bytes=4k'] });
    const began = Date.now(), before = node.line.bytes;
    for (let i = 0; i < 60; i++) await ok(city.patch(`${entities}/${id(i % 20)}/attrs`, { note: number(text()) }), 204);
    for (let i = 0; i < 30; i++) await ok(node.post(entities, { id: id(200 + i), type: 'Sensor', note: number(text()) }), 201);
    await together(city, node, '', 120000);
    const seconds = (Date.now() - began) / 1000, bytes = node.line.bytes - before;
    console.log(`# ${bytes} bytes in ${seconds.toFixed(1)} s: ${Math.round(bytes / seconds)} bytes/s where 10240 are allowed`);
    assert.ok(bytes / seconds < 10240 * 1.25, `${bytes / seconds} bytes/s`);
    for (const one of [node, city]) await one.stop();
});

test('a line of 6 kB/s that breaks carries a first copy and its past, and nothing twice', async () => {
    const city = await startCity();
    await fill(city, 12, 60);
    const quick = await startEdge(city, 'quick');
    await together(city, quick);
    const whole = quick.line.bytes;
    await quick.stop();
    const node = await startEdge(city, 'slow', { args: ['--edge.batch_bytes=4k'], rate: 6000 });
    for (let cut = 0; cut < 3; cut++) {
        const before = node.line.bytes;
        await eventually(() => node.line.bytes > before + 6000, 60000);
        node.line.cut();
        await sleep(100);
        node.line.mend();
    }
    await together(city, node, '', 180000);
    assert.equal(await traces(node, 12), await traces(city, 12));
    console.log(`# ${whole} bytes on a whole line, ${node.line.bytes} on one that broke three times`);
    assert.ok(node.line.bytes < 4 * whole + 100000, `${node.line.bytes} of ${whole}`);
    for (const one of [node, city]) await one.stop();
});

test('kill -9 of either side amid a first copy, rows both ways and a repair: nothing is missing', async () => {
    const dirs = [0, 1].map(() => mkdtempSync(path.join(tmpdir(), 'marugoto-line-')));
    let city = await startCity({ data: dirs[0] });
    const cityStore = city.store ?? undefined;
    await fill(city, 30, 40);
    let node = await startEdge(city, 'one', { data: dirs[1], args: ['--edge.batch_bytes=2k', '--edge.verify_s=1', '--edge.bytes_per_s=60k'] });
    const { line, args } = node, nodeStore = node.store ?? undefined;
    const acked = { city: [], node: [] };
    let count = 0;
    const write = async (side, name) => {
        const value = ++count;
        const { status } = await side.post('/ngsi-ld/v1/entityOperations/upsert?options=update', [{ id: id(name === 'city' ? 100 : 101), type: 'Sensor', level: number(value) }]);
        if ([201, 204].includes(status)) acked[name].push(value);
    };
    for (let round = 0; round < 8; round++) {
        for (let i = 0; i < 5; i++) await Promise.all([write(city, 'city'), write(node, 'node')]);
        await sleep(Math.random() * 400);
        if (round % 2) {
            await city.kill();
            city = await startCity({ data: dirs[0], store: cityStore });
            line.to = city.port;
        } else {
            await node.kill();
            node = await startCity({ data: dirs[1], store: nodeStore, args });
        }
    }
    await together(city, node, '', 120000);
    assert.equal(await traces(node, 30), 30 * 41);
    for (const side of [city, node])
        for (const [name, n] of [['city', 100], ['node', 101]]) {
            const { json } = await side.get(`${temporal}/${id(n)}?attrs=level&options=temporalValues`);
            const there = json.level.values.map(([v]) => v);
            assert.deepEqual(acked[name].filter((v) => !there.includes(v)), []);
            assert.equal(new Set(there).size, there.length, `${there}`);
        }
    assert.ok((await upstream(node)).verifiedAt);
    for (const side of [node, city]) await side.stop();
    line.close();
    for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

await run();
