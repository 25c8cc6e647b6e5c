#!/usr/bin/env node
// The past: a node that enrols gets as much of it as it wants, in steps that a slow or broken line carries; what
// one side lost or never got comes from the other, and digests tell.
import assert from 'node:assert/strict';
import { test, run } from '../lib/tap.mjs';
import { eventually, startCity } from '../lib/city.mjs';
import { digest, startEdge, together, upstream } from '../lib/edge.mjs';

const temporal = '/ngsi-ld/v1/temporal/entities';
const entities = '/ngsi-ld/v1/entities';
const day = 86400000;
const now = Date.now();
const ago = (days, ms = 0) => new Date(now - days * day + ms).toISOString();
const point = (value, observedAt, more = {}) => ({ type: 'Property', value, observedAt, ...more });

async function ok(answer, status) {
    const { status: got, text } = await answer;
    assert.equal(got, status, text);
}

// All instances of an attribute: value, times and datasetId, in order.
async function evolution(city, id, attr) {
    const { status, json } = await city.get(`${temporal}/${id}?attrs=${attr}&options=sysAttrs`);
    if (status !== 200 || !json[attr]) return [];
    return [json[attr]].flat().filter((one) => 'value' in one)
        .map((one) => JSON.stringify([one.value, one.observedAt, one.modifiedAt, one.createdAt, one.datasetId ?? ''])).sort();
}

const values = async (city, id, attr) => (await evolution(city, id, attr)).map((text) => JSON.parse(text)[0]).sort((x, y) => x - y);

const gauge = (n) => `urn:ngsi-ld:Gauge:${n}`;

// A city with a past: what attributes left behind, what was written as evolution, entities that are gone or
// never were there.
async function cityWithPast(args = []) {
    const city = await startCity({ args });
    await ok(city.post(entities, { id: gauge(1), type: 'Gauge', level: point(1, ago(20)) }), 201);
    for (const [value, days] of [[2, 10], [3, 6], [4, 5], [5, 1], [6, 0]])
        await ok(city.patch(`${entities}/${gauge(1)}/attrs`, { level: point(value, ago(days)) }), 204);
    await ok(city.post(`${temporal}/${gauge(1)}/attrs`, { level: [point(40, ago(4)), point(41, ago(4), { datasetId: 'urn:x:b' })] }), 204);
    await ok(city.post(temporal, { id: gauge(2), type: 'Gauge', level: [point(7, ago(3)), point(8, ago(30))] }), 201);
    await ok(city.post(entities, { id: gauge(3), type: 'Gauge', level: point(9, ago(2)) }), 201);
    await ok(city.delete(`${entities}/${gauge(3)}`), 204);
    await ok(city.post(temporal, { id: 'urn:x:tree', type: 'Tree', height: point(1, ago(1)) }), 201);
    return city;
}

test('a node that enrols gets the past of its part, as many days as it wants', async () => {
    const city = await cityWithPast();
    const node = await startEdge(city, 'one', { args: ['--edge.types=Gauge'] });
    const none = await startEdge(city, 'none', { args: ['--edge.past_days=0'] });
    await together(city, node, '?types=Gauge');
    await together(city, none);
    assert.deepEqual(await values(node, gauge(1), 'level'), [3, 4, 5, 6, 40, 41]);
    assert.deepEqual(await evolution(node, gauge(1), 'level'), (await evolution(city, gauge(1), 'level')).filter((text) => JSON.parse(text)[0] > 2));
    assert.deepEqual(await values(node, gauge(2), 'level'), [7]);
    assert.deepEqual(await values(node, gauge(3), 'level'), [9]);
    assert.equal((await node.get(`${entities}/${gauge(2)}`)).status, 404);
    assert.equal((await node.get(`${temporal}/${gauge(2)}`)).json.type, 'Gauge');
    assert.equal((await node.get(`${temporal}/urn:x:tree`)).status, 404);
    assert.deepEqual(await values(none, gauge(1), 'level'), [6]);

    // What came as a copy has a name of its own: it can be corrected and deleted on either side.
    const find = async (side, value) => (await side.get(`${temporal}/${gauge(1)}?attrs=level`)).json.level.find((one) => one.value === value).instanceId;
    await ok(node.delete(`${temporal}/${gauge(1)}/attrs/level/${await find(node, 4)}`), 204);
    await ok(node.patch(`${temporal}/${gauge(1)}/attrs/level/${await find(node, 3)}`, { level: point(33, ago(6)) }), 204);
    await together(city, node, '?types=Gauge');
    await together(city, none);
    assert.deepEqual(await values(city, gauge(1), 'level'), [1, 2, 5, 6, 33, 40, 41]);
    assert.deepEqual(await values(node, gauge(1), 'level'), [5, 6, 33, 40, 41]);
    await ok(city.delete(`${temporal}/${gauge(2)}`), 204);
    await together(city, node, '?types=Gauge');
    assert.deepEqual(await values(node, gauge(2), 'level'), []);
    for (const one of [none, node, city]) await one.stop();
});

