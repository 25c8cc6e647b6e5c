#!/usr/bin/env node
// Edge nodes: a part of the city is fetched, works without the line, and merges when it is back.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { eventually, sleep, startCity } from '../lib/city.mjs';
import { digest, startEdge, together, upstream } from '../lib/edge.mjs';

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
    const city = await startCity();
    await ok(city.post(entities, shelter(1, { occupancy: number(0) })), 201);
    const node = await startEdge(city, 'one');
    await together(city, node);
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
    const doors = (await node.get('/link/v1/conflicts')).json.find((c) => c.attribute === 'doors');
    await ok(node.post(`/link/v1/conflicts/${doors.id}`, { choose: 'deleted' }), 204);
    await together(city, node);
    for (const side of [city, node]) {
        assert.equal(await value(side, id, 'occupancy'), 20);
        assert.equal(await value(side, id, 'doors'), undefined);
        assert.deepEqual((await side.get('/link/v1/conflicts')).json, []);
    }
    await node.stop();
    await city.stop();
});

await run();
