#!/usr/bin/env node
// Evolution that is written as such (/temporal/entities) travels between a city and its nodes, both ways.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { eventually, startCity } from '../lib/city.mjs';
import { startEdge, together, upstream } from '../lib/edge.mjs';

const temporal = '/ngsi-ld/v1/temporal/entities';
const entities = '/ngsi-ld/v1/entities';
const at = (hour) => `2026-05-01T${String(hour).padStart(2, '0')}:00:00Z`;
const point = (value, hour, more = {}) => ({ type: 'Property', value, observedAt: at(hour), ...more });

async function ok(answer, status) {
    const { status: got, text } = await answer;
    assert.equal(got, status, text);
}

// [value, observedAt, datasetId] of all instances, in order.
async function evolution(city, id, attr) {
    const { status, json } = await city.get(`${temporal}/${id}?attrs=${attr}&options=sysAttrs`);
    if (status !== 200 || !json[attr]) return [];
    return [json[attr]].flat().map((one) => [one.value, one.observedAt ?? '', one.datasetId ?? '']).sort((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1));
}

const values = async (city, id, attr) => (await evolution(city, id, attr)).map(([value]) => value);

async function instance(city, id, attr, value) {
    const { json } = await city.get(`${temporal}/${id}?attrs=${attr}`);
    const found = [json[attr]].flat().find((one) => one.value === value);
    assert.ok(found, `no ${value} in ${JSON.stringify(json[attr])}`);
    return `${temporal}/${id}/attrs/${attr}/${found.instanceId}`;
}

// Until all sides tell the same evolution; it is given back.
async function same(sides, id, attr) {
    let seen;
    await eventually(async () => {
        seen = await Promise.all(sides.map((side) => evolution(side, id, attr)));
        return seen.every((one) => JSON.stringify(one) === JSON.stringify(seen[0]));
    }, 60000, 100).catch(() => { throw new Error(`not the same: ${JSON.stringify(seen)}`); });
    return seen[0].map(([value]) => value);
}

async function settled(city, nodes) {
    for (const node of nodes) await together(city, node);
    // Of a node's own rows others hear at their next look.
    for (const node of nodes) await eventually(async () => { const s = await upstream(node); return s.waiting === 0 && s.behind === 0; }, 60000, 100);
}

const id = 'urn:ngsi-ld:Gauge:1';
const rain = { id, type: 'Gauge', level: [point(1, 1), point(2, 2)] };

test('what is added, corrected and deleted while the line is cut is the same on all sides afterwards', async () => {
    const city = await startCity();
    const one = await startEdge(city, 'one'), two = await startEdge(city, 'two');
    const sides = [city, one, two];
    await settled(city, [one, two]);
    one.line.cut();
    two.line.cut();
    await ok(one.post(temporal, rain), 201);
    await ok(city.post(temporal, { id, type: 'Gauge', level: [point(3, 3), point(30, 3, { datasetId: 'urn:x:b' })] }), 201);
    await ok(two.post(temporal, { id, type: 'Gauge', level: [point(2, 2)], name: point('a', 1) }), 201);
    for (const node of [one, two]) node.line.mend();
    await eventually(async () => (await values(two, id, 'level')).length === 5, 60000, 100);
    assert.deepEqual(await same(sides, id, 'level'), [1, 2, 2, 3, 30].sort((x, y) => (`[${x},` < `[${y},` ? -1 : 1)));
    assert.deepEqual(await same(sides, id, 'name'), ['a']);
    for (const side of sides) {
        assert.equal((await side.get(`${entities}/${id}`)).status, 404);
        assert.equal((await side.get(`${temporal}/${id}`)).json.type, 'Gauge');
    }

    // A correction at one node, a deletion at the other, another addition at the city.
    one.line.cut();
    await ok(one.patch(await instance(one, id, 'level', 1), { level: point(10, 4) }), 204);
    await ok(two.delete(await instance(two, id, 'level', 3)), 204);
    await ok(city.post(`${temporal}/${id}/attrs`, { level: point(5, 5) }), 204);
    one.line.mend();
    await eventually(async () => (await values(city, id, 'level')).includes(10) && !(await values(one, id, 'level')).includes(3), 60000, 100);
    assert.deepEqual((await same(sides, id, 'level')).sort((x, y) => x - y), [2, 2, 5, 10, 30]);

    // The same instance corrected on both sides and then deleted on one: the later write holds.
    one.line.cut();
    await ok(one.patch(await instance(one, id, 'level', 5), { level: point(51, 5) }), 204);
    await ok(city.patch(await instance(city, id, 'level', 5), { level: point(52, 5) }), 204);
    await ok(city.delete(await instance(city, id, 'level', 10)), 204);
    await ok(one.patch(await instance(one, id, 'level', 10), { level: point(11, 4) }), 204);
    one.line.mend();
    await eventually(async () => (await values(one, id, 'level')).includes(52) && (await values(two, id, 'level')).includes(11), 60000, 100);
    assert.deepEqual((await same(sides, id, 'level')).sort((x, y) => x - y), [2, 2, 11, 30, 52]);
    for (const side of [two, one, city]) await side.stop();
});

