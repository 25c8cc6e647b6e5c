#!/usr/bin/env node
// Deletions are forgotten when every node knows them, or was away for too long: such a node sends what it has not
// sent, then takes the city's states for its own, also when the city's journal does not reach back to it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, run } from '../lib/tap.mjs';
import { eventually, startCity } from '../lib/city.mjs';
import { startEdge, together, upstream } from '../lib/edge.mjs';

const entities = '/ngsi-ld/v1/entities';
const id = (n) => `urn:ngsi-ld:Shelter:${n}`;
const number = (value) => ({ type: 'Property', value });
const hours = 3600 * 1e6;

function sql(city, text) {
    const run = city.store?.startsWith('postgres')
        ? spawnSync('psql', ['-q', '-At', '-v', 'ON_ERROR_STOP=1', '-d', city.store, '-c', text], { encoding: 'utf8' })
        : spawnSync('sqlite3', ['-batch', '-cmd', '.timeout 20000', path.join(city.dir, 'city.db'), text], { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
    return run.stdout.trim();
}

async function ok(answer, status) {
    const { status: got, text } = await answer;
    assert.equal(got, status, text);
}

const tombstones = (side) => Number(sql(side, 'SELECT count(*) FROM sync_register WHERE gone = 1'));
const value = async (side, n, attr) => (await side.get(`${entities}/${id(n)}?options=keyValues`)).json?.[attr];
const status = async (side, n) => (await side.get(`${entities}/${id(n)}`)).status;
const history = async (side, n, attr) => ((await side.get(`/ngsi-ld/v1/temporal/entities/${id(n)}?attrs=${attr}&options=temporalValues`)).json?.[attr]?.values ?? []).map(([v]) => v);
const conflicts = async (side) => (await side.get('/link/v1/conflicts')).json;

const start = async () => {
    const city = await startCity({ args: ['--edge.trim_s=1', '--link.trim_s=1', '--edge.keep_hours=1', '--link.journal_hours=1'] });
    for (let n = 0; n < 10; n++)
        await ok(city.post(entities, { id: id(n), type: 'Shelter', count: number(n), name: number(`S${n}`) }), 201);
    return city;
};

test('what all nodes know to be deleted is forgotten on all sides, and what is made again is no conflict', async () => {
    const city = await start();
    const one = await startEdge(city, 'one'), two = await startEdge(city, 'two');
    for (const node of [one, two]) await together(city, node);
    for (const n of [1, 2]) await ok(city.delete(`${entities}/${id(n)}`), 204);
    await ok(one.delete(`${entities}/${id(3)}`), 204);
    await ok(two.delete(`${entities}/${id(4)}/attrs/count`), 204);
    for (const side of [city, one, two]) await eventually(async () => tombstones(side) === 0 && await status(side, 3) === 404 && await value(side, 4, 'count') === undefined, 60000, 200);
    for (const node of [one, two]) node.line.cut();
    await ok(city.post(entities, { id: id(1), type: 'Shelter', count: number(100) }), 201);
    await ok(one.post(entities, { id: id(2), type: 'Shelter', count: number(200) }), 201);
    await ok(two.patch(`${entities}/${id(4)}/attrs`, { count: number(400) }), 207).catch(() => {});
    await ok(two.post(`${entities}/${id(4)}/attrs`, { count: number(400) }), 204);
    for (const node of [one, two]) node.line.mend();
    for (const node of [one, two]) await together(city, node);
    await together(city, one);
    for (const side of [city, one, two]) {
        assert.deepEqual([await value(side, 1, 'count'), await value(side, 1, 'name'), await value(side, 2, 'count'), await value(side, 4, 'count')], [100, undefined, 200, 400]);
        assert.deepEqual(await conflicts(side), []);
    }
    for (const side of [one, two, city]) await side.stop();
});

test('a node that was away for too long sends what it has, then holds what the city holds; nothing that is gone comes back', async () => {
    const data = mkdtempSync(path.join(tmpdir(), 'marugoto-trim-'));
    const city = await start();
    const near = await startEdge(city, 'near');
    let far = await startEdge(city, 'far', { data });
    const { line, args, store } = far;
    for (const node of [near, far]) await together(city, node);
    line.cut();
    await ok(city.delete(`${entities}/${id(1)}`), 204);
    await ok(city.delete(`${entities}/${id(2)}`), 204);
    await ok(city.delete(`${entities}/${id(3)}/attrs/count`), 204);
    await ok(city.patch(`${entities}/${id(4)}/attrs`, { count: number(44) }), 204);
    await together(city, near);
    // Far away: a change of what is there, one of what is deleted, one of what was changed, something new.
    await ok(far.patch(`${entities}/${id(5)}/attrs`, { count: number(55) }), 204);
    await ok(far.patch(`${entities}/${id(2)}/attrs`, { count: number(22) }), 204);
    await ok(far.patch(`${entities}/${id(4)}/attrs`, { name: number('far') }), 204);
    for (const n of [20, 21]) await ok(far.post(entities, { id: id(n), type: 'Shelter', count: number(n) }), 201);

    const before = tombstones(city);
    assert.ok(before > 0);
    const trims = Number(sql(city, "SELECT count(*) FROM journal WHERE topic = 'trim'"));
    await ok(city.patch(`${entities}/${id(6)}/attrs`, { count: number(66) }), 204);
    await new Promise((go) => setTimeout(go, 2500)); // two looks: the far node has not heard of them
    assert.equal(tombstones(city), before);
    assert.equal(Number(sql(city, "SELECT count(*) FROM journal WHERE topic = 'trim'")), trims);

    // As if it had been away for two hours.
    sql(city, `UPDATE sync_cursor SET contact = contact - ${2 * hours} WHERE node = (SELECT node FROM sync_node WHERE name = 'far')`);
    sql(city, `UPDATE journal SET at = at - ${2 * hours}`);
    await eventually(() => tombstones(city) === 0, 60000, 200);
    await together(city, near);
    sql(city, `UPDATE journal SET at = at - ${2 * hours}`);
    const taken = Number(sql(city, "SELECT received FROM sync_cursor WHERE node = (SELECT node FROM sync_node WHERE name = 'far')"));
    assert.ok(taken >= 0);
    await eventually(() => Number(sql(city, 'SELECT anchor_seq FROM journal_tenant WHERE tenant = 1')) > 13, 60000, 200);

    line.mend();
    // It is killed meanwhile: what was begun is begun again.
    await eventually(async () => (await upstream(far)).state !== 'offline', 60000, 5);
    await far.kill();
    far = await startCity({ data, args, store: store ?? undefined });
    await together(city, far);
    await together(city, near);
    for (const side of [city, near, far]) {
        assert.deepEqual([await status(side, 1), await status(side, 2)], [404, 404]);
        assert.equal(await value(side, 3, 'count'), undefined);
        assert.equal(await value(side, 3, 'name'), 'S3');
        assert.deepEqual([await value(side, 4, 'count'), await value(side, 4, 'name')], [44, 'far']);
        assert.deepEqual([await value(side, 5, 'count'), await value(side, 6, 'count')], [55, 66]);
        assert.deepEqual([await value(side, 20, 'count'), await value(side, 21, 'count')], [20, 21]);
    }
    // What was written to the deleted one is not lost: it is in the evolution, and somebody may choose it.
    for (const side of [city, far]) assert.ok((await history(side, 2, 'count')).includes(22));
    assert.ok((await conflicts(city)).some((c) => c.entity === id(2) && c.entityDeleted));
    for (const side of [far, near, city]) await side.stop();
    line.close();
    rmSync(data, { recursive: true, force: true });
});

await run();
