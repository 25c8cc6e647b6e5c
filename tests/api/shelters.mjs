#!/usr/bin/env node
// The 117 snapshots of Nanao's open shelters, uploaded one after another: what was counted, its history,
// its aggregates, the freshness of its source and the map tell the same.
import assert from 'node:assert/strict';
import { VectorTile } from '@mapbox/vector-tile';
import PbfReader from 'pbf';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { eventually, shared, startCity } from '../lib/city.mjs';
import { run, skip, test } from '../lib/tap.mjs';

const folder = path.join(shared, 'data/shelters/nanao-2024/history');
const city = await startCity();
let type, shelters = [];

test('all snapshots are loaded, in order, and the last one stands', async () => {
    if (!existsSync(folder)) skip('no shared data here');
    const files = readdirSync(folder).sort();
    assert.equal(files.length, 117);
    for (const name of files) {
        const res = await city.post(`/link/v1/import?as=open_shelter&name=${name}`, readFileSync(path.join(folder, name)), { type: 'text/csv' });
        assert.equal(res.status, 202, res.text);
        const job = await eventually(async () => {
            const { json } = await city.get(res.json.href);
            return ['waiting', 'running'].includes(json.state) ? null : json;
        });
        assert.equal(job.state, 'done', name);
        type = job.report.type;
    }
    shelters = (await city.get(`/ngsi-ld/v1/entities?type=${type}&limit=1000&options=keyValues`)).json;
    assert.equal(shelters.length, 34);
    assert.equal(shelters.reduce((n, s) => n + (s.occupancy ?? 0), 0), 40);
});

test('aggregates of each shelter equal what its history holds', async () => {
    if (!shelters.length) skip('nothing was loaded');
    let points = 0;
    for (const { id } of shelters) {
        const at = `/ngsi-ld/v1/temporal/entities/${encodeURIComponent(id)}?attrs=occupancy`;
        const values = (await city.get(`${at}&options=temporalValues`)).json.occupancy.values.map(([v]) => v);
        const sums = (await city.get(`${at}&options=aggregatedValues&aggrMethods=totalCount,sum,min,max`)).json.occupancy;
        points += values.length;
        assert.deepEqual([sums.totalCount[0][0], sums.sum[0][0], sums.min[0][0], sums.max[0][0]],
            [values.length, values.reduce((a, b) => a + b, 0), Math.min(...values), Math.max(...values)], id);
    }
    assert.ok(points >= 1466, `${points} points of 1466 rows`);
});

test('the map shows every shelter that has a place, once', async () => {
    if (!shelters.length) skip('nothing was loaded');
    const res = await fetch(`${city.url}/tiles/${type}/0/0/0.mvt`);
    const layer = new VectorTile(new PbfReader(new Uint8Array(await res.arrayBuffer()))).layers[type];
    let n = 0;
    for (let i = 0; i < layer.length; i++) n += layer.feature(i).properties.count ?? 1;
    assert.equal(n, shelters.filter((s) => s.location).length);
    assert.ok(n > 25);
});

test('a source that promised twelve hours is fresh, one that promised a second goes stale', async () => {
    if (!shelters.length) skip('nothing was loaded');
    for (const [id, interval] of [['half-daily', 'PT12H'], ['hasty', 'PT1S']]) {
        const made = await city.post('/ngsi-ld/v1/entities', {
            id: `urn:ngsi-ld:DataSource:${id}`, type: 'DataSource', name: { type: 'Property', value: id },
            updateInterval: { type: 'Property', value: interval }, covers: { type: 'Property', value: { type } },
        });
        assert.equal(made.status, 201, made.text);
    }
    await eventually(async () => {
        const sources = new Map((await city.get('/link/v1/sources')).json.map((s) => [s.name, s.status]));
        return sources.get('half-daily') === 'fresh' && sources.get('hasty') === 'stale';
    });
});

await run(() => city.stop());