test('what attributes left behind can be corrected and deleted elsewhere; a whole evolution goes, what came meanwhile stays', async () => {
    const city = await startCity();
    await ok(city.post(entities, { id, type: 'Gauge', level: point(1, 1), name: point('a', 1) }), 201);
    const node = await startEdge(city, 'one');
    const sides = [city, node];
    await settled(city, [node]);
    for (const [side, n] of [[city, 2], [node, 3], [city, 4]]) {
        await ok(side.patch(`${entities}/${id}/attrs`, { level: point(n, n) }), 204);
        await settled(city, [node]);
    }
    assert.deepEqual(await same(sides, id, 'level'), [1, 2, 3, 4]);
    await ok(node.delete(await instance(node, id, 'level', 2)), 204);
    await ok(city.patch(await instance(city, id, 'level', 3), { level: point(33, 3) }), 204);
    await eventually(async () => (await values(node, id, 'level')).includes(33) && !(await values(city, id, 'level')).includes(2), 60000, 100);
    assert.deepEqual((await same(sides, id, 'level')), [1, 33, 4]);

    node.line.cut();
    await ok(city.delete(`${temporal}/${id}/attrs/level?deleteAll=true`), 204);
    await ok(node.patch(`${entities}/${id}/attrs`, { level: point(6, 6) }), 204);
    await ok(node.post(`${temporal}/${id}/attrs`, { level: point(7, 7) }), 204);
    node.line.mend();
    await eventually(async () => (await values(city, id, 'level')).length === 2 && (await values(node, id, 'level')).length === 2, 60000, 100);
    assert.deepEqual(await same(sides, id, 'level'), [6, 7]);
    assert.deepEqual(await same(sides, id, 'name'), ['a']);
    assert.equal((await city.get(`${entities}/${id}?options=keyValues`)).json.level, 6);

    await ok(node.delete(`${temporal}/${id}`), 204);
    await eventually(async () => (await values(city, id, 'level')).length === 0, 60000, 100);
    for (const side of sides) {
        assert.deepEqual(await values(side, id, 'name'), []);
        assert.equal((await side.get(`${entities}/${id}?options=keyValues`)).json.level, 6);
    }
    await node.stop();
    await city.stop();
});

test('only what is of its part comes to a node', async () => {
    const city = await startCity();
    const node = await startEdge(city, 'one', { args: ['--edge.types=Gauge'] });
    await together(city, node, '?types=Gauge');
    await ok(city.post(temporal, { id: 'urn:x:tree', type: 'Tree', height: point(1, 1) }), 201);
    await ok(city.post(temporal, rain), 201);
    await eventually(async () => (await values(node, id, 'level')).length === 2, 60000, 100);
    assert.equal((await node.get(`${temporal}/urn:x:tree`)).status, 404);
    await ok(city.delete(`${temporal}/${id}`), 204);
    await eventually(async () => (await node.get(`${temporal}/${id}`)).status === 404, 60000, 100);
    await node.stop();
    await city.stop();
});

await run();