test('what both have written before they met is the same on both afterwards', async () => {
    const city = await cityWithPast();
    const node = await startEdge(city, 'one', { args: ['--edge.verify_s=2'] });
    node.line.cut();
    await ok(node.post(temporal, { id: gauge(5), type: 'Gauge', level: [point(50, ago(1)), point(51, ago(2))] }), 201);
    await ok(node.post(entities, { id: gauge(6), type: 'Gauge', level: point(60, ago(1)) }), 201);
    for (const value of [61, 62]) await ok(node.patch(`${entities}/${gauge(6)}/attrs`, { level: point(value, ago(1, value)) }), 204);
    node.line.mend();
    await together(city, node);
    for (const n of [1, 2, 3, 5, 6]) {
        const here = (await evolution(city, gauge(n), 'level')).filter((text) => JSON.parse(text)[1] > ago(7));
        assert.deepEqual(await evolution(node, gauge(n), 'level'), here, gauge(n));
    }
    assert.deepEqual(await values(city, gauge(6), 'level'), [60, 61, 62]);
    for (const one of [node, city]) await one.stop();
});

test('an entity that comes into the part brings its past', async () => {
    const city = await startCity();
    const node = await startEdge(city, 'one', { args: ['--edge.scope=/east'] });
    await together(city, node, '?scope=/east');
    await ok(city.post(entities, { id: gauge(1), type: 'Gauge', scope: '/west', level: point(1, ago(3)) }), 201);
    for (const value of [2, 3]) await ok(city.patch(`${entities}/${gauge(1)}/attrs`, { level: point(value, ago(3, value)) }), 204);
    await together(city, node, '?scope=/east');
    assert.deepEqual(await values(node, gauge(1), 'level'), []);
    await ok(city.patch(`${entities}/${gauge(1)}`, { scope: '/east' }), 204);
    await together(city, node, '?scope=/east');
    assert.deepEqual(await values(node, gauge(1), 'level'), [1, 2, 3]);
    await ok(node.patch(`${entities}/${gauge(1)}`, { scope: ['/east', '/south'] }), 204);
    await together(city, node, '?scope=/east');
    const scopes = async (side) => (await side.get(`${temporal}/${gauge(1)}?attrs=scope,level`)).json.scope.map(({ value, observedAt }) => [value, observedAt]);
    assert.equal((await scopes(city)).length, 3);
    assert.deepEqual(await scopes(node), await scopes(city));
    for (const one of [node, city]) await one.stop();
});

test('a line that breaks again and again: what came stays, changes do not wait for the past', async () => {
    const city = await startCity();
    for (let n = 0; n < 4; n++)
        await ok(city.post(temporal, { id: gauge(n), type: 'Gauge', level: Array.from({ length: 500 }, (_, i) => point(n * 1000 + i, ago(3, i * 60000))) }), 201);
    await ok(city.post(entities, { id: gauge(9), type: 'Gauge', level: point(0, ago(0)) }), 201);
    const node = await startEdge(city, 'one', { args: ['--edge.batch_bytes=4k', '--edge.bytes_per_s=20k'] });
    const sum = async () => { let all = 0; for (let n = 0; n < 4; n++) all += (await evolution(node, gauge(n), 'level')).length; return all; };
    let before = 0, mark = 0, cuts = 0, change = 0;
    const end = Date.now() + 120000;
    for (;;) {
        const has = await sum();
        assert.ok(has >= before, 'something was lost');
        assert.ok(Date.now() < end, `${has} only`);
        if (has === 2000) break;
        if (has > mark + 400 && has < 1900) {
            mark = has;
            node.line.cut();
            await ok(city.patch(`${entities}/${gauge(9)}/attrs`, { level: point(++change, ago(0, change)) }), 204);
            node.line.mend();
            cuts++;
            await eventually(async () => (await node.get(`${entities}/${gauge(9)}?options=keyValues`)).json?.level === change, 60000, 50);
        }
        before = has;
    }
    await together(city, node);
    assert.ok(cuts >= 2, `${cuts} cuts`);
    assert.ok((await upstream(node)).verifiedAt);
    assert.equal((await digest(node)).states, (await digest(city)).states);
    for (const one of [node, city]) await one.stop();
});

await run();
