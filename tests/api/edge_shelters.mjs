#!/usr/bin/env node
// The occupancy series of Nanao (117 half-daily snapshots after the Noto earthquake) as three shelter
// laptops would have counted it: each imports the rows of its shelters, cut off most of the time. A
// city that got every file whole is the measure: all must hold the same values, in the same order.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { eventually, shared, startCity } from '../lib/city.mjs';
import { startEdge, together } from '../lib/edge.mjs';
import { run, skip, test } from '../lib/tap.mjs';

const folder = path.join(shared, 'data/shelters/nanao-2024/history');

async function load(city, name, text) {
    const res = await city.post(`/link/v1/import?as=open_shelter&keepVanished=true&name=${name}`, Buffer.from(text), { type: 'text/csv' });
    assert.equal(res.status, 202, res.text);
    const job = await eventually(async () => {
        const { json } = await city.get(res.json.href);
        return ['waiting', 'running'].includes(json.state) ? null : json;
    }, 30000, 5);
    assert.equal(job.state, 'done', `${name}: ${JSON.stringify(job.error ?? job.report?.problems)}`);
    return job.report.type;
}

// Rows of one of the nodes, under the header. The number in the shelter's id decides.
function share(text, n, of) {
    const [header, ...rows] = text.split(/\r?\n/).filter((line) => line);
    const mine = rows.filter((row) => Number(/\d+/.exec(row)[0]) % of === n);
    return mine.length ? [header, ...mine, ''].join('\n') : null;
}

const series = async (city, id) => (await city.get(`/ngsi-ld/v1/temporal/entities/${encodeURIComponent(id)}?attrs=occupancy&options=temporalValues`))
    .json.occupancy.values.map(([value, at]) => `${at} ${value}`);

test('three shelters and their city end with the series that one city would have', async () => {
    if (!existsSync(folder)) skip('no shared data here');
    const whole = await startCity();
    const city = await startCity();
    const nodes = [];
    for (const name of ['east', 'north', 'west']) nodes.push(await startEdge(city, name));
    // Their first copy, of nothing, is over: a later one would bring the present only, since what was observed in
    // 2024 is older than edge.past_days.
    for (const node of nodes) await together(city, node);
    let type;
    for (const [i, name] of readdirSync(folder).sort().entries()) {
        const text = readFileSync(path.join(folder, name), 'utf8');
        type = await load(whole, name, text);
        for (const [n, node] of nodes.entries()) {
            // Each is cut off for stretches of its own, about three quarters of the time.
            (Math.floor(i / (5 + 2 * n)) % 4 === 3) ? node.line.mend() : node.line.cut();
            const mine = share(text, n, nodes.length);
            if (mine) await load(node, name, mine);
        }
    }
    for (const node of nodes) node.line.mend();
    for (const node of nodes) await together(city, node, '', 120000);
    const want = (await whole.get(`/ngsi-ld/v1/entities?type=${type}&limit=1000&options=keyValues`)).json;
    assert.equal(want.length, 34);
    let points = 0;
    for (const { id, occupancy } of want) {
        const values = await series(whole, id);
        points += values.length;
        for (const one of [city, ...nodes]) {
            assert.deepEqual(await series(one, id), values, id);
            assert.equal((await one.get(`/ngsi-ld/v1/entities/${encodeURIComponent(id)}?options=keyValues`)).json.occupancy, occupancy);
        }
    }
    for (const one of [city, ...nodes]) {
        const shelters = (await one.get('/link/v1/conflicts')).json.filter((c) => !c.entity.includes('ImportedDataset'));
        assert.deepEqual(shelters, []);
    }
    console.log(`# ${points} counts of ${want.length} shelters, in order, at the city and at three nodes`);
    for (const one of [...nodes, city, whole]) await one.stop();
});

await run();
